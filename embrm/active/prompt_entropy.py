"""PromptEntropy: a strategy's values plus how new the prompts are (BAL-PM)."""

from dataclasses import dataclass

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_positive, type_name
from embrm.active.candidates import Candidates
from embrm.active.posterior import RewardPosterior
from embrm.active.strategy import PromptCap, Strategy, ValueStrategy, too_few_by_cap
from embrm.exceptions import invalid_input
from embrm.simulate.design import PromptLayout


@dataclass(frozen=True)
class PromptEntropy(Strategy):
    r"""Adds to a strategy's values the entropy that a prompt's features would add.

    Greedily takes the pair with the most :math:`u / s_u + \beta \log d(x)` for values u
    of the strategy, their standard deviation :math:`s_u`, and the distance d of the
    prompt to the nearest prompt labelled or proposed before: the nearest-neighbour
    estimate of entropy of the labelled prompts' features, up to constants. Features of
    a prompt are the mean of its items' vectors; of a pair across prompts the larger
    distance counts.

    Parameters
    ----------
    base : ValueStrategy
        E.g. `InfoMax()`.
    weight : float >= 0, default=1.0
        :math:`\beta`.

    References
    ----------
    Melo et al. 2024, Deep Bayesian active learning for preference modeling in large
    language models, arXiv:2406.10023, equations 6 to 8.
    """

    base: ValueStrategy
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.base, ValueStrategy):
            raise invalid_input(
                "a strategy that values pairs one by one",
                type_name(self.base),
                "e.g. PromptEntropy(InfoMax())",
            )
        check_positive(self.weight, "weight", zero=True)

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        value = candidates.per_cost(self.base.values(candidates, posterior, rng))
        value = value / (float(value.std()) or 1.0)
        layout = PromptLayout.of(candidates.pool)
        codes, prompts = layout.codes, candidates.prompts
        features = _prompt_features(candidates.pool.items, codes, len(layout.sizes))
        distance = _first_distances(features, np.unique(codes[candidates.past]))
        cap, open_ = PromptCap(candidates), np.ones(len(value), dtype=bool)
        chosen = np.empty(n, dtype=np.intp)
        for step in range(n):
            novelty = np.log(distance + _SMALLEST)
            score = value + self.weight * novelty[prompts].max(axis=1)
            row = int(np.argmax(np.where(open_, score, -np.inf)))
            if not open_[row]:
                raise too_few_by_cap(candidates, n, step)
            chosen[step], open_[row] = row, False
            for prompt in np.unique(prompts[row]):
                np.minimum(distance, _distances(features, prompt), out=distance)
            if cap.take(row):
                open_ &= ~cap.full()
        return chosen


def _prompt_features(items: FloatArray, codes: IntArray, n: int) -> FloatArray:
    """Average the items of each prompt, in units of the typical distance."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n))
    total = np.add.reduceat(items[order].astype(np.float32), starts, axis=0)
    mean = total / np.bincount(codes, minlength=n)[:, None]
    spread = float(np.sqrt(2 * mean.var(axis=0).sum()))
    return np.asarray(mean / (spread or 1.0))


def _first_distances(features: FloatArray, labelled: IntArray) -> FloatArray:
    """Find each prompt's distance to the nearest labelled one, at most 1."""
    distance = np.ones(len(features))
    for prompt in labelled:
        np.minimum(distance, _distances(features, prompt), out=distance)
    return distance


def _distances(features: FloatArray, prompt: int) -> FloatArray:
    return np.asarray(np.linalg.norm(features - features[prompt], axis=1))


_SMALLEST = 1e-3
"""Typical distances: what a repeated prompt counts as being away."""
