"""Prompts that a model was fitted on: known by hashes, and nearly by sketches."""

from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import BoolArray, IntArray
from embrm.datasets import Preferences
from embrm.datasets.prompt_sketches import PromptSketches
from embrm.model.frames import prompt_hashes


def prompts_of(preferences: Preferences) -> "pd.Series[Any]":
    """Take each prompt once, in order of first appearance."""
    return preferences.items.drop_duplicates("prompt_id")["prompt"]


def seen_pairs(
    preferences: Preferences, hashes: IntArray, sketches: PromptSketches | None
) -> BoolArray:
    """Mark the pairs with a prompt that is known, or nearly.

    Parameters
    ----------
    preferences : Preferences
    hashes : ndarray of uint64
        Of the prompts that are known; see `prompt_hashes`.
    sketches : PromptSketches or None
        Of the same; None where near-duplicates do not count.

    Returns
    -------
    ndarray of bool of shape (n_pairs,)
        Whether either item's prompt is.
    """
    seen: BoolArray = np.isin(prompt_hashes(preferences.items["prompt"]), hashes)
    if sketches is not None:
        near = sketches.match(prompts_of(preferences))
        seen |= near[pd.factorize(preferences.items["prompt_id"])[0]]
    ends = preferences.pairs[["first", "second"]].to_numpy()
    return np.asarray(seen[ends].any(axis=1))
