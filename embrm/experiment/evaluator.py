"""Evaluate a fitted head on every same-prompt pair of a test pool.

The metrics are those of `embrm.evaluate`, summed by prompt over blocks of pairs: the
pairs of a large pool are never in memory together.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm.evaluate import PromptResampler, prompt_rank_correlation
from embrm.evaluate._picks import expected_picks, ranked_prompts
from embrm.evaluate.calibration import calibration_gaps
from embrm.evaluate.inputs import check_scores, item_codes
from embrm.evaluate.metrics import log_loss_values, order_values
from embrm.evaluate.resampling import ratio_from_totals
from embrm.exceptions import invalid_input
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.annotation import Annotator
from embrm.simulate.design import Locator, PromptLayout, offsets_of, triangular_pair


@dataclass(frozen=True)
class EvaluationSettings:
    """What is computed of each head.

    Attributes
    ----------
    best_of_n : tuple of int
        Sizes of the choice.
    level : float in (0, 1)
        Of the intervals.
    n_resamples : int
        Of prompts, the same for all heads.
    """

    best_of_n: tuple[int, ...]
    level: float
    n_resamples: int


class Evaluator:
    """A test pool, and what is known about it before there is any head.

    Parameters
    ----------
    pool : CandidatePool
        With gold, and two items of different gold under some prompt.
    settings : EvaluationSettings

    Attributes
    ----------
    n_pairs : int
        Test pairs with different gold.

    Raises
    ------
    InvalidInputError
        If the pool has no gold, or no pair of different gold.
    """

    def __init__(self, pool: CandidatePool, settings: EvaluationSettings) -> None:
        self._pool, self._settings = pool, settings
        self._gold = require_gold(pool, "an experiment")
        self._pairs = _TestPairs(pool)
        self._untied = np.zeros(len(pool.prompts))
        for block in self._pairs:
            self._untied += self._pairs.sum_by_prompt(block, block.untied)
        self.n_pairs = int(self._untied.sum())
        if not self.n_pairs:
            raise invalid_input(
                "a test pool with responses of different gold to one prompt",
                "none",
                "keep two responses or more to each test prompt",
            )
        self._codes, _ = item_codes(pool.prompt_ids, len(pool))
        self._ceiling = self._best_of_n(self._gold)
        self._random = self._best_of_n(np.zeros(len(pool)))
        # Resampled are the prompts that have a pair, in the order of their ids: the
        # resamples are then those of `embrm.evaluate`.
        self._by_id = np.argsort(pool.prompts)
        self._resampled = self._pairs.n_of_prompt[self._by_id] > 0
        self._resampler = PromptResampler(
            np.arange(int(self._resampled.sum())),
            n_resamples=settings.n_resamples,
            level=settings.level,
        )

    def evaluate(
        self, head: Any, annotator: Annotator | None, scale: float
    ) -> tuple[dict[str, float], float]:
        """Compute the metrics of a fitted head.

        Parameters
        ----------
        head : fitted RewardHead
        annotator : Annotator or None
            Whose labels the head should predict; None if it cannot label this pool.
        scale : float > 0
            What the annotator divides gold by.

        Returns
        -------
        metrics : dict of str to float
            See `Experiment.run`.
        seconds : float
            Spent in the head.
        """
        scorer = _Scorer(head, self._pool)
        likelihood = _Likelihood(len(self._untied))
        right = np.zeros(len(self._untied))
        for block in self._pairs:
            delta = scorer.delta(block.ids)
            ordered = order_values(delta, block.labels) * block.untied
            right += self._pairs.sum_by_prompt(block, ordered)
            if annotator is not None:
                expected = annotator.probabilities(block.gold_delta / scale, block.ids)
                losses = likelihood.add(delta, expected)
                likelihood.loss += self._pairs.sum_by_prompt(block, losses)
        counted = self._pairs.n_of_prompt * float(annotator is not None)
        ratios = {
            "order_consistency": self._in_order_of_ids(right, self._untied),
            "kendall": self._rank_correlation(scorer.reward, "kendall"),
            "spearman": self._rank_correlation(scorer.reward, "spearman"),
            "annotator_log_loss": self._in_order_of_ids(likelihood.loss, counted),
        }
        metrics: dict[str, float] = {"n_test_pairs": self.n_pairs}
        metrics |= self._intervals(ratios) | likelihood.summary()
        return metrics | self._picks(scorer.reward), scorer.seconds

    def _in_order_of_ids(self, above: FloatArray, below: FloatArray) -> FloatArray:
        """Stack sums of each prompt as columns, in the order of the prompts' ids."""
        return np.column_stack([above, below])[self._by_id]

    def _rank_correlation(self, reward: FloatArray, kind: str) -> FloatArray:
        """Compute the correlation of each prompt, and 1 where it is defined."""
        values = prompt_rank_correlation(
            self._gold, reward, self._pool.prompt_ids, kind
        ).per_prompt
        defined = np.isfinite(values)
        return np.column_stack([np.where(defined, values, 0.0), defined])

    def _intervals(self, ratios: dict[str, FloatArray]) -> dict[str, float]:
        """Divide sums over prompts, with intervals from one set of resamples."""
        columns = np.hstack(list(ratios.values()))[self._resampled]
        resampled = self._resampler.totals(columns)
        metrics = {}
        for n, name in enumerate(ratios):
            own = slice(2 * n, 2 * n + 2)
            estimate = ratio_from_totals(columns[:, own].sum(axis=0, keepdims=True))
            is_share = name == "order_consistency"
            make = (
                self._resampler.share_interval if is_share else self._resampler.interval
            )
            interval = make(float(estimate[0]), ratio_from_totals(resampled[:, own]))
            metrics[name] = interval.estimate
            metrics[f"{name}_low"] = interval.low
            metrics[f"{name}_high"] = interval.high
        return metrics

    def _picks(self, reward: FloatArray) -> dict[str, float]:
        """Compute gold, regret and recovery of the best of n."""
        picked, metrics = self._best_of_n(reward), {}
        for n in self._settings.best_of_n:
            gold = random = ceiling = float("nan")
            if n <= len(picked):
                curves = (picked, self._random, self._ceiling)
                gold, random, ceiling = (float(curve[n - 1]) for curve in curves)
            gain = ceiling - random
            metrics[f"best_of_{n}"] = gold
            metrics[f"best_of_{n}_regret"] = ceiling - gold
            metrics[f"best_of_{n}_recovery"] = (
                (gold - random) / gain if gain > 0 else float("nan")
            )
        return metrics

    def _best_of_n(self, reward: FloatArray) -> FloatArray:
        """Compute the exact expected gold of the best of n, from n = 1 on."""
        ranked = ranked_prompts(reward, self._codes)
        n_max = min(ranked[-1].size, max(self._settings.best_of_n, default=1))
        curves = expected_picks(self._gold, ranked, len(self._untied), n_max)
        return np.asarray(np.nanmean(curves, axis=0))


