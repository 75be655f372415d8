"""Strategy: the contract of what proposes pairs, and selection under caps."""

from abc import ABC, abstractmethod

import numpy as np

from embrm._typing import BoolArray, FloatArray, IntArray, RandomState
from embrm._validation import check_count, check_random_state
from embrm.active.candidates import Candidates
from embrm.active.posterior import RewardPosterior
from embrm.exceptions import InvalidInputError, invalid_input


class Strategy(ABC):
    """Proposes which pairs to label next; a small object without state."""

    def propose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        random_state: RandomState = None,
    ) -> IntArray:
        """Propose pairs to label.

        Parameters
        ----------
        candidates : Candidates
            Among which to choose.
        posterior : RewardPosterior
            Of the rewards of the pool's items, given the labels so far.
        n : int >= 1
            How many pairs.
        random_state : int, Generator, RandomState or None, default=None

        Returns
        -------
        ndarray of int of shape (n, 2)
            Distinct rows of `candidates.ids`, the most wanted first.

        Raises
        ------
        InvalidInputError
            If there are fewer candidates, or the cap per prompt leaves fewer.
        """
        n = check_count(n, "n")
        if len(posterior) != len(candidates.pool):
            raise invalid_input(
                f"a posterior of the pool's {len(candidates.pool)} items",
                f"one of {len(posterior)}",
                "make it from pool.items",
            )
        if n > len(candidates):
            raise _too_few(n, len(candidates), "draw more of them")
        chosen = self._choose(
            candidates, posterior, n, check_random_state(random_state)
        )
        return candidates.ids[chosen]

    @abstractmethod
    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        """Choose n rows of the candidates, within the cap per prompt."""


class ValueStrategy(Strategy):
    """A strategy that values each pair by itself, and takes the most valuable."""

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        value = self.values(candidates, posterior, rng)
        return take_best(candidates, candidates.per_cost(value), n)

    @abstractmethod
    def values(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        random_state: RandomState = None,
    ) -> FloatArray:
        """Value every candidate, shape (n_candidates,), >= 0; more is better."""


class PromptCap:
    """Counts the pairs taken of each prompt, and says which may still be taken.

    Parameters
    ----------
    candidates : Candidates
        Pairs `beside` them are counted from the beginning.
    """

    def __init__(self, candidates: Candidates) -> None:
        self._cap = candidates.per_prompt
        self._n = len(candidates)
        if self._cap is not None:
            self._prompts = candidates.prompts
            self._taken = np.zeros(len(candidates.pool.prompts), dtype=np.intp)
            for prompts in candidates.prompts_of(candidates.beside):
                self._taken[np.unique(prompts)] += 1

    def is_full(self, row: int) -> bool:
        """Say whether a prompt of this candidate has all the pairs it may have."""
        if self._cap is None:
            return False
        return bool((self._taken[self._prompts[row]] >= self._cap).any())

    def open(self, rows: IntArray) -> IntArray:
        """Keep those of some candidates that may still be taken."""
        if self._cap is None:
            return rows
        return rows[(self._taken[self._prompts[rows]] < self._cap).all(axis=1)]

    def full(self) -> BoolArray:
        """Mark the candidates of prompts that have all the pairs they may have."""
        if self._cap is None:
            return np.zeros(self._n, dtype=bool)
        return np.asarray((self._taken >= self._cap)[self._prompts].any(axis=1))

    def take(self, row: int) -> bool:
        """Count a pair; say whether some prompt has become full by it."""
        if self._cap is None:
            return False
        prompts = np.unique(self._prompts[row])
        self._taken[prompts] += 1
        return bool((self._taken[prompts] >= self._cap).any())


class Taker:
    """Takes candidates one after another, none twice and within the cap per prompt.

    Parameters
    ----------
    candidates : Candidates
    n : int
        How many are wanted.

    Attributes
    ----------
    open : ndarray of bool of shape (n_candidates,)
        Which may still be taken.
    taken : list of int
        Rows, in their order.
    """

    def __init__(self, candidates: Candidates, n: int) -> None:
        self._candidates, self._n = candidates, n
        self._cap = PromptCap(candidates)
        self.open = ~self._cap.full()
        self.taken: list[int] = []

    def take_best(self, value: FloatArray) -> int:
        """Take the open candidate of most value; the first of equals."""
        row = int(np.argmax(np.where(self.open, value, -np.inf)))
        self.take(row)
        return row

    def take(self, row: int) -> None:
        """Take a candidate; an error if it is not open."""
        if not self.open[row]:
            raise too_few_by_cap(self._candidates, self._n, len(self.taken))
        self.taken.append(row)
        self.open[row] = False
        if self._cap.take(row):
            self.open &= ~self._cap.full()


def take_best(candidates: Candidates, value: FloatArray, n: int) -> IntArray:
    """Take the n candidates of most value, within the cap; earlier ones of equals."""
    order = np.argsort(-value, kind="stable")
    if candidates.per_prompt is None:
        return order[:n]
    cap, chosen = PromptCap(candidates), []
    for row in order.tolist():
        if not cap.is_full(row):
            cap.take(row)
            chosen.append(row)
            if len(chosen) == n:
                return np.array(chosen, dtype=np.intp)
    raise too_few_by_cap(candidates, n, len(chosen))


def too_few_by_cap(candidates: Candidates, n: int, found: int) -> InvalidInputError:
    """Make the error of a cap that leaves too few pairs."""
    fix = f"draw more candidates, or raise per_prompt above {candidates.per_prompt}"
    return _too_few(n, found, fix)


def _too_few(n: int, found: int, fix: str) -> InvalidInputError:
    return invalid_input(f"{n} candidates to choose", f"{found}", fix)
