"""Evaluation of a head as one object: every metric with its interval."""

import html
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, RandomState
from embrm.evaluate.calibration import calibration_features, interval_from_features
from embrm.evaluate.human import HumanCeiling
from embrm.evaluate.inputs import check_labelled, check_lengths, check_untied, group_ids
from embrm.evaluate.metrics import (
    brier_values,
    length_baseline,
    log_loss_values,
    order_values,
)
from embrm.evaluate.rank_correlation import prompt_rank_correlation
from embrm.evaluate.resampling import (
    Interval,
    PromptResampler,
    prompt_bootstrap,
    ratio_from_totals,
)
from embrm.evaluate.subsets import Subsets, evaluate_by
from embrm.exceptions import invalid_input, warn


@dataclass(frozen=True)
class Evaluation:
    """How well a head orders pairs, and how well it knows when it does.

    Attributes
    ----------
    order_consistency : Interval
        Share of pairs ordered as the labels order them.
    length_baseline : Interval or None
        The same share for a baseline that prefers the longer response; None where
        lengths are unknown.
    log_loss : Interval
        In nats per pair; 0.693 is what a constant reward gets.
    brier : Interval
        Mean squared error of P(first preferred).
    expected_calibration_error : Interval
        Gap of confidence and accuracy on the winner's side, 10 bins of equal width.
    kendall : Interval or None
        Kendall's tau-b of reward and gold within prompts, where they were passed.
    n_pairs : int
    n_prompts : int or None
        None where prompts are unknown.
    n_ties : int
        Pairs labelled 0.5, which order consistency leaves out.
    n_reward_ties : int
        Pairs with delta = 0, which count one half.
    subsets : Subsets or None
        Order consistency by subset, where `by` was passed.
    human : HumanCeiling or None
        Agreement of people with each other, where several labelled the same pairs.
    """

    order_consistency: Interval
    length_baseline: Interval | None
    log_loss: Interval
    brier: Interval
    expected_calibration_error: Interval
    kendall: Interval | None
    n_pairs: int
    n_prompts: int | None
    n_ties: int
    n_reward_ties: int
    subsets: Subsets | None = None
    human: HumanCeiling | None = None

    @property
    def length_ruler(self) -> Interval | None:
        """The former name of `length_baseline`."""
        warn("Evaluation.length_ruler is now called length_baseline", FutureWarning)
        return self.length_baseline

    def intervals(self) -> dict[str, Interval]:
        """Return the metrics that were computed, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {n: value for n, value in values.items() if isinstance(value, Interval)}

    def to_frame(self) -> pd.DataFrame:
        """Return one row per metric: metric, estimate, low, high."""
        rows = [
            (name, interval.estimate, interval.low, interval.high)
            for name, interval in self.intervals().items()
        ]
        return pd.DataFrame(rows, columns=["metric", "estimate", "low", "high"])

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, numbers and None, as `json.dumps` takes them."""
        intervals = {name: i.to_json() for name, i in self.intervals().items()}
        values = {f.name: getattr(self, f.name) for f in fields(self)} | intervals
        for name in ("subsets", "human"):
            part = values.pop(name)
            values |= {} if part is None else {name: part.to_json()}
        return values

    def _repr_html_(self) -> str:
        """Show the metrics, and what they are of, in a notebook."""
        frame = self.to_frame().assign(
            unit=[_WORDS[name][1] for name in self.intervals()],
            metric=[_WORDS[name][0] for name in self.intervals()],
        )
        table = frame.to_html(index=False, border=0, float_format=lambda v: f"{v:.3f}")
        parts = [str(part) for part in (self.human,) if part is not None]
        if self.subsets is not None:
            parts.append(self.subsets.verdict())
            table += self.subsets.table.round(3).to_html(border=0)
        return table + "".join(f"<p>{html.escape(part)}</p>" for part in parts)

    def __str__(self) -> str:
        level = f"{self.order_consistency.level:.0%} interval"
        lines = [f"{'metric':<18} {'estimate':>8}  {level:<18} unit"]
        for name, interval in self.intervals().items():
            words, unit = _WORDS[name]
            bounds = f"[{interval.low:.3f}, {interval.high:.3f}]"
            lines.append(f"{words:<18} {interval.estimate:>8.3f}  {bounds:<18} {unit}")
        prompts = "unknown prompts" if self.n_prompts is None else f"{self.n_prompts:,}"
        prompts += "" if self.n_prompts is None else " prompts"
        lines.append(
            f"{self.n_pairs:,} pairs, {prompts}, {self.n_ties:,} label ties, "
            f"{self.n_reward_ties:,} reward ties; {self.order_consistency.method}"
        )
        for part in (self.human, self.subsets):
            lines += [] if part is None else ["", str(part)]
        return "\n".join(lines)


