"""What a diagnosis says of prompts: spellings, near-duplicates, leakage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from embrm._typing import BoolArray, IntArray, Prompt
from embrm.datasets._comparison_graph import found
from embrm.datasets.near_duplicates import near_duplicate_groups, near_shared
from embrm.datasets.preferences import Preferences
from embrm.messages import normalised_prompt, prompt_text

_MOST_EXAMPLES = 3


@dataclass(frozen=True)
class NearDuplicates:
    """Prompts that are nearly the same.

    Attributes
    ----------
    threshold : float
        Jaccard index of their shingles from which they are.
    n_groups, n_prompts : int
        Groups of two or more, and the prompts in them.
    examples : list of list of str
        Up to three prompts of the three largest groups.
    """

    threshold: float
    n_groups: int
    n_prompts: int
    examples: list[list[str]]


@dataclass(frozen=True)
class Leakage:
    """Prompts that another file has too.

    Attributes
    ----------
    source : str
        Name of the other file.
    n_prompts : int
        Prompts of these data.
    n_shared, n_near : int
        Those that the other has as well, and near-duplicates of others of its.
    n_pairs : int
        Pairs with one of either.
    source_rows : tuple of int
        Of the first five.
    """

    source: str
    n_prompts: int
    n_shared: int
    n_near: int
    n_pairs: int
    source_rows: tuple[int, ...]


def normalised_text(prompt: Prompt) -> str:
    r"""Return the text by which prompts are told apart here: NFC, ends stripped.

    Examples
    --------
    >>> normalised_text("o\u0308sten? ") == "\u00f6sten?"
    True
    """
    normalised = normalised_prompt(prompt)
    return normalised if isinstance(normalised, str) else prompt_text(normalised)


class DistinctPrompts:
    """The prompts of preferences, by their normalised text.

    Attributes
    ----------
    texts : list of str
        In order of first appearance.
    of_item : ndarray of int of shape (n_items,)
        Which of these each item answers.
    n_spellings : int
        Prompt ids that another one has the text of.
    lengths : ndarray of int of shape (n_prompts,)
        In characters.
    """

    def __init__(self, preferences: Preferences) -> None:
        ids = preferences.items["prompt_id"].to_numpy()
        codes, known = pd.factorize(ids)
        # Items repeat their prompt: the first of each is enough.
        firsts = np.unique(codes, return_index=True)[1]
        prompts = preferences.items["prompt"].take(firsts)
        normal = [normalised_text(prompt) for prompt in prompts]
        numbers, texts = pd.factorize(pd.Series(normal, dtype=object))
        self.texts: list[str] = list(texts)
        self.of_item: IntArray = numbers[codes] if len(codes) else codes
        self.n_spellings = len(known) - len(self.texts)
        self.lengths: IntArray = np.array([len(text) for text in texts], dtype=np.int64)


def find_near_duplicates(
    texts: Sequence[str], threshold: float | None
) -> NearDuplicates | None:
    """Count near-duplicates among different texts; None without a threshold."""
    if threshold is None:
        return None
    groups = near_duplicate_groups(texts, threshold)
    sizes = np.bincount(groups)
    several = sizes > 1
    largest = np.argsort(-sizes, kind="stable")[:_MOST_EXAMPLES]
    examples = [
        [texts[at] for at in np.flatnonzero(groups == group)[:3]]
        for group in largest
        if several[group]
    ]
    return NearDuplicates(
        threshold, int(several.sum()), int(sizes[several].sum()), examples
    )


def find_leakage(
    preferences: Preferences,
    own: DistinctPrompts,
    name: str,
    other: Preferences,
    threshold: float | None,
) -> Leakage:
    """Count the prompts that other preferences have too."""
    exact, near = shared_prompts(own, DistinctPrompts(other), threshold)
    leaks = (exact | near)[own.of_item]
    ends = preferences.pairs[["first", "second"]].to_numpy(np.intp)
    rows = preferences.pairs["source_row"].to_numpy()
    pairs = found(leaks[ends].any(axis=1), rows)
    n_exact, n_near = int(exact.sum()), int(near.sum())
    n_prompts = len(own.texts)
    return Leakage(name, n_prompts, n_exact, n_near, pairs.n, pairs.source_rows)


def shared_prompts(
    own: DistinctPrompts, others: DistinctPrompts, threshold: float | None
) -> tuple[BoolArray, BoolArray]:
    """Mark the prompts that others have too, and the near-duplicates of theirs.

    Returns
    -------
    exact, near : ndarray of bool of shape (n_prompts,)
        No prompt is both.
    """
    known = set(others.texts)
    exact = np.array([text in known for text in own.texts], dtype=bool)
    if threshold is None:
        return exact, np.zeros_like(exact)
    return exact, near_shared(own.texts, others.texts, threshold) & ~exact
