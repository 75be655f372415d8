"""Strategies in which the responses to a prompt compete: duelling bandits."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from embrm._typing import IntArray
from embrm._validation import check_count, check_positive
from embrm.active.candidates import Candidates
from embrm.active.posterior import RewardPosterior
from embrm.active.strategy import PromptCap, Strategy, too_few_by_cap


class Duels(Strategy):
    """Prompts in random order, again and again; at each visit one pair of its items.

    Candidates across prompts form one arena of all their items. Costs of labels play no
    part in a duel.
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
            for number in rng.permutation(len(arenas))[: n - len(chosen)].tolist():
                rows = cap.open(arenas[number])
                if len(rows):
                    at = self._duel(candidates.ids[rows], posterior, rng)
                    cap.take(int(rows[at]))
                    chosen.append(int(rows[at]))
                    rows = np.delete(rows, at)
                arenas[number] = rows
            arenas = [rows for rows in arenas if len(rows)]
            if len(chosen) < n and not arenas:
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
    """Double Thompson sampling: the best by one draw, and the best by another.

    As often as the second draw has the same item for best it is drawn again; after
    `most_draws` the partner is drawn at random.

    Parameters
    ----------
    most_draws : int >= 1, default=10

    References
    ----------
    Wu, Liu 2016, Double Thompson sampling for dueling bandits, arXiv:1604.07101;
    ActiveUltraFeedback (ICML 2026), acquisition function "DTS".
    """

    most_draws: int = 10

    def __post_init__(self) -> None:
        check_count(self.most_draws, "most_draws")

    def _duel(
        self, ids: IntArray, posterior: RewardPosterior, rng: np.random.Generator
    ) -> int:
        return _two_draws(ids, posterior, rng, 1.0, self.most_draws)


@dataclass(frozen=True)
class ReversedThompson(Duels):
    """DRTS: the best by one draw of the posterior against the worst by another.

    As often as the worst is the same item it is drawn again; after `most_draws` the
    partner is drawn at random.

    Parameters
    ----------
    most_draws : int >= 1, default=30

    References
    ----------
    ActiveUltraFeedback (ICML 2026), "double reversed Thompson sampling".
    """

    most_draws: int = 30

    def __post_init__(self) -> None:
        check_count(self.most_draws, "most_draws")

    def _duel(
        self, ids: IntArray, posterior: RewardPosterior, rng: np.random.Generator
    ) -> int:
        return _two_draws(ids, posterior, rng, -1.0, self.most_draws)


@dataclass(frozen=True)
class MaxMinLCB(Duels):
    r"""The most robust item against the opponent that threatens it most.

    With :math:`L(i, j) = \delta_{ij} - \beta s_{ij}`, the leader is :math:`\arg\max_i
    \min_j L(i, j)` and the follower :math:`\arg\min_j L(i, j)`, both among the items
    that may be the best (:math:`\delta_{ij} + \beta s_{ij} \ge 0` for all j). Where no
    candidate is of two such items, the follower is any.

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
        least_upper = np.full(len(items), np.inf)
        for side, sign in ((0, 1.0), (1, -1.0)):
            np.minimum.at(least_upper, local[:, side], sign * delta + reach)
        # The item of highest reward is always plausible against those it meets.
        plausible = least_upper >= 0
        both = plausible[local].all(axis=1)
        lower = np.stack([delta, -delta]) - reach
        if both.any():
            lower[:, ~both] = np.inf
        worst = np.full(len(items), np.inf)
        for side in (0, 1):
            np.minimum.at(worst, local[:, side], lower[side])
        met = plausible & np.isfinite(worst)
        leader = int(np.argmax(np.where(met, worst, -np.inf)))
        threat = np.where((local == leader).T, lower, np.inf)
        return int(np.argmin(threat.min(axis=0)))


def _two_draws(
    ids: IntArray,
    posterior: RewardPosterior,
    rng: np.random.Generator,
    sign: float,
    most: int,
) -> int:
    """Choose the pair of the best item of a draw with the best, or worst, of another.

    Of items that no candidate joins with the first, none can be the second.
    """
    items, local = np.unique(ids, return_inverse=True)
    local = local.reshape(ids.shape)
    belief = RewardPosterior(posterior.reward[items], posterior.coordinates[items])
    leader = int(np.argmax(belief.sample(1, rng)[0]))
    rows = np.flatnonzero((local == leader).any(axis=1))
    partners = local[rows].sum(axis=1) - leader
    for _ in range(most):
        draw = sign * belief.sample(1, rng)[0]
        best = int(np.argmax(draw[partners]))
        if draw[partners[best]] > draw[leader]:
            return int(rows[best])
    return int(rng.choice(rows))