@dataclass(frozen=True, eq=False)
class _Block:
    """Some of the test pairs, ascending in prompts: arrays with one row per pair."""

    ids: IntArray
    prompt: IntArray
    gold_delta: FloatArray
    labels: FloatArray
    untied: BoolArray


class _TestPairs:
    """Every two items of one prompt, the earlier item first, in blocks.

    `n_of_prompt` counts the pairs of each prompt, in the pool's order of prompts.
    """

    def __init__(self, pool: CandidatePool) -> None:
        self._gold = require_gold(pool, "an experiment")
        self._layout = PromptLayout.of(pool)
        self.n_of_prompt = self._layout.sizes * (self._layout.sizes - 1) // 2
        few = int(self.n_of_prompt.sum()) <= _KEPT
        self._kept = list(self._make()) if few else None

    def __iter__(self) -> Iterator[_Block]:
        """Return the pairs; those of a large pool are made again each time."""
        return self._make() if self._kept is None else iter(self._kept)

    def sum_by_prompt(
        self, block: _Block, values: FloatArray | BoolArray
    ) -> FloatArray:
        """Sum values of the pairs of a block by prompt, shape (n_prompts,)."""
        return np.asarray(
            np.bincount(block.prompt, weights=values, minlength=len(self.n_of_prompt))
        )

    def _make(self) -> Iterator[_Block]:
        offsets = offsets_of(self.n_of_prompt)
        locate = Locator(offsets)
        order = self._layout.order
        for start in range(0, int(offsets[-1]), _BLOCK):
            ranks = np.arange(start, min(int(offsets[-1]), start + _BLOCK))
            prompt = locate(ranks)
            low, high = triangular_pair(ranks - offsets[prompt])
            begins = self._layout.starts[prompt]
            ids = np.column_stack([order[begins + low], order[begins + high]])
            gold_delta = self._gold[ids[:, 0]] - self._gold[ids[:, 1]]
            labels = (np.sign(gold_delta) + 1) / 2
            yield _Block(ids, prompt, gold_delta, labels, gold_delta != 0)


class _Scorer:
    """Rewards and deltas of a fitted head, and the seconds that it takes for them."""

    def __init__(self, head: Any, pool: CandidatePool) -> None:
        self._head, self._pool = head, pool
        # A head that does not say so is asked about every pair.
        self._by_item = getattr(head, "delta_is_reward_difference", False)
        start = time.perf_counter()
        step = max(1, _ENTRIES // pool.items.shape[1])
        reward = np.concatenate(
            [
                head.reward(pool.items[at : at + step])
                for at in range(0, len(pool), step)
            ]
        )
        self.seconds = time.perf_counter() - start
        self.reward = check_scores(reward, "reward", len(pool))

    def delta(self, ids: IntArray) -> FloatArray:
        """Compute the deltas of pairs, shape (n,)."""
        if self._by_item:
            return np.asarray(self.reward[ids[:, 0]] - self.reward[ids[:, 1]])
        start = time.perf_counter()
        delta = self._head.decision_function(self._pool.pairs(ids))
        self.seconds += time.perf_counter() - start
        return check_scores(delta, "delta", len(ids))


class _Likelihood:
    """How well deltas, taken as log odds, predict an annotator's labels."""

    def __init__(self, n_prompts: int) -> None:
        self.loss = np.zeros(n_prompts)
        self._entropy, self._n_pairs = 0.0, 0
        self._gaps = np.zeros(_N_BINS)

    def add(self, delta: FloatArray, expected: FloatArray) -> FloatArray:
        """Add deltas, and P(annotator prefers first); return the log losses."""
        self._entropy += float((entr(expected) + entr(1 - expected)).sum())
        self._n_pairs += len(delta)
        self._gaps += calibration_gaps(delta, expected, _N_BINS)
        return log_loss_values(delta, expected)

    def summary(self) -> dict[str, float]:
        """Give the loss that no head can go below, and the calibration error."""
        n_pairs = float(self._n_pairs) or float("nan")
        return {
            "annotator_entropy": self._entropy / n_pairs,
            "annotator_calibration_error": float(np.abs(self._gaps).sum()) / n_pairs,
        }


# As in `embrm.evaluate.expected_calibration_error`.
_N_BINS = 10
# A block stays in the processor's cache; the pairs kept take 41 bytes each.
_BLOCK = 1 << 16
_KEPT = 1 << 20
# Entries of the item matrix handed to a head at once: at most 32 MB.
_ENTRIES = 1 << 22
