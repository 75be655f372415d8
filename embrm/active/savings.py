"""Label savings: how many labels a strategy needs for what random pairs reach."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.optimize import isotonic_regression

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_count, check_level, check_random_state
from embrm.evaluate.displays import ExperimentDisplay
from embrm.exceptions import invalid_input

if TYPE_CHECKING:
    import pandas as pd


class LabelBudgetDisplay(ExperimentDisplay):
    """Budget curves: a metric against labels, a line for each strategy.

    An `ExperimentDisplay` whose `from_frame` reads the columns `n_labels`, `strategy`,
    `seed` and `order_consistency` unless told otherwise.
    """

    @classmethod
    def from_frame(
        cls, frame: "pd.DataFrame", x: str = "n_labels", **columns: Any
    ) -> Self:
        """Average curves over seeds; parameters as for `ExperimentDisplay`."""
        names = {"line": "strategy", "x_label": "labels"}
        return super().from_frame(frame, x, **{**names, **columns})


@dataclass(frozen=True)
class LabelSaving:
    """Labels that a strategy needs for what the baseline reaches.

    Attributes
    ----------
    target : float
        What the baseline reaches with `baseline_labels`.
    labels : float
        That the strategy needs for it; infinite where its curve does not reach it.
    share : float
        `labels` by `baseline_labels`: 0.5 is half of them.
    low, high : float
        Interval of `share`, from resampled seeds.
    baseline_labels : int
    """

    target: float
    labels: float
    share: float
    low: float
    high: float
    baseline_labels: int

    def __str__(self) -> str:
        share, low, high = (
            f"{value:.0%}" if math.isfinite(value) else "not reached"
            for value in (self.share, self.low, self.high)
        )
        return f"{share} of {self.baseline_labels:,} random labels ({low} to {high})"


def label_saving(
    curves: "pd.DataFrame",
    strategy: str,
    *,
    at: int,
    baseline: str = "random",
    metric: str = "order_consistency",
    level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = 0,
) -> LabelSaving:
    """Compare a strategy's budget curve with the baseline's, at equal quality.

    Curves are averaged over seeds and made monotone (isotonic regression), so that
    neither gains by noise; between budgets they are straight lines in labels.

    Parameters
    ----------
    curves : DataFrame
        Columns `strategy`, `seed`, `n_labels` and the metric: curves of
        `simulate_loop`, with the same budgets and seeds for both strategies.
    strategy : str
    at : int
        Labels of the baseline: its quality there is the target.
    baseline : str, default="random"
    metric : str, default="order_consistency"
    level, n_resamples, random_state
        Of the percentile interval over seeds, drawn together for both.

    Returns
    -------
    LabelSaving

    Raises
    ------
    InvalidInputError
        If a curve is missing, or does not reach `at`.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [
    ...     {"strategy": s, "seed": 0, "n_labels": n, "order_consistency": y}
    ...     for s, n, y in [
    ...         ("random", 100, 0.6),
    ...         ("random", 200, 0.7),
    ...         ("d-optimal", 100, 0.7),
    ...         ("d-optimal", 200, 0.8),
    ...     ]
    ... ]
    >>> print(label_saving(pd.DataFrame(rows), "d-optimal", at=200))
    50% of 200 random labels (50% to 50%)
    """
    check_level(level)
    check_count(n_resamples, "n_resamples")
    budgets, base = _table(curves, baseline, metric)
    others, ours = _table(curves, strategy, metric)
    if len(base) != len(ours) or not budgets[0] <= at <= budgets[-1]:
        raise invalid_input(
            f"curves of the same seeds, that reach {at} labels",
            f"{len(base)} and {len(ours)} seeds, {budgets[0]} to {budgets[-1]} labels",
            "run both strategies with the same budgets and seeds",
        )

    def needed(seeds: IntArray) -> tuple[float, float]:
        target = float(np.interp(at, budgets, _monotone(base[seeds].mean(axis=0))))
        return target, _first_reach(others, _monotone(ours[seeds].mean(axis=0)), target)

    target, labels = needed(np.arange(len(base)))
    rng = check_random_state(random_state)
    drawn = rng.integers(len(base), size=(n_resamples, len(base)))
    replicates = np.array([needed(seeds)[1] for seeds in drawn]) / at
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(replicates, tails, method="nearest")
    return LabelSaving(target, labels, labels / at, float(low), float(high), at)


def _table(
    curves: "pd.DataFrame", strategy: str, metric: str
) -> tuple[IntArray, FloatArray]:
    """Take the budgets, and the curve of each seed in a row."""
    rows = curves[curves["strategy"] == strategy]
    table = rows.pivot_table(index="seed", columns="n_labels", values=metric)
    if not len(table) or table.isna().to_numpy().any():
        raise invalid_input(
            f"a whole curve of {strategy!r} for every seed",
            f"{len(rows)} rows, {int(table.isna().to_numpy().sum())} budgets missing",
            "run it with the budgets of the others",
        )
    return table.columns.to_numpy(), table.to_numpy(float)


def _monotone(curve: FloatArray) -> FloatArray:
    return np.asarray(isotonic_regression(curve).x, dtype=float)


def _first_reach(budgets: IntArray, curve: FloatArray, target: float) -> float:
    """Find the least budget at which a monotone curve reaches a target."""
    reached = np.flatnonzero(curve >= target)
    if not len(reached):
        return float("inf")
    at = int(reached[0])
    if at == 0:
        return float(budgets[0])
    before, after = curve[at - 1], curve[at]
    part = (target - before) / (after - before)
    return float(budgets[at - 1] + part * (budgets[at] - budgets[at - 1]))
