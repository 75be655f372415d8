"""Where the items of each prompt are, and which prompt a rank falls into.

Designs number what they can draw from 0 to size - 1, draw numbers, and turn numbers
into rows of the pool; nothing here loops over prompts or touches a vector.
"""

from dataclasses import dataclass

import numpy as np

from embrm._typing import AnyArray, IntArray
from embrm.pool import CandidatePool


@dataclass(frozen=True, eq=False)
class PromptLayout:
    """The items of a pool, prompt by prompt.

    Attributes
    ----------
    order : ndarray of int of shape (n_items,)
        Rows of the pool, those of one prompt adjacent and ascending.
    starts : ndarray of int of shape (n_prompts + 1,)
        Prompt p has `order[starts[p]:starts[p + 1]]`.
    sizes : ndarray of int of shape (n_prompts,)
        Number of responses K to each prompt.
    """

    order: IntArray
    starts: IntArray
    sizes: IntArray

    @classmethod
    def of(cls, pool: CandidatePool) -> "PromptLayout":
        """Take the layout that the pool keeps for itself: grouping costs a sort."""
        return cls(pool.order, pool.starts, pool.sizes)

    @property
    def codes(self) -> IntArray:
        """Position of the prompt of each row of the pool, shape (n_items,)."""
        codes = np.empty(len(self.order), dtype=np.intp)
        codes[self.order] = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return codes


def offsets_of(counts: IntArray) -> IntArray:
    """Where the numbers of each prompt begin, and the total: (n_prompts + 1,)."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


class Locator:
    """Find p with offsets[p] <= rank < offsets[p + 1], for every rank.

    What `searchsorted` does, ten times as fast for ranks in random order: a table of
    equally wide buckets gives a first p, which is nearly always the right one.

    Parameters
    ----------
    offsets : ndarray of int of shape (n_prompts + 1,)
        Ascending, from 0 to the total; equal neighbours hold no rank.

    Examples
    --------
    >>> Locator(np.array([0, 3, 3, 5]))(np.array([4, 0, 2, 3]))
    array([2, 0, 0, 2])
    """

    def __init__(self, offsets: IntArray) -> None:
        self.offsets = offsets
        total = int(offsets[-1])
        self._width = max(1, total // max(1, len(offsets) - 1))
        edges = np.arange(0, total + 1, self._width)
        self._first = np.searchsorted(offsets, edges, side="right") - 1

    def __call__(self, ranks: IntArray) -> IntArray:
        """Locate ranks in [0, total), in any order: shape (n,)."""
        found: IntArray = self._first[ranks // self._width]
        for _ in range(_STEPS):
            late = np.flatnonzero(self.offsets[found + 1] <= ranks)
            if not len(late):
                return found
            found[late] += 1
        late = np.flatnonzero(self.offsets[found + 1] <= ranks)
        found[late] = np.searchsorted(self.offsets, ranks[late], side="right") - 1
        return found


def triangular_pair(ranks: IntArray) -> tuple[IntArray, IntArray]:
    """Turn ranks into pairs (low, high), 0 <= low < high, whatever their number.

    Pairs are numbered (0, 1), (0, 2), (1, 2), (0, 3), ...: rank = high (high - 1) / 2
    + low.

    Parameters
    ----------
    ranks : ndarray of int of shape (n,)
        In [0, 2 ** 50): there the square root is exact enough, as 1 + 8 rank is a
        float64, and the square of an odd number just where a new `high` begins.

    Examples
    --------
    >>> low, high = triangular_pair(np.arange(5))
    >>> list(zip(low.tolist(), high.tolist()))
    [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3)]
    """
    root = np.sqrt(8.0 * ranks + 1)
    high = ((root + 1) * 0.5).astype(np.int64)
    return ranks - ((high * (high - 1)) >> 1), high


def concatenated_ranges(starts: IntArray, sizes: IntArray) -> IntArray:
    """Concatenate arange(start, start + size), without a loop.

    Examples
    --------
    >>> concatenated_ranges(np.array([0, 7]), np.array([3, 2]))
    array([0, 1, 2, 7, 8])
    """
    offsets = offsets_of(sizes)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)


def shuffled_responses(
    layout: PromptLayout, prompts: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Shuffle the responses of each of some prompts (a prompt may occur twice).

    Returns
    -------
    rows : ndarray of int of shape (sum of K,)
        Rows of the pool, those of one occurrence of a prompt adjacent.
    starts : ndarray of int of shape (len(prompts) + 1,)
        Where each occurrence begins.
    """
    sizes = layout.sizes[prompts]
    starts = offsets_of(sizes)
    rows = layout.order[concatenated_ranges(layout.starts[prompts], sizes)]
    occurrence = np.repeat(np.arange(len(prompts)), sizes)
    shuffle: AnyArray = np.lexsort((rng.random(len(rows)), occurrence))
    return rows[shuffle], starts


_STEPS = 4