def evaluate_deltas(
    delta: ArrayLike,
    y: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    gold: ArrayLike | None = None,
    reward: ArrayLike | None = None,
    prompt_ids: ArrayLike | None = None,
    by: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> Evaluation:
    """Evaluate the deltas of a head against labels.

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
        Reward of first minus reward of second, in nats.
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Probability that first is preferred; None means that it always is.
    groups : array-like of shape (n_pairs, 2) or (n_pairs,), optional
        `Pairs.groups`, or one prompt id per pair: intervals come from resampled
        prompts. If None they come from resampled pairs, which is too narrow where
        prompts have several pairs; `Interval.method` says which.
    lengths : array-like of shape (n_pairs, 2), >= 0, optional
        Lengths of first and of second, in any unit, for the length baseline.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional
    gold, reward, prompt_ids : array-like of shape (n_items,), optional
        Scores of items and their prompts, for Kendall's tau-b: all three or none.
    by : array-like of shape (n_pairs,), optional
        A subset for each pair, to be evaluated apart; see `evaluate_by`.
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidInputError
        On a wrong shape or range, when every label is a tie, or when only some of
        gold, reward and prompt_ids are passed.

    Examples
    --------
    >>> evaluation = evaluate_deltas(
    ...     [2.0, 1.0, -1.0, 3.0],
    ...     [1, 1, 1, 1],
    ...     groups=["a", "b", "c", "d"],
    ...     lengths=[[9, 5], [4, 8], [3, 2], [7, 6]],
    ... )
    >>> print(evaluation)
    metric             estimate  95% interval       unit
    order consistency     0.750  [0.000, 1.000]     share of pairs
    length baseline       0.750  [0.000, 1.000]     share of pairs
    log loss              0.451  [0.049, 1.313]     nats per pair
    Brier score           0.156  [0.002, 0.534]     squared probability
    calibration error     0.157  [0.000, 0.674]     probability
    4 pairs, 4 prompts, 0 label ties, 0 reward ties; prompt bootstrap
    """
    differences, labels, weights = check_labelled(delta, y, sample_weight)
    check_untied(labels, weights)
    settings: dict[str, Any] = {"n_resamples": n_resamples, "level": level}
    resampler = PromptResampler(
        groups, len(differences), random_state=random_state, **settings
    )
    untied = np.where(labels == 0.5, 0.0, weights)
    means = {
        "order_consistency": (order_values(differences, labels), untied),
        "log_loss": (log_loss_values(differences, labels), weights),
        "brier": (brier_values(differences, labels), weights),
    }
    if lengths is not None:
        baseline = length_baseline(check_lengths(lengths, len(differences)))
        means["length_baseline"] = (order_values(baseline, labels), untied)
    calibration = calibration_features(differences, labels, sample_weight=weights)
    intervals = _resample(means, calibration, resampler)
    scored = _scores_of_items(gold, reward, prompt_ids)
    return Evaluation(
        order_consistency=intervals["order_consistency"],
        length_baseline=intervals.get("length_baseline"),
        log_loss=intervals["log_loss"],
        brier=intervals["brier"],
        expected_calibration_error=intervals["expected_calibration_error"],
        kendall=None if scored is None else _kendall(*scored, random_state, settings),
        n_pairs=len(differences),
        n_prompts=None if groups is None else len(np.unique(group_ids(groups))),
        n_ties=int((labels == 0.5).sum()),
        n_reward_ties=int((differences == 0).sum()),
        subsets=None
        if by is None
        else evaluate_by(
            differences,
            by,
            labels,
            groups=groups,
            sample_weight=weights,
            random_state=random_state,
            **settings,
        ),
    )


def evaluate_head(
    head: Any, pairs: Any, y: ArrayLike | None = None, **options: Any
) -> Evaluation:
    """Evaluate a fitted head on pairs it has not seen.

    Parameters
    ----------
    head : fitted RewardHead
        Anything with `decision_function(pairs)` that gives deltas in nats.
    pairs : Pairs
        If they have `prompt_ids`, prompts are resampled.
    y : array-like of shape (n_pairs,) in [0, 1], optional
    **options
        As for `evaluate_deltas`: lengths, sample_weight, level, ...

    Returns
    -------
    Evaluation

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> class Sum:
    ...     def decision_function(self, pairs):
    ...         return (pairs.items[pairs.first] - pairs.items[pairs.second]).sum(1)
    >>> pairs = Pairs([[1.0], [2.0], [4.0]], [[1, 0], [2, 0], [1, 2]])
    >>> evaluate_head(Sum(), pairs, [1, 1, 0]).order_consistency.estimate
    1.0
    """
    if getattr(pairs, "prompt_ids", None) is not None:
        options.setdefault("groups", pairs.groups)
    return evaluate_deltas(head.decision_function(pairs), y, **options)


def _resample(
    means: dict[str, tuple[FloatArray, FloatArray]],
    calibration: FloatArray,
    resampler: PromptResampler,
) -> dict[str, Interval]:
    """Estimate all metrics from one set of resamples, drawn once."""
    blocks = [
        np.column_stack([weight * value, weight]) for value, weight in means.values()
    ]
    ends = np.arange(1, len(blocks) + 1) * 2
    *totals, calibration_totals = np.split(
        resampler.totals(np.hstack([*blocks, calibration])), ends, axis=1
    )
    intervals = {}
    for (name, (value, weight)), total in zip(means.items(), totals, strict=True):
        estimate = float(np.average(value, weights=weight))
        is_share = name in _SHARES
        make = resampler.share_interval if is_share else resampler.interval
        intervals[name] = make(estimate, ratio_from_totals(total))
    intervals["expected_calibration_error"] = interval_from_features(
        calibration, calibration_totals, resampler
    )
    return intervals


def _scores_of_items(
    gold: ArrayLike | None, reward: ArrayLike | None, prompt_ids: ArrayLike | None
) -> tuple[ArrayLike, ArrayLike, ArrayLike] | None:
    """Take gold, reward and prompt ids of items: all of them or none."""
    if gold is None and reward is None and prompt_ids is None:
        return None
    if gold is None or reward is None or prompt_ids is None:
        given = {"gold": gold, "reward": reward, "prompt_ids": prompt_ids}
        missing = [name for name, value in given.items() if value is None]
        raise invalid_input(
            expected="gold, reward and prompt_ids of the items together",
            got=f"no {' and no '.join(missing)}",
            fix="pass all three, or none",
        )
    return gold, reward, prompt_ids


def _kendall(
    gold: ArrayLike,
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    random_state: RandomState,
    settings: dict[str, Any],
) -> Interval | None:
    """Average Kendall's tau-b over prompts; None where no prompt defines it."""
    taus = prompt_rank_correlation(gold, reward, prompt_ids).per_prompt
    defined = np.isfinite(taus)
    if not defined.any():
        return None
    return prompt_bootstrap(
        taus[defined],
        np.flatnonzero(defined),
        random_state=random_state,
        **settings,
    )


_SHARES = ("order_consistency", "length_baseline")
_WORDS = {
    "order_consistency": ("order consistency", "share of pairs"),
    "length_baseline": ("length baseline", "share of pairs"),
    "log_loss": ("log loss", "nats per pair"),
    "brier": ("Brier score", "squared probability"),
    "expected_calibration_error": ("calibration error", "probability"),
    "kendall": ("Kendall tau-b", "within prompts"),
}
