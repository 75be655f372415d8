"""PairingDesign: the contract of everything that decides which pairs are annotated."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np

from embrm._typing import AnyArray, FloatArray, IntArray, RandomState
from embrm._validation import check_count, check_random_state, type_name
from embrm.exceptions import invalid_input
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


def distinct_ranks(size: int, n: int, rng: np.random.Generator) -> IntArray:
    """Draw n distinct integers of [0, size), in random order.

    Every ordered draw without repetition is equally likely, so every prefix is such a
    draw too. Memory is O(n), however large `size` is (numpy's own `choice` may take
    O(size)).

    Parameters
    ----------
    size : int
        At most 2 ** 62.
    n : int <= size
    rng : Generator

    Returns
    -------
    ndarray of int64 of shape (n,)

    Examples
    --------
    >>> ranks = distinct_ranks(10**12, 5, np.random.default_rng(0))
    >>> len(set(ranks.tolist()))
    5
    """
    if n > _MOST * size:
        return rng.permutation(size)[:n]
    # The first n distinct values of an endless uniform sequence are such a draw.
    repeats = -size * np.log1p(-n / size) - n
    drawn = rng.integers(size, size=n + int(repeats + 4 * np.sqrt(repeats)) + 16)
    kept = first_occurrences(drawn, size)
    while len(kept) < n:
        more = rng.integers(size, size=2 * (n - len(kept)) + 16)
        kept = first_occurrences(np.concatenate([kept, more]), size)
    return kept[:n]


def first_occurrences(values: IntArray, size: int) -> IntArray:
    """Leave out every value that has come before; values lie in [0, size)."""
    n = len(values)
    n_bits = n.bit_length()
    first = np.ones(n, dtype=bool)
    if size.bit_length() + n_bits <= 63:
        # Value and position in one integer: sorting it is much faster than argsort.
        keys = values << n_bits
        keys |= np.arange(n)
        keys.sort()
        # Neighbours of equal value differ in the bits of the position alone.
        repeated = np.flatnonzero((keys[1:] ^ keys[:-1]) < 1 << n_bits) + 1
        first[keys[repeated] & ((1 << n_bits) - 1)] = False
    else:
        order = np.argsort(values, kind="stable")
        first[order[1:][values[order[1:]] == values[order[:-1]]]] = False
    return values[first]


# Up to this share, sorting away repeated draws is faster than shuffling everything.
_MOST = 0.9


Ends: TypeAlias = tuple[IntArray, IntArray]
"""Rows of the two items of each pair of a block, each (n,)."""


class PairingDesign(ABC):
    """Decides which pairs are annotated; draws rows of a pool, and copies no vector.

    Attributes
    ----------
    replacement : bool
        Whether a pair may be drawn again. Without, no unordered pair occurs twice.
        No item is ever paired with itself.
    enumerates : bool
        Whether `max_pairs` pairs drawn without replacement are all that the design can
        draw, and so the same ones whatever the seed.
    """

    replacement: bool
    enumerates: ClassVar[bool] = False

    @abstractmethod
    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the pairs that can be drawn from a pool without replacement."""

    @abstractmethod
    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        """Draw pairs within the budget, block by block, in any orientation."""

    def draw(
        self, pool: CandidatePool, n_pairs: int, random_state: RandomState = None
    ) -> IntArray:
        """Draw pairs.

        Parameters
        ----------
        pool : CandidatePool
            Prompts may differ in their number of responses.
        n_pairs : int >= 1
        random_state : int, Generator, RandomState or None, default=None

        Returns
        -------
        ndarray of int of shape (n_pairs, 2)
            Rows of the pool's items, first and second, which is which at random; in
            random order, except that designs of groups keep a group together.

        Raises
        ------
        InvalidInputError
            If the pool has no such pair, or too few without replacement.
        """
        n_pairs = check_count(n_pairs, "n_pairs")
        rng = check_random_state(random_state)
        self._check_budget(n_pairs, self.max_pairs(pool))
        ids = np.empty((n_pairs, 2), dtype=np.intp)
        done = 0
        for one, other in self._draw(pool, n_pairs, rng):
            block = ids[done : done + len(one)]
            # Exchanges the two where a bit is drawn; several times as fast as `where`.
            exchange = (one ^ other) * rng.integers(0, 2, len(one), dtype=bool)
            np.bitwise_xor(one, exchange, out=block[:, 0])
            np.bitwise_xor(other, exchange, out=block[:, 1])
            done += len(one)
        return ids

    def draw_labelled(
        self,
        pool: CandidatePool,
        n_pairs: int,
        ask: Callable[[IntArray], FloatArray],
        random_state: RandomState = None,
    ) -> IntArray:
        """Draw pairs and have them labelled; designs may go by the labels so far.

        Parameters
        ----------
        pool, n_pairs, random_state
            As for `draw`.
        ask : callable
            Returns the labels of pairs; every drawn pair is asked once, in order.

        Returns
        -------
        ndarray of int of shape (n_pairs, 2)
            What was asked.
        """
        ids = self.draw(pool, n_pairs, random_state)
        ask(ids)
        return ids

    def with_replacement(self, *, replacement: bool = True) -> Self:
        """Copy this design, with replacement or without."""
        twin = copy.copy(self)
        object.__setattr__(twin, "replacement", replacement)
        return twin

    def _check_budget(self, n_pairs: int, possible: int) -> None:
        if possible == 0:
            raise invalid_input(
                f"a pool in which {self!r} can form a pair",
                "one in which it cannot",
                "add responses or prompts, or choose another design",
            )
        if n_pairs > possible and not self.replacement:
            raise invalid_input(
                f"n_pairs of at most {possible:,}, all that {self!r} has in this pool",
                f"{n_pairs:,}",
                f"ask for {possible:,} or fewer, enlarge the pool, or allow repeated "
                "pairs by replacement=True",
            )


class EnumeratingDesign(PairingDesign):
    """A design that numbers all pairs it may draw, and draws numbers uniformly."""

    enumerates: ClassVar[bool] = True

    @abstractmethod
    def _pair_of_rank(self, pool: CandidatePool) -> Callable[[IntArray], Ends]:
        """Return the function from ranks in [0, max_pairs) to pairs."""

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        ranks = self._ranks(pool, n_pairs, rng)
        pair_of_rank = self._pair_of_rank(pool)
        # Blocks stay in the processor's cache, and temporary arrays small.
        for start in range(0, n_pairs, _BLOCK):
            yield pair_of_rank(ranks[start : start + _BLOCK])

    def _ranks(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> IntArray:
        size = self.max_pairs(pool)
        if self.replacement:
            return rng.integers(size, size=n_pairs)
        return distinct_ranks(size, n_pairs, rng)


def as_design(design: Any) -> PairingDesign:
    """Refuse what is no pairing design, such as its class or an annotator."""
    if not isinstance(design, PairingDesign):
        raise invalid_input(
            "a pairing design",
            type_name(design),
            "e.g. SamePrompt(); the order is simulate(pool, design, annotator, "
            "n_pairs)",
        )
    return design


_BLOCK = 1 << 16
