"""Resamples of comparisons: how often each win counts, without copying an item."""

from typing import Literal, TypeAlias

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.validation_split import split_units

ResampleUnit: TypeAlias = Literal["prompt", "pair"]

_MOST_DRAWS = 100


def draw_counts(
    comparisons: Comparisons, unit: ResampleUnit, rng: np.random.Generator
) -> FloatArray:
    r"""Draw how often each win counts in a bootstrap resample.

    Parameters
    ----------
    comparisons : Comparisons
    unit : {"prompt", "pair"}
        What is drawn with replacement, as often as there are units. "prompt" draws
        prompt groups (connected components where prompts are unknown, items where
        one of these holds most of the data); a win across two prompts counts the
        product of their two counts [1]_. "pair" draws pairs of items, with all the
        wins between the two.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_wins,), float64
        Whole numbers >= 0, to multiply weights by; not all zero. Drawn again where
        they would be, which only happens with a handful of units.

    References
    ----------
    .. [1] Owen (2007). The pigeonhole bootstrap. Annals of Applied Statistics 1(2).

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads.comparisons import make_comparisons
    >>> wins = make_comparisons(Pairs(np.eye(8), np.arange(8).reshape(4, 2)))
    >>> int(draw_counts(wins, "pair", np.random.default_rng(0)).sum())
    4
    """
    ends = (
        np.stack([comparisons.pair_numbers()] * 2)
        if unit == "pair"
        else _prompt_ends(comparisons)
    )
    n_units = int(ends.max()) + 1
    for _ in range(_MOST_DRAWS):
        drawn = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
        first, second = drawn[ends]
        counts = np.where(ends[0] == ends[1], first, first * second)
        if counts.any():
            return np.asarray(counts, dtype=np.float64)
    return np.ones(len(comparisons))


def _prompt_ends(comparisons: Comparisons) -> IntArray:
    """Give the numbers of the units at both ends of each win, shape (2, n_wins)."""
    units = split_units(comparisons)
    ends = np.stack([units[comparisons.winner], units[comparisons.loser]])
    number: IntArray = np.unique(ends, return_inverse=True)[1]
    return number.reshape(ends.shape)
