"""Metrics of deltas against labels: order consistency, log loss, Brier score.

Each metric is a weighted mean of one value per pair; the `*_values` functions give
these values, from which `embrm.evaluate.resampling` makes intervals.

A baseline that prefers the longer response orders most data better than chance
(reward-bench issue 267: 100% of two subsets, 43% of the whole), so an accuracy is only
worth its margin over the baseline.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from embrm._typing import FloatArray
from embrm._validation import check_choice, check_count, check_share
from embrm.evaluate.inputs import check_labelled, check_lengths, check_untied
from embrm.evaluate.rank_correlation import PromptCorrelation, correlate_by_prompt
from embrm.exceptions import invalid_input
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
    return np.asarray(values[order][np.searchsorted(cumulative, targets)])


class LengthMatched(NamedTuple):
    """Order consistency where length cannot help.

    Attributes
    ----------
    order_consistency : float in [0, 1]
    n_pairs : int
        Pairs of nearly equal length whose label is not a tie.
    """

    order_consistency: float
    n_pairs: int


def length_baseline(lengths: ArrayLike, prefer: str = "longer") -> FloatArray:
    """Compute the delta of a baseline that uses only length.

    Parameters
    ----------
    lengths : array-like of shape (n_pairs, 2), >= 0
        Length of first and of second, in characters or tokens.
    prefer : {"longer", "shorter"}, default="longer"

    Returns
    -------
    ndarray of shape (n_pairs,)
        Length of first minus length of second, in the unit of `lengths`, negated for
        "shorter". Show its order consistency with every accuracy; that of the
        shorter baseline is one minus that of the longer.

    Raises
    ------
    InvalidInputError
        On a wrong shape or a negative length.

    Examples
    --------
    >>> from embrm.evaluate import order_consistency
    >>> order_consistency(length_baseline([[90, 40], [10, 30], [25, 20]]), [1, 1, 1])
    0.6666666666666666
    """
    checked = check_lengths(lengths)
    check_choice(prefer, "prefer", ("longer", "shorter"))
    longer: FloatArray = checked[:, 0] - checked[:, 1]
    return longer if prefer == "longer" else -longer


def length_correlation(
    reward: ArrayLike,
    lengths: ArrayLike,
    prompt_ids: ArrayLike,
    kind: str = "spearman",
) -> PromptCorrelation:
    """Compute the correlation of reward and length within each prompt.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
    lengths : array-like of shape (n_items,)
        Length of each item's response, in characters or tokens.
    prompt_ids : array-like of shape (n_items,)
        Which prompt each item answers.
    kind : {"spearman", "pearson", "kendall"}, default="spearman"

    Returns
    -------
    PromptCorrelation
        Prompts where reward or length is constant are counted as undefined.

    Raises
    ------
    InvalidInputError
        On a wrong shape, a value that is not finite, or an unknown kind.

    Examples
    --------
    >>> length_correlation(
    ...     [1.0, 2.0, 4.0], [10, 20, 30], ["a", "a", "a"], "kendall"
    ... ).mean
    1.0
    """
    check_choice(kind, "kind", ("spearman", "pearson", "kendall"))
    return correlate_by_prompt(reward, lengths, prompt_ids, kind)


def length_matched_order_consistency(
    delta: ArrayLike,
    lengths: ArrayLike,
    y: ArrayLike | None = None,
    *,
    tolerance: float = 0.1,
    sample_weight: ArrayLike | None = None,
) -> LengthMatched:
    r"""Compute order consistency over the pairs of nearly equal length.

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
        Reward of first minus reward of second, in nats.
    lengths : array-like of shape (n_pairs, 2), >= 0
        Length of first and of second, in characters or tokens.
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Pairs with y = 0.5 are left out. None means that first is always preferred.
    tolerance : float in [0, 1], default=0.1
        Pairs are kept where :math:`|l_1 - l_2| \le tolerance \max(l_1, l_2)`.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional

    Returns
    -------
    LengthMatched

    Raises
    ------
    InvalidInputError
        On a wrong shape or range, or when no pair is left.

    Examples
    --------
    >>> length_matched_order_consistency(
    ...     [1.0, -1.0, 2.0], [[100, 95], [50, 50], [9, 1]], [1, 1, 1]
    ... )
    LengthMatched(order_consistency=0.5, n_pairs=2)
    """
    differences, labels, weights = check_labelled(delta, y, sample_weight)
    checked = check_lengths(lengths, len(differences))
    check_share(tolerance, "tolerance")
    gap = np.abs(checked[:, 0] - checked[:, 1])
    matched = gap <= tolerance * checked.max(axis=1)
    matched &= (labels != 0.5) & (weights > 0)
    if not matched.any():
        raise invalid_input(
            expected="a labelled pair of nearly equal length",
            got=f"none in {len(matched)} pairs at tolerance {tolerance:g}",
            fix="raise tolerance, or collect such pairs",
        )
    consistency = order_consistency(
        differences[matched], labels[matched], weights[matched]
    )
    return LengthMatched(consistency, int(matched.sum()))
