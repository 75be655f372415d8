"""What removing length does to a reward, on prompts that it was not fitted on."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from embrm._typing import FloatArray, IntArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.validation_split import grouped_folds
from embrm.heads.wrappers.length_covariate import center_by_unit, taking_part

Scorer: TypeAlias = Callable[[FloatArray], FloatArray]
"""Takes items, returns rewards."""

FitOnWins: TypeAlias = Callable[[Comparisons], Scorer]


class LengthReport(NamedTuple):
    """Reward and length before and after length was removed, on held-out prompts.

    Attributes
    ----------
    spearman_before, spearman_after : float in [-1, 1]
        Mean over prompts of the rank correlation of reward and length; NaN if no
        prompt has two lengths and two rewards.
    order_consistency_before, order_consistency_after : float in [0, 1]
        Weighted share of held-out wins that are ordered right; a tie is one half.
    n_prompts, n_wins : int
        Prompts with a correlation before, and held-out wins.
    """

    spearman_before: float
    spearman_after: float
    order_consistency_before: float
    order_consistency_after: float
    n_prompts: int
    n_wins: int


def report_length(
    comparisons: Comparisons,
    covariate: FloatArray,
    before: FitOnWins,
    after: FitOnWins,
    n_folds: int,
) -> LengthReport | None:
    """Fit both heads on every fold's training wins and compare them on its others.

    Parameters
    ----------
    comparisons : Comparisons
    covariate : ndarray of shape (n_items,)
        Length, or anything that increases with it.
    before, after : callable
        Take training wins, return a scorer of items.
    n_folds : int >= 2
        Of whole prompt groups.

    Returns
    -------
    LengthReport or None
        None where nothing can be held out.
    """
    folds = grouped_folds(comparisons, n_folds)
    if not folds:
        return None
    unit = prompt_units(comparisons)
    right: list[list[FloatArray]] = [[], []]
    correlation: list[list[FloatArray]] = [[], []]
    weight = [comparisons.weight[held_out] for _, held_out in folds]
    for train, held_out in folds:
        wins = comparisons.take(held_out)
        rows = np.flatnonzero(taking_part(wins))
        for n, fit in enumerate((before, after)):
            reward = np.zeros(len(wins.items))
            reward[rows] = fit(comparisons.take(train))(wins.items[rows])
            lead = reward[wins.winner] - reward[wins.loser]
            right[n].append((np.sign(lead) + 1.0) / 2.0)
            correlation[n].append(
                rank_correlations(reward[rows], covariate[rows], unit[rows])
            )
    weights = np.concatenate(weight)
    shares = [np.average(np.concatenate(parts), weights=weights) for parts in right]
    spearman = [np.concatenate(parts) for parts in correlation]
    means = [values.mean() if len(values) else np.nan for values in spearman]
    return LengthReport(
        float(means[0]),
        float(means[1]),
        float(shares[0]),
        float(shares[1]),
        len(spearman[0]),
        len(weights),
    )


def rank_correlations(
    first: FloatArray, second: FloatArray, unit: IntArray
) -> FloatArray:
    """Compute Spearman's correlation within each unit where it is defined.

    Parameters
    ----------
    first, second : ndarray of shape (n_items,)
    unit : ndarray of int of shape (n_items,)

    Returns
    -------
    ndarray of shape (n_defined,), in [-1, 1]
        Of the units where neither side is constant, in ascending order.

    Examples
    --------
    >>> reward, length = np.array([1.0, 2.0, 3.0, 5.0]), np.array([9.0, 8.0, 2.0, 2.0])
    >>> rank_correlations(reward, length, np.array([0, 0, 1, 1]))
    array([-1.])
    """
    x, y = (center_by_unit(_ranks(v, unit), unit) for v in (first, second))
    square_x, square_y = np.bincount(unit, x * x), np.bincount(unit, y * y)
    defined = (square_x > 0) & (square_y > 0)
    product = np.bincount(unit, x * y)[defined]
    return np.asarray(product / np.sqrt(square_x[defined] * square_y[defined]))


def prompt_units(comparisons: Comparisons) -> IntArray:
    """Say which prompt group each item is of; connected components where unknown."""
    if comparisons.groups is not None:
        return comparisons.groups
    n_items = len(comparisons.items)
    ends = (comparisons.winner, comparisons.loser)
    edges = coo_array((np.ones(len(comparisons)), ends), shape=(n_items, n_items))
    return np.asarray(connected_components(edges, directed=False)[1], dtype=np.intp)


def _ranks(values: FloatArray, unit: IntArray) -> FloatArray:
    """Rank values within units, up to a constant for each; ties get their mean."""
    distinct, code = np.unique(values, return_inverse=True)
    key = unit.astype(np.int64) * len(distinct) + code
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count + 1) / 2.0
    return np.asarray(rank[inverse])
