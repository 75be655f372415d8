"""Designs that draw several responses to a prompt at once."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embrm._typing import IntArray
from embrm._validation import check_count
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.design import (
    Ends,
    Locator,
    PairingDesign,
    PromptLayout,
    distinct_ranks,
    offsets_of,
    shuffled_responses,
    triangular_pair,
)


class _Groups(PairingDesign):
    """Groups of distinct responses to one prompt, each giving the same number of pairs.

    Without replacement, the groups of a prompt share no response, so no pair can occur
    twice; a prompt has floor(K / size) of them. With replacement, each group is drawn
    afresh, from prompts in proportion to that number.
    """

    @property
    @abstractmethod
    def _group_size(self) -> int:
        """How many responses a group has."""

    @property
    @abstractmethod
    def _pairs_per_group(self) -> int:
        """How many pairs a group gives."""

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the pairs of all groups that share no response."""
        return int((pool.sizes // self._group_size).sum()) * self._pairs_per_group

    def _groups(
        self, layout: PromptLayout, n_pairs: int, rng: np.random.Generator
    ) -> IntArray:
        """Draw as many groups as n_pairs need: rows, shape (n_groups, group size)."""
        n_groups = -(-n_pairs // self._pairs_per_group)
        offsets = offsets_of(layout.sizes // self._group_size)
        if self.replacement:
            prompts = Locator(offsets)(rng.integers(offsets[-1], size=n_groups))
            within = random_subsets(layout.sizes[prompts], self._group_size, rng)
            afresh: IntArray = layout.order[layout.starts[prompts, None] + within]
            return afresh
        ranks = distinct_ranks(int(offsets[-1]), n_groups, rng)
        owner = Locator(offsets)(ranks)
        prompts, occurrence = np.unique(owner, return_inverse=True)
        rows, starts = shuffled_responses(layout, prompts, rng)
        first = starts[occurrence] + (ranks - offsets[owner]) * self._group_size
        groups: IntArray = rows[first[:, None] + np.arange(self._group_size)]
        return groups


@dataclass(frozen=True)
class KWise(_Groups):
    """All k (k - 1) / 2 pairs of k responses to a prompt, as when rankings are asked.

    InstructGPT (Ouyang et al. 2022, arXiv:2203.02155) has k = 4..9. The pairs of a
    group are adjacent; where n_pairs is no multiple of k (k - 1) / 2, the last group
    is cut.

    Parameters
    ----------
    k : int >= 2
        Responses in a group. Prompts with fewer are left out.
    replacement : bool, default=False
        Whether a response may occur in several groups, and so a pair again. Without,
        a prompt has floor(K / k) groups.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(7), [0, 0, 0, 0, 0, 0, 1])
    >>> design = KWise(3)
    >>> design.max_pairs(pool)
    6
    >>> ids = design.draw(pool, 6, random_state=0)
    >>> len(np.unique(ids[:3])), len(np.unique(ids[3:]))
    (3, 3)
    """

    k: int
    replacement: bool = False

    def __post_init__(self) -> None:
        check_count(self.k, "k", low=2)

    @property
    def _group_size(self) -> int:
        return self.k

    @property
    def _pairs_per_group(self) -> int:
        return self.k * (self.k - 1) // 2

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        groups = self._groups(PromptLayout.of(pool), n_pairs, rng)
        pair = np.arange(n_pairs)
        group = pair // self._pairs_per_group
        low, high = triangular_pair(pair - group * self._pairs_per_group)
        yield groups[group, low], groups[group, high]


@dataclass(frozen=True)
class BestVersusWorst(_Groups):
    """Of n responses to a prompt, the best by gold against the worst.

    Parameters
    ----------
    n : int >= 2
        Responses among which the two are found. Prompts with fewer are left out.
    replacement : bool, default=False
        Whether a response may occur in several groups, and so a pair again. Without,
        a prompt has floor(K / n) groups.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(4), [0, 0, 0, 0], gold=[1.0, 4.0, 2.0, 3.0])
    >>> sorted(BestVersusWorst(4).draw(pool, 1).ravel().tolist())
    [0, 1]
    """

    n: int
    replacement: bool = False

    def __post_init__(self) -> None:
        check_count(self.n, "n", low=2)

    @property
    def _group_size(self) -> int:
        return self.n

    @property
    def _pairs_per_group(self) -> int:
        return 1

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        gold = require_gold(pool, repr(self))
        groups = self._groups(PromptLayout.of(pool), n_pairs, rng)
        # A stable sort: of equal scores, best and worst are still two responses.
        order = np.argsort(gold[groups], axis=1, kind="stable")
        each = np.arange(n_pairs)
        yield groups[each, order[:, -1]], groups[each, order[:, 0]]


def random_subsets(
    sizes: IntArray, n_chosen: int, rng: np.random.Generator
) -> IntArray:
    """Draw n_chosen distinct integers of [0, size) for each size.

    Floyd's algorithm, all rows at once: memory O(n_rows * n_chosen) whatever the sizes.

    Parameters
    ----------
    sizes : ndarray of int of shape (n_rows,), >= n_chosen
    n_chosen : int
    rng : Generator

    Returns
    -------
    ndarray of int of shape (n_rows, n_chosen)
        Each set equally likely; the order within a row is not random.
    """
    chosen = np.empty((len(sizes), n_chosen), dtype=np.intp)
    for i in range(n_chosen):
        last = sizes - n_chosen + i
        candidate = rng.integers(last + 1)
        taken = (chosen[:, :i] == candidate[:, None]).any(axis=1)
        chosen[:, i] = np.where(taken, last, candidate)
    return chosen
