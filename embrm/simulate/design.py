"""PairingDesign: the contract of everything that decides which pairs are annotated."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np

from embrm._typing import IntArray, RandomState
from embrm._validation import check_count, check_random_state, invalid_input, type_name
from embrm.pool import CandidatePool
from embrm.simulate.distinct import distinct_ranks

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
