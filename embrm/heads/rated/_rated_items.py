"""RatedItems: items with ratings, in a canonical form that heads are fitted on.

Squared errors of equal items add up to one at their mean rating, so writing each
distinct item once, in an order that depends on content alone, makes a fit independent
of the order of rows, and weight k the same as k copies.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import (
    check_items,
    check_prompt_ids,
    check_sample_weight,
    widened,
)
from embrm.exceptions import invalid_input
from embrm.heads.base import BaseHead
from embrm.heads.comparisons import joined_groups
from embrm.pairs import distinct_rows


@dataclass(frozen=True, eq=False)
class RatedItems:
    """Distinct items with the mean of their ratings.

    Attributes
    ----------
    items : ndarray of shape (n_items, d), float32 or float64
        Rated for one attribute at least.
    rating : ndarray of shape (n_items, k), float64
        Weighted mean rating; 0 where an attribute is not rated.
    weight : ndarray of shape (n_items, k), float64
        Sum of weights; 0 where an attribute is not rated.
    groups : ndarray of int of shape (n_items,) or None
        Prompt group of each item, where prompts are known.
    """

    items: FloatArray
    rating: FloatArray
    weight: FloatArray
    groups: IntArray | None

    def attribute_sets(self) -> list[IntArray]:
        """List attributes that are rated for the same items with the same weights."""
        _, inverse = np.unique(self.weight, axis=1, return_inverse=True)
        labels = inverse.ravel()
        return [np.flatnonzero(labels == n) for n in range(int(labels.max()) + 1)]

    def spread(self) -> FloatArray:
        """Compute the standard deviation of each attribute's ratings, 1 if constant."""
        total = self.weight.sum(axis=0)
        mean = (self.weight * self.rating).sum(axis=0) / total
        variance = (self.weight * (self.rating - mean) ** 2).sum(axis=0) / total
        spread = np.sqrt(variance)
        return np.where(spread > 1e-12 * np.abs(mean), spread, 1.0)


def make_rated_items(
    X: Any,
    ratings: Any,
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> RatedItems:
    """Check what a user passes to `fit` and bring it into canonical form.

    Parameters
    ----------
    X : array-like of shape (n_items, d)
    ratings : array-like of shape (n_items,) or (n_items, k)
        NaN where an item is not rated.
    sample_weight : array-like of shape (n_items,), >= 0, optional
    groups : array-like of shape (n_items,), optional
        Prompt of each item.

    Returns
    -------
    RatedItems

    Raises
    ------
    InvalidInputError
        On a wrong shape, dtype or range, or an attribute that is rated nowhere.

    Examples
    --------
    >>> rated = make_rated_items([[1.0], [1.0], [2.0]], [0.0, 1.0, float("nan")])
    >>> rated.items, rated.rating, rated.weight
    (array([[1.]]), array([[0.5]]), array([[2.]]))
    """
    items = check_items(X, finite=False)
    table = check_ratings(ratings, n_items=len(items))
    weights = check_sample_weight(sample_weight, n_pairs=len(items), unit="item")
    weight = np.where(np.isnan(table), 0.0, weights[:, None])
    _refuse_unrated(weight)
    rated = weight.any(axis=1)
    used = check_items(widened(items[rated]))
    kept, inverse = distinct_rows(used)
    total, mean = _merged(weight[rated], np.nan_to_num(table[rated]), inverse)
    codes = None
    if groups is not None:
        named = check_prompt_ids(groups, n_items=len(items))[rated]
        codes = joined_groups(np.unique(named, return_inverse=True)[1], inverse)
    return RatedItems(used[kept], mean, total, codes)


def check_ratings(ratings: Any, *, n_items: int) -> FloatArray:
    """Check ratings, (n_items,) or (n_items, k), finite or NaN; return two axes."""
    raw = np.asarray(ratings)
    if raw.dtype.kind == "O":
        raw = _as_numbers(raw)
    if raw.dtype.kind not in "iubf":
        raise invalid_input(
            "numeric ratings", f"dtype {raw.dtype}", "convert them; NaN is not rated"
        )
    table = raw.astype(np.float64)
    if table.ndim not in (1, 2) or len(table) != n_items or table.size == 0:
        raise invalid_input(
            f"ratings of shape ({n_items},) or ({n_items}, k), at least one",
            f"shape {table.shape}",
            "pass one row per item, NaN where it is not rated",
        )
    table = table.reshape(n_items, -1)
    infinite: BoolArray = np.isinf(table)
    if infinite.any():
        row = int(np.argmax(infinite.any(axis=1)))
        raise invalid_input(
            "ratings that are finite, or NaN where an item is not rated",
            f"infinity at item {row}",
            "clip it, or write NaN",
        )
    return table


def _merged(
    weight: FloatArray, table: FloatArray, inverse: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Sum weights and average ratings over the rows of each distinct item."""
    n_items, k = int(inverse.max()) + 1, weight.shape[1]
    total, summed = np.zeros((n_items, k)), np.zeros((n_items, k))
    for j in range(k):
        # Sorted, so that equal items give the same sum in whatever order they come.
        order = np.lexsort((weight[:, j], table[:, j], inverse))
        rows, part = inverse[order], weight[order, j]
        total[:, j] = np.bincount(rows, part, n_items)
        summed[:, j] = np.bincount(rows, part * table[order, j], n_items)
    return total, np.divide(summed, total, out=np.zeros_like(total), where=total > 0)


def _as_numbers(raw: Any) -> FloatArray:
    """Read ratings of dtype object, None as not rated."""
    try:
        return np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise invalid_input(
            "numeric ratings",
            "dtype object with entries that are no numbers",
            "convert them to numbers; None or NaN is not rated",
        ) from error


def _refuse_unrated(weight: FloatArray) -> None:
    unrated: BoolArray = ~np.asarray(weight.any(axis=0))
    if unrated.any():
        raise invalid_input(
            "a rating of positive sample_weight for every attribute",
            f"none for attribute {int(np.argmax(unrated))} of {len(unrated)}",
            "drop the attribute, or rate some items for it",
        )


class RatedHead(BaseHead, BaseEstimator):
    """Base of heads with `fit(X, ratings)`, which predict ratings of items."""

    @abstractmethod
    def attributes(self, X: Any) -> FloatArray:
        """Predict the ratings of items, (n_items, d) -> (n_items, k)."""


def check_attribute_weights(weights: Any, *, k: int) -> FloatArray:
    """Check one finite weight per attribute, shape (k,)."""
    array = np.asarray(weights)
    numeric = array.dtype.kind in "iubf"
    if numeric and array.shape == (k,) and np.isfinite(array).all():
        return array.astype(np.float64)
    raise invalid_input(
        expected=f"weights: {k} finite numbers, one per attribute",
        got=f"shape {array.shape}, dtype {array.dtype}",
        fix="pass them in the order of the columns of ratings",
    )
