"""Examine a fitted head on a test pool: every same-prompt pair, exactly.

All numbers come from one pass over the pairs: order consistency, the likelihood of the
annotator's labels, Kendall's tau-b, and Spearman's rho, since sums of signs of
differences are centred ranks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr, expit

from embrm._typing import FloatArray
from embrm.evaluate import PromptResampler, best_of_n_curve
from embrm.evaluate.intervals import ratio_from_totals
from embrm.pool import CandidatePool
from embrm.simulate.annotation import Annotator
from embrm.simulate.checks import require_gold, wrong
from embrm.simulate.experiment.exam_pairs import Block, ExamPairs
from embrm.simulate.experiment.scorer import Scorer


@dataclass(frozen=True)
class ExamSettings:
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


class Exam:
    """A test pool, and what is known about it before any head comes.

    Parameters
    ----------
    pool : CandidatePool
        With gold, and two items of different gold under some prompt.
    settings : ExamSettings
    """

    def __init__(self, pool: CandidatePool, settings: ExamSettings) -> None:
        self._pool, self._settings = pool, settings
        self._gold = require_gold(pool, "an experiment")
        self._pairs = ExamPairs(pool)
        self._of_gold = _Order(self._pairs)
        for block in self._pairs.blocks():
            self._of_gold.add(block, block.sign, block.sign)
        self.n_pairs = int(self._of_gold.untied.sum())
        if not self.n_pairs:
            raise wrong(
                "a test pool with responses of different gold to one prompt",
                "none",
                "keep two responses or more to each test prompt",
            )
        self._ceiling = self._best_of_n(self._gold)
        self._random = self._best_of_n(np.zeros(len(pool)))
        # Resampled are the prompts that have a pair, in the order of their ids: the
        # resamples are then those of `embrm.evaluate`.
        by_id = np.argsort(pool.prompts)
        self._resampled = by_id[self._pairs.of_prompt[by_id] > 0]
        self._resampler = PromptResampler(
            np.arange(len(self._resampled)),
            n_resamples=settings.n_resamples,
            level=settings.level,
        )

    def examine(
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
        first = next(self._pairs.blocks())
        step = max(1, len(first.ids) // _SAMPLE)
        scorer = Scorer(head, self._pool, first.ids[::step])
        right, order = np.zeros(len(self._pairs.of_prompt)), _Order(self._pairs)
        likelihood = _Likelihood(self._pairs)
        for block in self._pairs.blocks():
            delta = scorer.delta(block.ids)
            sign = np.sign(delta)
            right += self._pairs.per_prompt(block, sign * block.sign)
            order.add(block, scorer.reward_sign(block.ids, sign), block.sign)
            if annotator is not None:
                expected = annotator.probabilities(block.gold_delta / scale, block.ids)
                likelihood.add(block, delta, expected)
        untied = self._of_gold.untied
        means = {
            "order_consistency": ((right + untied) / 2, untied),
            "kendall": order.kendall(self._of_gold),
            "spearman": order.spearman(self._of_gold),
            "annotator_log_loss": likelihood.log_loss(),
        }
        metrics: dict[str, float] = {"n_test_pairs": self.n_pairs}
        metrics |= self._intervals(means) | likelihood.summary()
        return metrics | self._picks(scorer.reward), scorer.seconds

    def _intervals(
        self, means: dict[str, tuple[FloatArray, FloatArray]]
    ) -> dict[str, float]:
        """Divide sums over prompts, with intervals from one set of resamples."""
        columns = np.column_stack(
            [column for mean in means.values() for column in mean]
        )
        columns = columns[self._resampled]
        resampled = self._resampler.totals(columns)
        metrics = {}
        for n, name in enumerate(means):
            own = slice(2 * n, 2 * n + 2)
            estimate = ratio_from_totals(columns[:, own].sum(axis=0, keepdims=True))
            interval = self._resampler.interval(
                float(estimate[0]), ratio_from_totals(resampled[:, own])
            )
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
        longest = max(self._settings.best_of_n, default=1)
        # The curve's own band is not used.
        return best_of_n_curve(
            self._gold, reward, self._pool.prompt_ids, longest, n_resamples=1
        ).mean


class _Order:
    """How rewards order the items of each prompt."""

    def __init__(self, pairs: ExamPairs) -> None:
        self._pairs = pairs
        self.untied = np.zeros(len(pairs.of_prompt))
        self._concordance = np.zeros(len(pairs.of_prompt))
        self._rank = np.zeros(len(pairs.codes))

    def add(self, block: Block, sign: FloatArray, gold_sign: FloatArray) -> None:
        """Take in the signs of differences of reward."""
        self.untied += self._pairs.per_prompt(block, np.abs(sign))
        self._concordance += self._pairs.per_prompt(block, sign * gold_sign)
        self._rank += self._pairs.rank(block, sign)

    def kendall(self, gold: "_Order") -> tuple[FloatArray, FloatArray]:
        """Compute tau-b of each prompt, and 1 where it is defined."""
        return _ratio(self._concordance, np.sqrt(self.untied * gold.untied))

    def spearman(self, gold: "_Order") -> tuple[FloatArray, FloatArray]:
        """Compute Spearman's rho of each prompt, and 1 where it is defined."""
        common, own, other = (
            np.asarray(np.bincount(self._pairs.codes, weights=product), np.float64)
            for product in (self._rank * gold._rank, self._rank**2, gold._rank**2)
        )
        return _ratio(common, np.sqrt(own * other))


class _Likelihood:
    """How well deltas, taken as log odds, predict an annotator's labels."""

    def __init__(self, pairs: ExamPairs) -> None:
        self._pairs = pairs
        self._loss = np.zeros(len(pairs.of_prompt))
        self._entropy = 0.0
        self._gaps = np.zeros(_N_BINS)
        self._n_pairs = np.zeros(len(pairs.of_prompt))

    def add(self, block: Block, delta: FloatArray, expected: FloatArray) -> None:
        """Take in deltas, and the probability that the annotator prefers first."""
        size = np.abs(delta)
        confidence = expit(size)
        right = 0.5 + np.sign(delta) * (expected - 0.5)
        # -log(1 - confidence) is -log(confidence) + size, without cancellation.
        loss = (1 - right) * size - np.log(confidence)
        self._loss += self._pairs.per_prompt(block, loss)
        self._n_pairs = self._pairs.of_prompt.astype(np.float64)
        self._entropy += float((entr(expected) + entr(1 - expected)).sum())
        bins = np.searchsorted(_EDGES, confidence)
        self._gaps += np.bincount(bins, weights=right - confidence, minlength=_N_BINS)

    def log_loss(self) -> tuple[FloatArray, FloatArray]:
        """Give the loss of each prompt, and over how many pairs it is."""
        return self._loss, self._n_pairs

    def summary(self) -> dict[str, float]:
        """Give the loss that nobody could undercut, and the calibration error."""
        n_pairs = float(self._n_pairs.sum()) or float("nan")
        return {
            "annotator_entropy": self._entropy / n_pairs,
            "annotator_calibration_error": float(np.abs(self._gaps).sum()) / n_pairs,
        }


def _ratio(above: FloatArray, below: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Divide where the divisor is positive; return ratios and where that is."""
    defined = below > 0
    ratio = np.divide(above, below, out=np.zeros_like(above), where=defined)
    return ratio, defined.astype(np.float64)


# Bins of equal width, as in `embrm.evaluate.expected_calibration_error`.
_N_BINS = 10
_EDGES = np.linspace(0.5, 1, _N_BINS + 1)[1:-1]
# Pairs by which a head is asked whether its deltas are differences of rewards.
_SAMPLE = 256
