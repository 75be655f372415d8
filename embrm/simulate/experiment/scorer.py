"""Rewards and deltas of a fitted head, and the time it takes for them."""

import time
from typing import Any

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm.evaluate.inputs import check_scores
from embrm.pool import CandidatePool


class Scorer:
    """Ask a fitted head about the items and pairs of a pool.

    Parameters
    ----------
    head : fitted RewardHead
    pool : CandidatePool
        Whose vectors are handed to the head some at a time.
    sample : ndarray of int of shape (n, 2)
        Pairs by which to see whether deltas are differences of rewards.

    Attributes
    ----------
    reward : ndarray of shape (n_items,)
    by_pair : bool
        Whether deltas are something else than differences of rewards, as those of a
        general preference head are, and the head is asked about every pair.
    seconds : float
        Spent in the head so far.
    """

    def __init__(self, head: Any, pool: CandidatePool, sample: IntArray) -> None:
        self._head, self._pool = head, pool
        start = time.perf_counter()
        step = max(1, _ENTRIES // pool.items.shape[1])
        blocks = range(0, len(pool), step)
        reward = np.concatenate(
            [head.reward(pool.items[at : at + step]) for at in blocks]
        )
        self.reward = check_scores(reward, "reward", len(pool))
        asked = head.decision_function(pool.pairs(sample))
        # Heads in float32 round differently from block to block.
        slack = 1e-4 * float(np.std(self.reward)) + np.finfo(np.float64).tiny
        self.by_pair = bool((np.abs(asked - self._difference(sample)) > slack).any())
        self.seconds = time.perf_counter() - start

    def delta(self, ids: IntArray) -> FloatArray:
        """Compute the deltas of pairs, shape (n,)."""
        if not self.by_pair:
            return self._difference(ids)
        start = time.perf_counter()
        delta = self._head.decision_function(self._pool.pairs(ids))
        self.seconds += time.perf_counter() - start
        return check_scores(delta, "delta", len(ids))

    def reward_sign(self, ids: IntArray, sign: FloatArray) -> FloatArray:
        """Compare rewards: as `sign`, that of the deltas, does unless they differ."""
        return np.sign(self._difference(ids)) if self.by_pair else sign

    def _difference(self, ids: IntArray) -> FloatArray:
        difference: FloatArray = self.reward[ids[:, 0]] - self.reward[ids[:, 1]]
        return difference


# Entries of the item matrix handed to a head at once: at most 32 MB.
_ENTRIES = 1 << 22
