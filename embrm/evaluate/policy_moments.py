"""What policies on a pool get and how far they went: sums over each prompt's items.

A policy is a distribution over the K responses of each prompt; the reference is the
uniform one. All moments are exact sums; nothing is drawn.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from embrm._typing import FloatArray, IntArray
from embrm.evaluate.divergence import kl_from_uniform, tied_shares
from embrm.evaluate.picks import MAX_ENTRIES, RankedPrompts, pick_shares


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
        Places in `strength`: a best of n needs n items.
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
    gain: FloatArray = np.matmul(shares, centred[:, :, None])[:, :, 0]
    return gain


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
