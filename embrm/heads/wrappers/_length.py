"""Length of responses: add it as a column, drop it, erase its direction.

Length travels through `make_comparisons` as one more column of the items, so that it
stays with its item through sorting and merging; two items of equal vectors and
different length remain two.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm.exceptions import invalid_input
from embrm.heads.comparisons import Comparisons
from embrm.heads.validation_split import grouped_folds
from embrm.pairs import Pairs

_SPREAD = 3.0


def check_item_lengths(lengths: Any, pairs: Pairs) -> FloatArray:
    """Check lengths, and convert them to one per item.

    Parameters
    ----------
    lengths : array-like of shape (n_items,) or (n_pairs, 2), >= 0
    pairs : Pairs

    Returns
    -------
    ndarray of shape (n_items,), float64
        For lengths by pair the mean over an item's occurrences, 0 for items that do
        not occur.

    Raises
    ------
    InvalidInputError
        If they are missing, of another shape, negative, or not finite.
    """
    if lengths is None:
        raise invalid_input("the lengths of items", "none", "pass lengths=... to fit")
    array = np.asarray(lengths)
    n_items, ids = len(pairs.items), pairs.ids
    if array.dtype.kind not in "iuf":
        raise invalid_input(
            "numeric lengths", f"dtype {array.dtype}", "count, e.g. len(text)"
        )
    if array.shape not in ((n_items,), ids.shape):
        raise invalid_input(
            f"lengths of shape ({n_items},), one per item, or {ids.shape}, both ends "
            "of each pair",
            f"shape {array.shape}",
            "pass one length for each row of items",
        )
    values = array.astype(np.float64)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise invalid_input(
            "finite lengths >= 0",
            f"{values[at]:g} at index {at if at[1:] else at[0]}",
            "count characters or tokens of every response",
        )
    if values.ndim == 1:
        return values
    total = np.bincount(ids.ravel(), values.ravel(), n_items)
    count = np.bincount(ids.ravel(), minlength=n_items)
    return np.asarray(total / np.maximum(count, 1))


def append_covariate(pairs: Pairs, covariate: FloatArray) -> Pairs:
    """Return pairs of the same items, with the covariate as their last column.

    Parameters
    ----------
    pairs : Pairs
    covariate : ndarray of shape (n_items,)

    Returns
    -------
    Pairs
        Whose items are those that take part, in float32 or float64.
    """
    rows, ids = pairs.unique_items()
    items = pairs.items[rows]
    # float16 has 10 bits, too few for a length.
    wide = np.float64 if items.dtype == np.float64 else np.float32
    prompts = None if pairs.prompt_ids is None else pairs.prompt_ids[rows]
    return Pairs(with_column(items.astype(wide), covariate[rows]), ids, prompts)


def remove_covariate(comparisons: Comparisons) -> tuple[Comparisons, FloatArray]:
    """Return comparisons without the last column of the items, and that column."""
    items = np.ascontiguousarray(comparisons.items[:, :-1])
    return replace(comparisons, items=items), comparisons.items[:, -1].astype(float)


def with_column(items: FloatArray, column: FloatArray) -> FloatArray:
    """Put a column behind the items, in their dtype."""
    return np.hstack([items, column[:, None].astype(items.dtype)])


def nuisance_column(items: FloatArray, covariate: FloatArray) -> FloatArray:
    """Center the covariate, and give it three times the spread of all other columns.

    A penalty on coefficients then hardly shrinks that of the covariate: where vectors
    tell length too, a tenth of its effect at most is put down to them. Its mean is 0,
    so 0 is what stands in its place when items are scored.

    Parameters
    ----------
    items : ndarray of shape (n_items, d)
    covariate : ndarray of shape (n_items,)

    Returns
    -------
    ndarray of shape (n_items,), float64
        All zero if the covariate is constant.

    Examples
    --------
    >>> nuisance_column(np.array([[1.0], [3.0]]), np.array([5.0, 6.0]))
    array([-3.,  3.])
    """
    centered = covariate - covariate.mean()
    spread = float(np.sqrt(np.mean(centered**2)))
    if spread <= 1e-12 * float(np.max(np.abs(covariate), initial=0.0)):
        return np.zeros_like(centered)
    total = float(np.sqrt(np.sum(items.var(axis=0, dtype=np.float64))))
    return np.asarray(centered * (_SPREAD * (total or 1.0) / spread))


def covarying_direction(
    items: FloatArray, covariate: FloatArray, unit: IntArray
) -> FloatArray:
    """Find the direction of the items' covariance with a covariate within units.

    Parameters
    ----------
    items : ndarray of shape (n_items, d)
    covariate : ndarray of shape (n_items,)
    unit : ndarray of int of shape (n_items,)

    Returns
    -------
    ndarray of shape (d,), float64
        Of norm 1, or zero if nothing covaries.
    """
    within = center_by_unit(covariate, unit)
    direction = (items - items.mean(axis=0)).T.astype(np.float64) @ within
    norm = float(np.linalg.norm(direction))
    return np.asarray(direction / norm) if norm > 0 else direction


def erase(items: FloatArray, direction: FloatArray, level: float) -> FloatArray:
    """Set what items have along a direction of norm 1 to the same level for all."""
    excess = level - items @ direction if direction.any() else np.zeros(len(items))
    return np.asarray(items + np.outer(excess, direction).astype(items.dtype))


def center_by_unit(values: FloatArray, unit: IntArray) -> FloatArray:
    """Subtract from each value the mean of its unit."""
    count = np.maximum(np.bincount(unit), 1)
    return np.asarray(values - (np.bincount(unit, values) / count)[unit])


def taking_part(comparisons: Comparisons) -> BoolArray:
    """Mark the items that occur in a win, shape (n_items,)."""
    mask = np.zeros(len(comparisons.items), dtype=bool)
    mask[comparisons.winner] = mask[comparisons.loser] = True
    return mask


Scorer: TypeAlias = Callable[[FloatArray, IntArray], tuple[FloatArray, FloatArray]]
"""Takes items and pairs of their rows, returns rewards and deltas."""

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
        Take training wins, return a scorer of items and of pairs of them.
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
    unit = comparisons.units()
    right: list[list[FloatArray]] = [[], []]
    correlation: list[list[FloatArray]] = [[], []]
    weight = [comparisons.weight[held_out] for _, held_out in folds]
    for train, held_out in folds:
        wins = comparisons.take(held_out)
        rows = np.flatnonzero(taking_part(wins))
        ids = np.searchsorted(rows, np.column_stack([wins.winner, wins.loser]))
        for n, fit in enumerate((before, after)):
            reward, delta = fit(comparisons.take(train))(wins.items[rows], ids)
            right[n].append((np.sign(delta) + 1.0) / 2.0)
            correlation[n].append(
                rank_correlations(reward, covariate[rows], unit[rows])
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


def _ranks(values: FloatArray, unit: IntArray) -> FloatArray:
    """Rank values within units, up to a constant for each; ties get their mean."""
    distinct, code = np.unique(values, return_inverse=True)
    key = unit.astype(np.int64) * len(distinct) + code
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count + 1) / 2.0
    return np.asarray(rank[inverse])
