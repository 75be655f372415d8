"""Metrics of deltas against labels: order consistency, log loss, Brier score.

Each metric is a weighted mean of one value per pair; the `*_values` functions give
these values, from which `embrm.evaluate.resampling` makes intervals.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from embrm._typing import FloatArray
from embrm._validation import check_count
from embrm.evaluate.inputs import check_labelled, check_untied
from embrm.heads.base import order_consistency

__all__ = [
    "OrderConsistencyByDelta",
    "brier_score",
    "log_loss",
    "order_consistency",
    "order_consistency_by_delta",
]


@dataclass(frozen=True, eq=False)
class OrderConsistencyByDelta:
    """Order consistency in bins of abs(delta); bins hold about equal weight.

    Attributes
    ----------
    low, high : ndarray of shape (n_bins,)
        Smallest and largest abs(delta) in the bin, in nats.
    order_consistency : ndarray of shape (n_bins,), in [0, 1]
    count : ndarray of shape (n_bins,)
        Sum of weights in the bin: the number of pairs where all weights are one.
    """

    low: FloatArray
    high: FloatArray
    order_consistency: FloatArray
    count: FloatArray


def log_loss(
    delta: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> float:
    r"""Compute the mean negative log likelihood of the labels under Bradley-Terry.

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
        Reward of first minus reward of second, in nats.
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Probability that first is preferred, soft labels and ties included. None means
        that first is always preferred.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional

    Returns
    -------
    float >= 0
        In nats per pair; log 2 = 0.693 is what a constant reward gets.

    Raises
    ------
    InvalidInputError
        On a wrong shape or range, no pair, or a delta that is not finite.

    Notes
    -----
    :math:`y \log(1 + e^{-\delta}) + (1 - y) \log(1 + e^{\delta})`, each term computed
    without overflow or cancellation: it stays exact at abs(delta) = 1e4, where the
    logarithm of a sigmoid is minus infinity.

    Examples
    --------
    >>> round(log_loss([0.0, 1e4], [1, 0]), 4)
    5000.3466
    """
    differences, labels, weights = check_labelled(delta, y, sample_weight)
    return float(np.average(log_loss_values(differences, labels), weights=weights))


def brier_score(
    delta: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> float:
    r"""Compute the mean squared error of P(first preferred).

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
        Reward of first minus reward of second, in nats.
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Probability that first is preferred; None means always.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional

    Returns
    -------
    float in [0, 1]
        Mean of :math:`(\sigma(\delta) - y)^2`; 0.25 is what a constant reward gets on
        hard labels. Brier (1950), Monthly Weather Review 78(1).

    Raises
    ------
    InvalidInputError
        On a wrong shape or range, no pair, or a delta that is not finite.

    Examples
    --------
    >>> brier_score([0.0, 0.0], [1, 0.5])
    0.125
    """
    differences, labels, weights = check_labelled(delta, y, sample_weight)
    return float(np.average(brier_values(differences, labels), weights=weights))


def order_consistency_by_delta(
    delta: ArrayLike,
    y: ArrayLike | None = None,
    *,
    n_bins: int = 10,
    sample_weight: ArrayLike | None = None,
) -> OrderConsistencyByDelta:
    """Compute order consistency where the head is unsure, up to where it is sure.

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
        Reward of first minus reward of second, in nats.
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Pairs with y = 0.5 are left out. None means that first is always preferred.
    n_bins : int >= 1, default=10
        Bins of about equal weight, in ascending abs(delta). Equal values share a bin,
        so there may be fewer.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional

    Returns
    -------
    OrderConsistencyByDelta

    Raises
    ------
    InvalidInputError
        On a wrong shape or range, or when every label is a tie.

    Examples
    --------
    >>> bins = order_consistency_by_delta([0.1, -0.2, 2.0, 3.0], n_bins=2)
    >>> bins.order_consistency, bins.high
    (array([0.5, 1. ]), array([0.2, 3. ]))
    """
    differences, labels, weights = check_labelled(delta, y, sample_weight)
    check_untied(labels, weights)
    n_bins = check_count(n_bins, "n_bins", 1)
    counted = (labels != 0.5) & (weights > 0)
    size, weight = np.abs(differences[counted]), weights[counted]
    right = order_values(differences, labels)[counted]
    edges = weighted_quantile_edges(size, weight, n_bins)
    _, bins = np.unique(np.searchsorted(edges, size, side="left"), return_inverse=True)
    count = np.bincount(bins, weights=weight).astype(np.float64)
    low, high = np.full(len(count), np.inf), np.zeros(len(count))
    np.minimum.at(low, bins, size)
    np.maximum.at(high, bins, size)
    return OrderConsistencyByDelta(
        low, high, np.bincount(bins, weights=weight * right) / count, count
    )


def order_values(delta: FloatArray, labels: FloatArray) -> FloatArray:
    """Value pairs by order: 1 right, 0 wrong, 0.5 where head or label has a tie."""
    right: FloatArray = (np.sign(delta) * np.sign(labels - 0.5) + 1) / 2
    return right


def log_loss_values(delta: FloatArray, labels: FloatArray) -> FloatArray:
    """Value pairs by negative log likelihood, in nats."""
    # softplus(-|delta|), and |delta| where the label is on the other side.
    size = np.abs(delta)
    wrong = np.where(delta > 0, 1 - labels, labels)
    losses: FloatArray = np.log1p(np.exp(-size)) + wrong * size
    return losses


def brier_values(delta: FloatArray, labels: FloatArray) -> FloatArray:
    """Value pairs by squared error of P(first preferred)."""
    squared: FloatArray = (expit(delta) - labels) ** 2
    return squared


def weighted_quantile_edges(
    values: FloatArray, weights: FloatArray, n_bins: int
) -> FloatArray:
    """Cut values into bins (edge, next edge] of about equal weight.

    Weight k acts as k copies of the value, and equal values never part.

    Returns
    -------
    ndarray of shape (n_bins - 1,)
        Inner edges, ascending; each is one of `values`.
    """
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    targets = cumulative[-1] * np.arange(1, n_bins) / n_bins
    edges: FloatArray = values[order][np.searchsorted(cumulative, targets)]
    return edges
