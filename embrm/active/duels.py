"""Strategies in which the responses to a prompt compete: duelling bandits."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_positive
from embrm.active.candidates import Candidates
from embrm.active.posterior import RewardPosterior
from embrm.active.strategy import PromptCap, Strategy, too_few_by_cap


class Duels(Strategy):
    """Prompts in random order, again and again; at each visit one pair of its items.

    Candidates across prompts form one arena of all their items.
    """

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        arenas, cap = _arenas(candidates), PromptCap(candidates)
        chosen: list[int] = []
        while len(chosen) < n:
            before = len(chosen)
            for number in rng.permutation(len(arenas))[: n - before].tolist():
                rows = arenas[number]
                if len(rows) and not cap.is_full(int(rows[0])):
                    at = self._duel(candidates.ids[rows], posterior, rng)
                    cap.take(int(rows[at]))
                    chosen.append(int(rows[at]))
                    arenas[number] = np.delete(rows, at)
            arenas = [rows for rows in arenas if len(rows)]
            arenas = [rows for rows in arenas if not cap.is_full(int(rows[0]))]
            if len(chosen) == before and not arenas:
                raise too_few_by_cap(candidates, n, len(chosen))
        return np.array(chosen, dtype=np.intp)

    @abstractmethod
    def _duel(
        self, ids: IntArray, posterior: RewardPosterior, rng: np.random.Generator
    ) -> int:
        """Choose one of the pairs of an arena."""


def _arenas(candidates: Candidates) -> list[IntArray]:
    """Group the rows of candidates by prompt; those across prompts are one group."""
    prompts = candidates.prompts
    group = np.where(prompts[:, 0] == prompts[:, 1], prompts[:, 0], -1)
    order = np.argsort(group, kind="stable")
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    return list(np.split(order, cuts))


@dataclass(frozen=True)
class DoubleThompson(Duels):
    """Double Thompson sampling: the best by one draw, the best other by a second.

    References
    ----------
    Wu, Liu 2016, Double Thompson sampling for dueling bandits, arXiv:1604.07101.
    """

    def _duel(
        self, ids: IntArray, posterior: RewardPosterior, rng: np.random.Generator
    ) -> int:
        one, other = _two_draws(ids, posterior, rng)
        return _best_and_partner(ids, one, other)


@dataclass(frozen=True)
class ReversedThompson(Duels):
    """DRTS: the best by one draw of the posterior against the worst by a second.

    References
    ----------
    ActiveUltraFeedback (ICML 2026), "double reversed Thompson sampling".
    """

    def _duel(
        self, ids: IntArray, posterior: RewardPosterior, rng: np.random.Generator
    ) -> int:
        one, other = _two_draws(ids, posterior, rng)
        return _best_and_partner(ids, one, -other)


@dataclass(frozen=True)
class MaxMinLCB(Duels):
    r"""The most robust item against the opponent that threatens it most.

    With :math:`L(i, j) = \delta_{ij} - \beta s_{ij}`, the leader is :math:`\arg\max_i
    \min_j L(i, j)` among items that may be the best (:math:`\delta_{ij} + \beta s_{ij}
    \ge 0` for all j), and the follower :math:`\arg\min_j L(i, j)`.

    Parameters
    ----------
    width : float >= 0, default=1.0
        :math:`\beta`, in standard deviations of the delta.

    References
    ----------
    Pásztor et al. 2024, Bandits with preference feedback: a Stackelberg game
    perspective, arXiv:2406.16745.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.width, "width", zero=True)

    def _duel(
        self, ids: IntArray, posterior: RewardPosterior, rng: np.random.Generator
    ) -> int:
        del rng
        items, local = np.unique(ids, return_inverse=True)
        local = local.reshape(ids.shape)
        delta, reach = posterior.delta(ids), self.width * posterior.std(ids)
        worst, least_upper = np.full((2, len(items)), np.inf)
        for side, sign in ((0, 1.0), (1, -1.0)):
            np.minimum.at(worst, local[:, side], sign * delta - reach)
            np.minimum.at(least_upper, local[:, side], sign * delta + reach)
        plausible = least_upper >= 0
        # The item of highest reward is always plausible against those it meets.
        leader = int(np.argmax(np.where(plausible, worst, -np.inf)))
        is_first, is_second = (local == leader).T
        lower = np.where(is_first, delta, -delta) - reach
        return int(np.argmin(np.where(is_first | is_second, lower, np.inf)))


def _two_draws(
    ids: IntArray, posterior: RewardPosterior, rng: np.random.Generator
) -> FloatArray:
    """Draw rewards of the items of pairs twice, shape (2, n_pairs, 2)."""
    items, local = np.unique(ids, return_inverse=True)
    belief = RewardPosterior(posterior.reward[items], posterior.coordinates[items])
    return belief.sample(2, rng)[:, local.reshape(ids.shape)]


def _best_and_partner(ids: IntArray, one: FloatArray, other: FloatArray) -> int:
    """Find the item with the most of `one`, and its partner with the most of `other`.

    All are of shape (n_pairs, 2).
    """
    best = ids.ravel()[int(np.argmax(one))]
    is_first, is_second = (ids == best).T
    partner = np.where(is_first, other[:, 1], other[:, 0])
    return int(np.argmax(np.where(is_first | is_second, partner, -np.inf)))
