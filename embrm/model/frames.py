"""What a reward model takes from preferences: known prompts, lengths, equal vectors."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import BoolArray, IntArray, Prompt
from embrm.datasets import Preferences
from embrm.datasets.prompt_sketches import PromptSketches
from embrm.messages import canonical_json, normalised_prompt
from embrm.pairs import Pairs

_CHUNK_PAIRS = 4096


def prompt_hashes(prompts: Iterable[Prompt]) -> IntArray:
    """Hash prompts to uint64, equal for spellings that look alike.

    These are both spellings of a single user turn, and prompts that differ in white
    space around them or in how Unicode composes their letters.

    Examples
    --------
    >>> a, b = prompt_hashes(["Hi", [{"role": "user", "content": "Hi"}]])
    >>> bool(a == b)
    True
    """
    digests = b"".join(
        hashlib.blake2b(
            canonical_json(normalised_prompt(prompt)).encode("utf-8", "surrogatepass"),
            digest_size=8,
        ).digest()
        for prompt in prompts
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


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


def response_lengths(preferences: Preferences) -> IntArray:
    """Measure both responses of each pair in characters: shape (n_pairs, 2)."""
    lengths = preferences.items["response"].str.len().to_numpy(np.int64)
    ids = preferences.pairs[["first", "second"]].to_numpy()
    return np.asarray(lengths[ids])


def equal_vectors(pairs: Pairs) -> BoolArray:
    """Mark pairs of two equal vectors, which no reward on vectors can order.

    Parameters
    ----------
    pairs : Pairs

    Returns
    -------
    ndarray of bool of shape (n_pairs,)

    Examples
    --------
    >>> equal_vectors(Pairs([[1.0], [1.0], [2.0]], [[0, 1], [0, 2]])).tolist()
    [True, False]
    """
    equal = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), _CHUNK_PAIRS):
        part = slice(start, start + _CHUNK_PAIRS)
        first, second = pairs.first[part], pairs.second[part]
        equal[part] = (pairs.items[first] == pairs.items[second]).all(axis=1)
    return equal
