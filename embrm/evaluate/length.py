"""Length: the accuracy of the length baseline, and accuracy at matched length.

A baseline that prefers the longer response orders most data better than chance
(reward-bench issue 267: 100% of two subsets, 43% of the whole), so an accuracy is only
worth its margin over the baseline.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray
from embrm._validation import check_choice, check_share
from embrm.evaluate.inputs import check_labelled, check_lengths
from embrm.evaluate.rank_correlation import PromptCorrelation, correlate_by_prompt
from embrm.exceptions import invalid_input
from embrm.heads.base import order_consistency


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
