"""Tournament: single elimination, so that good responses meet good ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.design import Ends, PairingDesign
from embrm.simulate.layout import PromptLayout, offsets_of, shuffled_responses


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
    """Play all tournaments side by side, a round at a time."""
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
    plays: BoolArray = (place % 2 == 0) & ~last
    return plays
