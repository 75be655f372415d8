r"""How far the best of n is from one draw: its Kullback-Leibler divergence, in nats.

Draws from a language model whose rewards are never tied have
:math:`\log n - (n - 1) / n`, whatever the model and the reward. In general that is an
upper bound, because ties make the pick less informative (Beirami et al. 2024,
arXiv:2401.01879). Within a pool of K responses the divergence of the pick from one
uniform draw is a finite sum, computed here exactly, ties included.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax, xlogy

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_choice
from embrm.evaluate._picks import (
    MAX_ENTRIES,
    RankedPrompts,
    pick_shares,
    ranked_prompts,
)
from embrm.evaluate.inputs import check_scores, item_codes
from embrm.exceptions import invalid_input


class PolicyMoments(NamedTuple):
    """Moments of G policies for m prompts, each of shape (m, G).

    Attributes
    ----------
    kl : divergence from the uniform policy, in nats
    gold, proxy : expected gold and reward, less those of the uniform policy
    differ : probability that two responses drawn have different gold
    agree : probability that besides, reward orders them as gold; a tie counts half
    """

    kl: FloatArray
    gold: FloatArray
    proxy: FloatArray
    differ: FloatArray
    agree: FloatArray


def default_strengths(policy: str, sizes: IntArray) -> FloatArray | IntArray:
    """Choose n up to the median size of a prompt, or 0 and inverse temperatures."""
    if policy == "tilt":
        return np.concatenate([[0.0], np.geomspace(0.1, 30, _N_STRENGTHS)])
    largest = np.quantile(sizes, 0.5, method="lower")
    return np.unique(np.geomspace(1, largest, _N_STRENGTHS).round().astype(np.intp))


def empty_moments(n_prompts: int, n_policies: int) -> PolicyMoments:
    """Make tables of shape (n_prompts, n_policies), NaN until they are filled."""
    shape = (len(PolicyMoments._fields), n_prompts, n_policies)
    return PolicyMoments(*np.full(shape, np.nan))


def policies_on(
    same: RankedPrompts,
    reward: FloatArray,
    strength: FloatArray | IntArray,
    policy: str,
) -> Iterator[tuple[RankedPrompts, IntArray, FloatArray]]:
    """Yield prompts, some at a time, with the policies that exist there.

    Parameters
    ----------
    same : RankedPrompts
    reward : ndarray of shape (n_items,), in standard deviations within prompts
    strength : ndarray of shape (G,)
    policy : {"best_of_n", "tilt"}

    Yields
    ------
    prompts : RankedPrompts
        m of them, with K items each.
    fits : ndarray of int of shape (g,)
        Indices into `strength`: a best of n needs n items.
    shares : ndarray of shape (m, g, K)
    """
    if policy == "best_of_n":
        fits = np.flatnonzero(strength <= same.size)
        table = pick_shares(same.size, strength[fits].astype(np.intp))
        for part, shares in tied_shares(same, table):
            yield part, fits, shares
        return
    everywhere = np.arange(len(strength))
    for part in same.chunks(MAX_ENTRIES // (same.size * len(strength))):
        logits = reward[part.rows][:, None, :] * strength[:, None]
        yield part, everywhere, softmax(logits, axis=2)


def policy_moments(
    gold: FloatArray, reward: FloatArray, shares: FloatArray, against: str
) -> PolicyMoments:
    """Compute the moments of policies on prompts of one size.

    Parameters
    ----------
    gold, reward : ndarray of shape (m, K)
    shares : ndarray of shape (m, G, K)
        The policies; each row sums to 1.
    against : {"policy", "reference"}
        Whom the second response of a pair is drawn from; the first is the policy's.

    Returns
    -------
    PolicyMoments
    """
    size = gold.shape[1]
    other = shares if against == "policy" else np.full((1, 1, size), 1 / size)
    differ, agree = _agreement(gold, reward, shares, other)
    return PolicyMoments(
        kl_from_uniform(shares),
        _gain(gold, shares),
        _gain(reward, shares),
        differ,
        agree,
    )


def _gain(values: FloatArray, shares: FloatArray) -> FloatArray:
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(np.matmul(shares, centred[:, :, None])[:, :, 0])


def _agreement(
    gold: FloatArray, reward: FloatArray, first: FloatArray, second: FloatArray
) -> tuple[FloatArray, FloatArray]:
    differ = np.zeros(first.shape[:2])
    concordant = np.zeros(first.shape[:2])
    at_once = max(1, MAX_ENTRIES // gold.size)
    for start in range(0, gold.shape[1], at_once):
        columns = slice(start, start + at_once)
        sign = _signs(gold, columns)
        drawn = second[:, :, columns]
        differ += (np.matmul(first, np.abs(sign)) * drawn).sum(axis=2)
        sign *= _signs(reward, columns)
        concordant += (np.matmul(first, sign) * drawn).sum(axis=2)
    return differ, (differ + concordant) / 2


def _signs(values: FloatArray, columns: slice) -> FloatArray:
    """Compare each value (m, K) with some of its row: 1 larger, -1 smaller, 0 equal."""
    one, other = values[:, :, None], values[:, None, columns]
    return np.subtract(one > other, one < other, dtype=np.float64)


_N_STRENGTHS = 24


def best_of_n_kl(n: ArrayLike) -> FloatArray:
    r"""Compute :math:`\log n - (n - 1) / n`, the usual axis of best-of-n curves.

    Parameters
    ----------
    n : array-like of int >= 1

    Returns
    -------
    ndarray of the shape of n, in nats
        The divergence of the best of n independent draws from one draw where rewards
        are never tied, and an upper bound of it in any case.

    Raises
    ------
    InvalidInputError
        If an n is not an integer >= 1.

    References
    ----------
    Stiennon et al. (2020), arXiv:2009.01325; Gao et al. (2023), arXiv:2210.10760;
    the bound: Beirami et al. (2024), arXiv:2401.01879.

    Examples
    --------
    >>> best_of_n_kl([1, 2, 16]).round(3)
    array([0.   , 0.193, 1.835])
    """
    counts = check_counts(n)
    bound: FloatArray = np.log(counts) - (counts - 1) / counts
    return bound


def pool_best_of_n_kl(
    reward: ArrayLike, prompt_ids: ArrayLike, n: ArrayLike, *, draws: str = "distinct"
) -> FloatArray:
    r"""Compute the divergence of the best of n from a uniform draw of the pool.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
        By which the best is picked; those that tie for the best share the pick.
    prompt_ids : array-like of shape (n_items,)
    n : array-like of int >= 1 of shape (m,)
    draws : {"distinct", "independent"}, default="distinct"
        Whether the n responses are n different ones of the K, as in
        `best_of_n_curve`, or K are drawn from with replacement.

    Returns
    -------
    ndarray of shape (m,), in nats
        Mean over prompts. Of distinct draws, over those with at least n items; NaN
        where there is none.

    Raises
    ------
    InvalidInputError
        On a wrong shape, a reward that is not finite, an n that is not an integer
        >= 1, or an unknown `draws`.

    Notes
    -----
    The pick is item i of K, by ascending reward, with probability

    .. math::
        p_i = \binom{i-1}{n-1} \Big/ \binom{K}{n} \quad\text{or}\quad
        p_i = (i^n - (i-1)^n) / K^n,

    averaged over items that tie, and the divergence is :math:`\sum_i p_i \log(K p_i)`.
    Of independent draws it is at most `best_of_n_kl(n)`, because a pool is a language
    model with K outputs. Of distinct draws :math:`K p_i \le n`, so that it is at most
    :math:`\log n`, which it reaches at n = K: to take the best of all is to know it.

    Examples
    --------
    >>> pool_best_of_n_kl([0.1, 0.2, 0.3], ["a", "a", "a"], [1, 2, 3]).round(3)
    array([0.   , 0.462, 1.099])
    """
    check_choice(draws, "draws", tuple(_SHARES))
    values = check_scores(reward, "reward")
    counts = np.atleast_1d(check_counts(n))
    codes, prompts = item_codes(prompt_ids, len(values))
    divergence = np.full((len(prompts), len(counts)), np.nan)
    for same in ranked_prompts(values, codes):
        fits = np.flatnonzero((counts <= same.size) | (draws == "independent"))
        for part, shares in tied_shares(same, _SHARES[draws](same.size, counts[fits])):
            divergence[part.prompts[:, None], fits] = kl_from_uniform(shares)
    defined = np.isfinite(divergence)
    with np.errstate(invalid="ignore"):
        total = np.where(defined, divergence, 0.0).sum(axis=0)
        mean: FloatArray = total / defined.sum(axis=0)
    return mean


def tied_shares(
    same: RankedPrompts, shares: FloatArray
) -> Iterator[tuple[RankedPrompts, FloatArray]]:
    """Yield prompts, some at a time, with their shares after ties, (m, n, K)."""
    for part in same.chunks(MAX_ENTRIES // max(1, shares.size)):
        of_prompts = np.broadcast_to(shares[:, None], (len(shares), *part.rows.shape))
        yield part, part.share_ties(of_prompts).swapaxes(0, 1)


def kl_from_uniform(shares: FloatArray) -> FloatArray:
    """Compute the divergence of distributions (..., K) from the uniform one, in nats.

    Clipped at zero, below which rounding alone can bring it.
    """
    size = shares.shape[-1]
    divergence: FloatArray = xlogy(shares, size * shares).sum(axis=-1)
    return np.maximum(divergence, 0.0)


def check_counts(n: ArrayLike) -> IntArray:
    """Check numbers of draws: integers >= 1."""
    counts = np.asarray(n)
    if counts.dtype.kind not in "iub" and counts.dtype.kind != "f":
        raise invalid_input("n of integers >= 1", f"dtype {counts.dtype}", _TO_COUNTS)
    if counts.dtype.kind not in "iu" or counts.size == 0 or counts.min() < 1:
        raise invalid_input(
            expected="n of integers >= 1",
            got=f"dtype {counts.dtype}, {counts.size} values"
            + (f", the smallest {counts.min():g}" if counts.size else ""),
            fix=_TO_COUNTS,
        )
    return counts


_TO_COUNTS = "pass e.g. [1, 2, 4, 8]"


def _independent_shares(size: int, n: IntArray) -> FloatArray:
    """Compute how often each of K items is the best of n drawn with replacement."""
    below = (np.arange(size + 1) / size) ** n[:, None]
    return np.asarray(np.diff(below, axis=1))


_SHARES = {"distinct": pick_shares, "independent": _independent_shares}
