r"""BatchBALD: pairs whose labels together tell most about the rewards."""

from dataclasses import dataclass

import numpy as np
from scipy.special import entr, expit, xlogy

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_count
from embrm.active.candidates import Candidates
from embrm.active.posterior import RewardPosterior
from embrm.active.strategy import PromptCap, Strategy, too_few_by_cap

_PAIRS_AT_A_TIME = 1 << 14


@dataclass(frozen=True)
class BatchBALD(Strategy):
    r"""Greedily most mutual information between the labels of a batch and rewards.

    :math:`I(y_{1:B}; r) = H[y_{1:B}] - E_r \sum_i H[y_i \mid r]` over samples of the
    posterior. The joint entropy is exact while the label configurations are few, then
    estimated from configurations drawn from the samples.

    Parameters
    ----------
    n_samples : int >= 2, default=64
        Of the posterior.
    n_configurations : int >= 2, default=256
        Of labels.
    shortlist : int >= 1, default=2000
        Candidates that are looked at: those with the most information alone.

    References
    ----------
    Kirsch, van Amersfoort, Gal 2019, BatchBALD, arXiv:1906.08158, sections 3 and 4.
    """

    n_samples: int = 64
    n_configurations: int = 256
    shortlist: int = 2000

    def __post_init__(self) -> None:
        check_count(self.n_samples, "n_samples", 2)
        check_count(self.n_configurations, "n_configurations", 2)
        check_count(self.shortlist, "shortlist")

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        rewards = posterior.sample(self.n_samples, rng)
        alone = candidates.per_cost(_information(candidates.ids, rewards))
        alone[alone < 0] = 0.0
        size = max(n, self.shortlist)
        # A cap may close many of them: then all stay in view.
        rows = np.argsort(-alone, kind="stable")
        rows = rows if candidates.per_prompt is not None else rows[:size]
        chance = _chances(candidates.ids[rows], rewards)
        known = (entr(chance) + entr(1 - chance)).mean(axis=1)
        few = candidates.take(rows)
        joint = _Configurations(self.n_samples, self.n_configurations, rng)
        cap, open_ = PromptCap(few), np.ones(len(rows), dtype=bool)
        chosen = np.empty(n, dtype=np.intp)
        for step in range(n):
            gain = few.per_cost(joint.entropy_with(chance) - joint.entropy - known)
            gain[~open_] = -np.inf
            best = int(np.argmax(gain))
            if not open_[best]:
                raise too_few_by_cap(candidates, n, step)
            chosen[step] = best
            joint.add(chance[best])
            open_[best] = False
            if cap.take(best):
                open_ &= ~cap.full()
        return rows[chosen]


class _Configurations:
    """Labels that the pairs chosen so far may get, with their chance by each sample."""

    def __init__(self, n_samples: int, most: int, rng: np.random.Generator) -> None:
        self._most, self._rng = most, rng
        self._taken: list[FloatArray] = []
        self._chance = np.ones((1, n_samples))
        self._weight = np.ones(1)
        self.entropy = 0.0

    def add(self, chance: FloatArray) -> None:
        """Take a pair whose label is first with a chance (n_samples,)."""
        self.entropy = float(self.entropy_with(chance[None])[0])
        self._taken.append(chance)
        if 2 * len(self._chance) <= self._most and (self._weight == 1).all():
            self._chance = np.concatenate(
                [self._chance * chance, self._chance * (1 - chance)]
            )
            self._weight = np.ones(len(self._chance))
        else:
            self._draw()
            # Of the same configurations as what it is compared with.
            mean = self._chance.mean(axis=1)
            self.entropy = float(-(self._weight @ xlogy(mean, mean)))

    def entropy_with(self, chance: FloatArray) -> FloatArray:
        """Compute the joint entropy with each further pair (m, n_samples): (m,)."""
        total = np.zeros(len(chance))
        for outcome in (chance, 1 - chance):
            # Mean over samples of P(configuration) P(outcome).
            joint = self._chance @ outcome.T / chance.shape[1]
            total -= self._weight @ xlogy(joint, joint)
        return total

    def _draw(self) -> None:
        """Draw configurations, and weigh them by 1 / (their number x chance)."""
        chances = np.stack(self._taken)
        from_sample = self._rng.integers(chances.shape[1], size=self._most)
        labels = self._rng.random((self._most, len(chances))) < chances.T[from_sample]
        log_chance = labels @ np.log(chances) + ~labels @ np.log1p(-chances)
        self._chance = np.exp(log_chance)
        self._weight = 1 / (self._most * self._chance.mean(axis=1))


def _chances(ids: IntArray, rewards: FloatArray) -> FloatArray:
    """Compute P(first preferred) by every sample, shape (n_pairs, n_samples)."""
    delta = rewards[:, ids[:, 0]] - rewards[:, ids[:, 1]]
    # Bounded: no label is impossible, and configurations have finite logarithms.
    return np.asarray(expit(np.clip(delta, -30.0, 30.0)).T)


def _information(ids: IntArray, rewards: FloatArray) -> FloatArray:
    """Compute the information of each label alone, shape (n_pairs,)."""
    found = np.empty(len(ids))
    for start in range(0, len(ids), _PAIRS_AT_A_TIME):
        part = slice(start, start + _PAIRS_AT_A_TIME)
        chance = _chances(ids[part], rewards)
        known = (entr(chance) + entr(1 - chance)).mean(axis=1)
        mean = chance.mean(axis=1)
        found[part] = entr(mean) + entr(1 - mean) - known
    return found
