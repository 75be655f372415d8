r"""Which response the best of n is: exact shares, and the expectations they give.

Of the subsets of n of a prompt's K items, the item with the i-th smallest reward is
best in :math:`\binom{i-1}{n-1}` of :math:`\binom{K}{n}`. Shares depend on K and n
alone, so that prompts of one size are one matrix product.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm.evaluate.inputs import prompts_by_size


@dataclass(frozen=True, eq=False)
class RankedPrompts:
    """Prompts of one size K, the items of each by ascending reward.

    Attributes
    ----------
    prompts : ndarray of int of shape (m,)
        Numbers of the prompts.
    rows : ndarray of int of shape (m, K)
        Rows of their items.
    tied : ndarray of bool of shape (m, K)
        Whether an item has the same reward as the one before it.
    """

    prompts: IntArray
    rows: IntArray
    tied: BoolArray

    @property
    def size(self) -> int:
        """K."""
        return int(self.rows.shape[1])

    def chunks(self, n_at_once: int) -> "Iterator[RankedPrompts]":
        """Yield the same prompts, at most so many at once."""
        for start in range(0, len(self.prompts), max(1, n_at_once)):
            part = slice(start, start + max(1, n_at_once))
            yield RankedPrompts(self.prompts[part], self.rows[part], self.tied[part])

    def share_ties(self, values: FloatArray) -> FloatArray:
        """Replace values (..., m, K) of items tied in reward by their mean."""
        if not self.tied.any():
            return values
        group = np.cumsum(~self.tied.ravel()) - 1
        sizes = np.bincount(group)
        flat = values.reshape(-1, self.rows.size)
        sums = np.add.reduceat(flat, np.flatnonzero(~self.tied.ravel()), axis=1)
        return np.asarray((sums / sizes)[:, group].reshape(values.shape))


def ranked_prompts(reward: FloatArray, codes: IntArray) -> list[RankedPrompts]:
    """Rank the items of each prompt by reward, all prompts of one size at once.

    Parameters
    ----------
    reward : ndarray of shape (n_items,)
    codes : ndarray of int of shape (n_items,)
        Number of each item's prompt; every number occurs.

    Returns
    -------
    list of RankedPrompts
        One for each size, ascending.
    """
    ranked = []
    for prompts, rows in prompts_by_size(codes):
        values = reward[rows]
        order = np.argsort(values, axis=1)
        values = np.take_along_axis(values, order, axis=1)
        tied = np.zeros(rows.shape, dtype=bool)
        tied[:, 1:] = values[:, 1:] == values[:, :-1]
        by_reward = np.take_along_axis(rows, order, axis=1)
        ranked.append(RankedPrompts(prompts, by_reward, tied))
    return ranked


def pick_shares(size: int, n: IntArray) -> FloatArray:
    r"""Compute how often each of K items is the best of n of them.

    Parameters
    ----------
    size : int
        K.
    n : ndarray of int of shape (m,), in [1, K]

    Returns
    -------
    ndarray of shape (m, K), rows sum to 1
        :math:`\binom{i-1}{n-1} / \binom{K}{n}` for the i-th smallest reward. The share
        of the best is n / K, and from each item to the next below it is multiplied by
        :math:`(i - n) / (i - 1)`: nothing overflows, and the shares that matter most
        are rounded least.

    Examples
    --------
    >>> import numpy as np
    >>> pick_shares(4, np.array([1, 2])).round(3)
    array([[0.25 , 0.25 , 0.25 , 0.25 ],
           [0.   , 0.167, 0.333, 0.5  ]])
    """
    return _top_shares(size, n, size)


def expected_picks(
    values: FloatArray, ranked: list[RankedPrompts], n_prompts: int, n_max: int
) -> FloatArray:
    """Compute the expected value of the best of n = 1..n_max, prompt by prompt.

    Parameters
    ----------
    values : ndarray of shape (n_items,)
    ranked : list of RankedPrompts
    n_prompts, n_max : int

    Returns
    -------
    ndarray of shape (n_prompts, n_max), NaN beyond the size of a prompt
    """
    curves = np.full((n_prompts, n_max), np.nan)
    for same in ranked:
        shared = same.share_ties(values[same.rows])
        longest = min(same.size, n_max)
        at_once = max(1, MAX_ENTRIES // same.size)
        for first in range(1, longest + 1, at_once):
            n = np.arange(first, min(first + at_once, longest + 1))
            depth = _depth(same.size, first)
            shares = _top_shares(same.size, n, depth)
            curves[same.prompts[:, None], n - 1] = shared[:, -depth:] @ shares.T
    return curves


def _top_shares(size: int, n: IntArray, depth: int) -> FloatArray:
    """Compute the shares of the best `depth` of K items, ascending."""
    below = np.arange(size - 1, size - depth, -1.0)
    downward = np.empty((len(n), depth))
    downward[:, 0] = n / size
    np.subtract(below + 1, n[:, None], out=downward[:, 1:])
    np.maximum(downward[:, 1:], 0, out=downward[:, 1:])
    downward[:, 1:] /= below
    np.cumprod(downward, axis=1, out=downward)
    return downward[:, ::-1]


def _depth(size: int, n: int) -> int:
    """Count the items from the best down whose share of n draws or more is not zero.

    No item below the n-th has one, and each step down takes at least the factor
    (K - n) / (K - 1), so that in the end a double cannot hold it.
    """
    if n == 1 or n == size:
        return size - n + 1
    steps = _LOG_SMALLEST_DOUBLE / np.log((size - n) / (size - 1))
    return int(min(size - n, np.ceil(steps))) + 1


_LOG_SMALLEST_DOUBLE = -746.0

# Largest table held at once: 2 million doubles are 16 MB.
MAX_ENTRIES = 2_000_000
