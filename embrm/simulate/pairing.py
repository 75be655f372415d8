"""Pairing designs: which pairs of a pool are annotated.

A design numbers all pairs it may draw and turns drawn numbers into rows, so that
drawing without replacement is exact and needs memory for the pairs drawn alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import check_share
from embrm.exceptions import invalid_input
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.design import (
    Ends,
    EnumeratingDesign,
    Locator,
    PairingDesign,
    PromptLayout,
    offsets_of,
    shuffled_responses,
    triangular_pair,
)
from embrm.simulate.kwise import (
    BestVersusWorst,
    DiverseResponses,
    KWise,
    SimilarResponses,
)

__all__ = [
    "BestVersusWorst",
    "CrossPrompt",
    "DiverseResponses",
    "KWise",
    "MixedPrompt",
    "PairingDesign",
    "RankWindow",
    "SamePrompt",
    "SimilarResponses",
    "Tournament",
]


@dataclass(frozen=True)
class SamePrompt(EnumeratingDesign):
    """Two responses to one prompt: every such pair of the pool is equally likely.

    A prompt with more responses has more pairs, and is drawn more often.

    Parameters
    ----------
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(5), ["a", "a", "a", "b", "b"])
    >>> design = SamePrompt()
    >>> design.max_pairs(pool)
    4
    >>> ids = design.draw(pool, 4, random_state=0)
    >>> sorted(sorted(pair) for pair in ids.tolist())
    [[0, 1], [0, 2], [1, 2], [3, 4]]
    """

    replacement: bool = False

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the same-prompt pairs: the sum of K (K - 1) / 2."""
        return int((pool.sizes * (pool.sizes - 1) // 2).sum())

    def _pair_of_rank(self, pool: CandidatePool) -> Callable[[IntArray], Ends]:
        layout = PromptLayout.of(pool)
        offsets = offsets_of(layout.sizes * (layout.sizes - 1) // 2)
        locate = Locator(offsets)

        def pair_of_rank(ranks: IntArray) -> Ends:
            prompt = locate(ranks)
            low, high = triangular_pair(ranks - offsets[prompt])
            start = layout.starts[prompt]
            return layout.order[start + low], layout.order[start + high]

        return pair_of_rank


@dataclass(frozen=True)
class CrossPrompt(EnumeratingDesign):
    """Two responses to different prompts: every such pair is equally likely.

    Where all prompts have the same number of responses, this is a random second prompt
    and one response to each, as in arXiv:2411.04991, section 4.

    Parameters
    ----------
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(4), ["a", "a", "a", "b"])
    >>> ids = CrossPrompt().draw(pool, 3, random_state=0)
    >>> sorted(sorted(pair) for pair in ids.tolist())
    [[0, 3], [1, 3], [2, 3]]
    """

    replacement: bool = False

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the pairs of items whose prompts differ."""
        return int(self._offsets(PromptLayout.of(pool))[-1])

    def _pair_of_rank(self, pool: CandidatePool) -> Callable[[IntArray], Ends]:
        layout = PromptLayout.of(pool)
        offsets = self._offsets(layout)
        locate = Locator(offsets)

        def pair_of_rank(ranks: IntArray) -> Ends:
            prompt = locate(ranks)
            start = layout.starts[prompt]
            within = ranks - offsets[prompt]
            response = within // start
            earlier = within - response * start
            return layout.order[earlier], layout.order[start + response]

        return pair_of_rank

    @staticmethod
    def _offsets(layout: PromptLayout) -> IntArray:
        """Count, prompt by prompt, the pairs of its items with all items before."""
        return offsets_of(layout.sizes * layout.starts[:-1])


@dataclass(frozen=True)
class MixedPrompt(PairingDesign):
    """Same- and cross-prompt pairs in a given share, in random order.

    Parameters
    ----------
    share : float in [0, 1]
        Share of cross-prompt pairs; of n pairs, exactly `share * n` (rounded) are.
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(6), [0, 0, 0, 1, 1, 1])
    >>> ids = MixedPrompt(0.25).draw(pool, 8, random_state=0)
    >>> int((pool.prompt_ids[ids[:, 0]] != pool.prompt_ids[ids[:, 1]]).sum())
    2
    """

    share: float
    replacement: bool = False

    def __post_init__(self) -> None:
        check_share(self.share, "share of cross-prompt pairs")

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the pairs until either kind runs out."""
        same, cross = SamePrompt().max_pairs(pool), CrossPrompt().max_pairs(pool)
        bounds = [(cross, self.share), (same, 1 - self.share)]
        n = min(int((most + 1) / share) for most, share in bounds if share > 0) + 1
        while n and (self._n_cross(n) > cross or n - self._n_cross(n) > same):
            n -= 1
        return n

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        n_cross = self._n_cross(n_pairs)
        ids = np.empty((n_pairs, 2), dtype=np.intp)
        place = rng.permutation(n_pairs)
        for design, at in (
            (CrossPrompt(self.replacement), place[:n_cross]),
            (SamePrompt(self.replacement), place[n_cross:]),
        ):
            if len(at):
                ids[at] = design.draw(pool, len(at), rng)
        yield ids[:, 0], ids[:, 1]

    def _n_cross(self, n_pairs: int) -> int:
        return int(self.share * n_pairs + 0.5)


@dataclass(frozen=True)
class RankWindow(EnumeratingDesign):
    """The response of gold rank `low` against the one of rank `high`, same prompt.

    The diversity stress of arXiv:2411.04991: of ten responses, `RankWindow(4, 5)`
    pairs two of middling gold, `RankWindow(0, 9)` the worst with the best. Each prompt
    has one such pair.

    Parameters
    ----------
    low, high : int or float
        An int is a rank, from 0 for the lowest gold; negative ones count from the
        highest, -1. A float in [0, 1] is a quantile q, rank `round(q * (K - 1))`, which
        adapts to prompts of different size: `1` is the second lowest rank, `1.0` the
        highest. Prompts in which `low` is not below `high`, or which have too few
        responses, are left out. Responses of equal gold rank in the pool's order.
    replacement : bool, default=False
        Whether a pair may be drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> gold = [3.0, 1.0, 2.0, 5.0, 9.0]
    >>> pool = CandidatePool(np.eye(5), ["a", "a", "a", "b", "b"], gold=gold)
    >>> sorted(RankWindow(0, 2).draw(pool, 1).ravel().tolist())
    [0, 1]
    >>> RankWindow(0, -1).max_pairs(pool), RankWindow(0.0, 0.5).max_pairs(pool)
    (2, 2)
    """

    low: int | float
    high: int | float
    replacement: bool = False

    def __post_init__(self) -> None:
        for name, rank in (("low", self.low), ("high", self.high)):
            _check_rank(rank, name)
        same_kind = isinstance(self.low, float) == isinstance(self.high, float)
        same_end = (self.low >= 0) == (self.high >= 0)
        if same_kind and same_end and self.low >= self.high:
            raise invalid_input(
                "a rank low below the rank high",
                f"low={self.low}, high={self.high}",
                "swap them; which response stands first is drawn at random",
            )

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the prompts that have both ranks."""
        return len(self._ranks_of(pool.sizes)[0])

    def _pair_of_rank(self, pool: CandidatePool) -> Callable[[IntArray], Ends]:
        gold = require_gold(pool, repr(self))
        layout = PromptLayout.of(pool)
        by_gold = np.lexsort((gold, layout.codes))
        prompts, low, high = self._ranks_of(layout.sizes)
        start = layout.starts[prompts]
        one, other = by_gold[start + low], by_gold[start + high]
        return lambda drawn: (one[drawn], other[drawn])

    def _ranks_of(self, sizes: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """List the prompts that have both ranks, and the ranks in each."""
        low, high = _as_rank(self.low, sizes), _as_rank(self.high, sizes)
        prompts = np.flatnonzero((low >= 0) & (low < high) & (high < sizes))
        return prompts, low[prompts], high[prompts]


def _as_rank(rank: int | float, sizes: IntArray) -> IntArray:
    if isinstance(rank, float):
        return np.asarray(np.floor(rank * (sizes - 1) + 0.5).astype(np.intp))
    return sizes + rank if rank < 0 else np.full(len(sizes), rank)


def _check_rank(rank: Any, name: str) -> None:
    if isinstance(rank, float):
        check_share(rank, f"quantile {name}")
    elif isinstance(rank, bool) or not isinstance(rank, int | np.integer):
        raise invalid_input(
            f"{name} as an int (a rank) or a float in [0, 1] (a quantile)",
            repr(rank)[:60],
            "e.g. RankWindow(0, 9), RankWindow(0, -1) or RankWindow(0.25, 0.75)",
        )


@dataclass(frozen=True)
class Tournament(PairingDesign):
    """A knock-out among the responses to a prompt: K - 1 pairs, the last one the final.

    The bracket is random, and whoever has the higher gold goes on; with an odd number
    of players the last one goes on unplayed. Gold alone decides who goes on, so that
    the pairs do not depend on the annotator. (For a round robin, see `KWise`.)

    Whole tournaments are drawn, prompts in random order; the matches of one are
    adjacent, round after round, and the last tournament is cut where the budget ends.

    Parameters
    ----------
    replacement : bool, default=False
        Whether a prompt may have several tournaments, and so a pair occur again.

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(4), [0, 0, 0, 0], gold=[1.0, 4.0, 2.0, 3.0])
    >>> design = Tournament()
    >>> design.max_pairs(pool)
    3
    >>> 1 in design.draw(pool, 3, random_state=0)[-1]
    True
    """

    replacement: bool = False

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the matches of one tournament for each prompt: the sum of K - 1."""
        return len(pool) - len(pool.sizes)

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        gold = require_gold(pool, repr(self))
        layout = PromptLayout.of(pool)
        prompts = self._prompts(layout.sizes, n_pairs, rng)
        players, starts = shuffled_responses(layout, prompts, rng)
        tournament = np.repeat(np.arange(len(prompts)), np.diff(starts))
        one, other = _matches(players, tournament, gold)
        yield one[:n_pairs], other[:n_pairs]

    def _prompts(
        self, sizes: IntArray, n_pairs: int, rng: np.random.Generator
    ) -> IntArray:
        """Draw prompts, until their matches suffice."""
        able = np.flatnonzero(sizes > 1)
        if not self.replacement:
            drawn = rng.permutation(able)
        else:
            most = -(-n_pairs // int(sizes[able].min() - 1))
            drawn = able[rng.integers(len(able), size=most)]
        matches = np.cumsum(sizes[drawn] - 1)
        return drawn[: int(np.searchsorted(matches, n_pairs)) + 1]


def _matches(
    players: IntArray, tournament: IntArray, gold: FloatArray
) -> tuple[IntArray, IntArray]:
    """Play all tournaments in parallel, a round at a time."""
    ones, others, played = [], [], []
    while True:
        first = _plays(tournament)
        if not first.any():
            break
        at = np.flatnonzero(first)
        one, other = players[at], players[at + 1]
        ones.append(one)
        others.append(other)
        played.append(tournament[at])
        out = np.where(gold[other] > gold[one], at, at + 1)
        stays = np.ones(len(players), dtype=bool)
        stays[out] = False
        players, tournament = players[stays], tournament[stays]
    order = np.argsort(np.concatenate(played), kind="stable")
    return np.concatenate(ones)[order], np.concatenate(others)[order]


def _plays(tournament: IntArray) -> BoolArray:
    """Mark the players that meet the next one in line: every other of a tournament."""
    sizes = np.bincount(tournament)
    place = np.arange(len(tournament)) - offsets_of(sizes)[tournament]
    last = np.ones(len(tournament), dtype=bool)
    last[:-1] = tournament[1:] != tournament[:-1]
    return np.asarray((place % 2 == 0) & ~last)
