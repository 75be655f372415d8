"""How a majority of independent votes comes out, in closed form."""

from math import lgamma

import numpy as np
from scipy.special import bdtrc, xlog1py, xlogy

from embrm._typing import FloatArray
from embrm.simulate.annotation import Outcomes


def majority_outcomes(
    first: FloatArray, tie: FloatArray | None, n_votes: int
) -> Outcomes:
    r"""Compute the outcome of the majority from the outcome of one vote.

    With j of V votes tied, the m = V - j others are binomial with probability
    :math:`q = p_1 / (1 - p_0)`; more than m / 2 for first are needed.

    Parameters
    ----------
    first : ndarray of shape (n_pairs,)
        P(one vote is for first).
    tie : ndarray of shape (n_pairs,) or None
        P(one vote is a tie).
    n_votes : int >= 1
        V.

    Returns
    -------
    first : ndarray of shape (n_pairs,)
        P(more votes for first than for second).
    tie : ndarray of shape (n_pairs,) or None
        P(as many for either).

    Examples
    --------
    >>> majority_outcomes(np.array([0.5, 0.7]), None, 3)[0].round(3)
    array([0.5  , 0.784])
    """
    if n_votes == 1:
        return first, tie
    tied = np.zeros_like(first) if tie is None else tie
    decided = 1 - tied
    share = np.divide(first, decided, out=np.zeros_like(first), where=decided > 0)
    share = np.clip(share, 0.0, 1.0)
    win, draw = np.zeros_like(first), np.zeros_like(first)
    for n_tied in range(n_votes + 1 if tie is not None else 1):
        n_decided = n_votes - n_tied
        weight = _binomial(n_votes, n_tied, tied)
        if n_decided:
            win += weight * bdtrc(n_decided // 2, n_decided, share)
        if n_decided % 2 == 0:
            draw += weight * _binomial(n_decided, n_decided // 2, share)
    return win, draw if draw.any() else None


def _binomial(n: int, k: int, p: FloatArray) -> FloatArray:
    """Compute P(k of n), by logarithms: no overflow for any n."""
    log_coefficient = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    chance: FloatArray = np.exp(log_coefficient + xlogy(k, p) + xlog1py(n - k, -p))
    return chance
