"""PromptEntropy: a strategy's values plus how new the prompts are (BAL-PM)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import check_count, check_positive, type_name
from embrm.active.candidates import Candidates
from embrm.active.posterior import RewardPosterior
from embrm.active.strategy import Strategy, Taker, ValueStrategy
from embrm.exceptions import invalid_input
from embrm.simulate.design import PromptLayout


@dataclass(frozen=True)
class PromptEntropy(Strategy):
    r"""Adds to a strategy's values the entropy that a prompt's features would add.

    Greedily takes the pair with the most :math:`u / s_u + \beta (\log D(x) -
    \psi(n(x) + 1))` for values u of the strategy, their standard deviation
    :math:`s_u`, the distance D of the prompt to the k-th nearest one of the pool, and
    the number n of pairs within it that are labelled or proposed before: Kraskov's
    estimate of the entropy of the labelled prompts' features, up to constants. Features
    of a prompt are the mean of its items' vectors; of a pair across prompts the larger
    entropy counts.

    Parameters
    ----------
    base : ValueStrategy
        E.g. `ExplorationPair()`.
    weight : float >= 0, default=1.0
        :math:`\beta`.
    k : int >= 1, default=13
        Neighbours, the prompt itself among them; all prompts where there are fewer.

    References
    ----------
    Melo et al. 2024, Deep Bayesian active learning for preference modeling in large
    language models, arXiv:2406.10023, section 4; k, and 1 for the dimension of the
    features, as in its experiments.
    """

    base: ValueStrategy
    weight: float = 1.0
    k: int = 13

    def __post_init__(self) -> None:
        if not isinstance(self.base, ValueStrategy):
            raise invalid_input(
                "a strategy that values pairs one by one",
                type_name(self.base),
                "e.g. PromptEntropy(ExplorationPair())",
            )
        check_positive(self.weight, "weight", zero=True)
        check_count(self.k, "k")

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        value = candidates.per_cost(self.base.values(candidates, posterior, rng))
        value = value / (float(value.std()) or 1.0)
        around = _Neighbours(candidates, self.k, rng)
        prompts = candidates.prompts
        score = value + self.weight * around.entropy()[prompts].max(axis=1)
        taker = Taker(candidates, n)
        for _ in range(n):
            nearby = around.take(prompts[taker.take_best(score)])
            rows = np.flatnonzero(nearby[prompts[:, 0]] | nearby[prompts[:, 1]])
            novelty = around.entropy()[prompts[rows]].max(axis=1)
            score[rows] = value[rows] + self.weight * novelty
        return np.array(taker.taken)


class _Neighbours:
    """Each prompt's k-th nearest distance, and the pairs taken within it."""

    def __init__(
        self, candidates: Candidates, k: int, rng: np.random.Generator
    ) -> None:
        layout = PromptLayout.of(candidates.pool)
        items, n = candidates.pool.items, len(layout.sizes)
        total = np.add.reduceat(
            items[layout.order].astype(np.float32), layout.starts[:-1], axis=0
        )
        mean = total / layout.sizes[:, None]
        spread = float(np.sqrt(2 * mean.var(axis=0).sum()))
        # In units of the typical distance.
        self._features = np.asarray(mean / (spread or 1.0))
        self._square = np.sum(self._features**2, axis=1)
        self._reach = np.empty(n, dtype=np.float32)
        # Of very many prompts a sample shows how dense they are.
        some = rng.permutation(n)[:_MOST_PROMPTS]
        nth = min(len(some), max(1, round(k * len(some) / n))) - 1
        for start in range(0, n, _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            square = self._squares(part, some)
            self._reach[part] = np.sqrt(np.partition(square, nth, axis=1)[:, nth])
        self._n = np.zeros(n)
        for prompts in candidates.prompts_of(candidates.past):
            self.take(prompts)

    def entropy(self) -> FloatArray:
        """Compute what a pair of each prompt adds, shape (n_prompts,)."""
        return np.asarray(np.log(2 * self._reach + _SMALLEST) - digamma(self._n + 1))

    def take(self, prompts: IntArray) -> BoolArray:
        """Count a pair of these prompts; mark those that have it within reach."""
        nearby = np.zeros(len(self._n), dtype=bool)
        for prompt in np.unique(prompts):
            square = self._squares(slice(None), np.array([prompt]))[:, 0]
            # The prompt itself, at a distance of 0 up to rounding, is always near.
            near = np.sqrt(square) <= self._reach * (1 + 1e-5)
            near[prompt] = True
            self._n += near
            nearby |= near
        return nearby

    def _squares(self, part: slice, others: IntArray) -> FloatArray:
        """Compute squared distances of prompts to others."""
        inner = self._features[part] @ self._features[others].T
        square = self._square[part, None] + self._square[others] - 2 * inner
        return np.asarray(np.maximum(square, 0.0))


_MOST_PROMPTS = 5_000
_ROWS_AT_A_TIME = 1024
_SMALLEST = 1e-4
"""Keeps the logarithm finite for prompts that are the same."""
