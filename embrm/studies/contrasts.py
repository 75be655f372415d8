"""Paired differences between cells, and their intervals over seeds.

Two cells are paired if they differ in one factor alone: they then have the same seed,
and so the same training prompts and test prompts, and where the factor allows it the
same pairs and labels. Differences are averaged over cells within a seed; the interval
is Student's t over the seeds' averages. Each seed holds out other prompts, so that the
interval holds the noise of prompts, pairs, labels and fits. (Prompts are held out by
more than one seed, so that the seeds are not quite independent: with few seeds read the
intervals as somewhat too narrow.)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student_t

if TYPE_CHECKING:
    import pandas as pd

FACTORS = ("part", "noise", "diversity", "design", "budget", "head", "seed")
"""The columns that say which cell a row is."""

LEVEL = 0.95
"""Confidence level of all intervals."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, with its t interval.

    Attributes
    ----------
    mean, low, high : float
        Low and high are NaN with fewer than two seeds.
    n_seeds : int
    n_cells : int
        Paired cells that it is computed from, over all seeds.
    """

    mean: float
    low: float
    high: float
    n_seeds: int
    n_cells: int

    def __str__(self) -> str:
        if not self.n_seeds:
            return "no cells"
        # Adding 0 turns -0 into 0.
        mean, low, high = (
            f"{round(value, 4) + 0.0:+.4f}"
            for value in (self.mean, self.low, self.high)
        )
        return f"{mean} [{low}, {high}]" if self.n_seeds > 1 else f"{mean} (one seed)"


def over_seeds(values: ArrayLike, n_cells: int) -> Estimate:
    r"""Estimate a mean from one value for each seed.

    Parameters
    ----------
    values : array-like of shape (n_seeds,)
    n_cells : int

    Returns
    -------
    Estimate
        :math:`\bar v \pm t_{k-1} s / \sqrt k` over k seeds; all NaN for no seed.

    Examples
    --------
    >>> print(over_seeds([0.01, 0.02, 0.03], 3))
    +0.0200 [-0.0048, +0.0448]
    """
    seeds = np.asarray(values, dtype=np.float64)
    k = len(seeds)
    mean = float(seeds.mean()) if k else float("nan")
    half = float("nan")
    if k > 1:
        error = float(seeds.std(ddof=1)) / np.sqrt(k)
        half = float(student_t.ppf((1 + LEVEL) / 2, k - 1)) * error
    return Estimate(mean, mean - half, mean + half, k, n_cells)


def paired(
    frame: "pd.DataFrame",
    factor: str,
    levels: Iterable[tuple[Any, Any]],
    metric: str,
) -> "pd.DataFrame":
    """Subtract a metric of one level of a factor from that of another, cell by cell.

    Parameters
    ----------
    frame : DataFrame
        One row per cell; those without a result are left out with their partners.
    factor : str
        One of `FACTORS`.
    levels : iterable of (level, level)
        The second is subtracted from the first.
    metric : str
        A column.

    Returns
    -------
    DataFrame
        Columns: the other factors, `pair` (number of the pair of levels) and
        `difference`.

    Examples
    --------
    >>> import pandas as pd
    >>> cell = {"part": "a", "noise": 0.1, "diversity": "all", "design": "same"}
    >>> frame = pd.DataFrame(
    ...     [
    ...         {**cell, "budget": 9, "seed": 0, "head": head, "metric": value}
    ...         for head, value in (("linear", 0.5), ("mlp", 0.75))
    ...     ]
    ... )
    >>> paired(frame, "head", [("mlp", "linear")], "metric")["difference"].tolist()
    [0.25]
    """
    import pandas as pd

    others = [name for name in FACTORS if name != factor]
    known = frame[frame[metric].notna()]
    parts = []
    for number, pair in enumerate(levels):
        plus, minus = (
            known.loc[known[factor] == level, [*others, metric]] for level in pair
        )
        both = plus.merge(minus, on=others, suffixes=("", "_less"), validate="1:1")
        difference = both[metric] - both[f"{metric}_less"]
        parts.append(both[others].assign(pair=number, difference=difference))
    made: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return made


def average(differences: "pd.DataFrame") -> Estimate:
    """Average paired differences over cells, and estimate the mean over seeds."""
    by_seed = differences.groupby("seed")["difference"].mean()
    return over_seeds(by_seed.to_numpy(float), len(differences))


def change(
    differences: "pd.DataFrame", factor: str, to: Sequence[Any], of: Sequence[Any]
) -> Estimate:
    """Estimate how much larger the differences are at some levels than at others.

    Parameters
    ----------
    differences : DataFrame
        From `paired`.
    factor : str
        One of its columns.
    to, of : sequence of levels
        Mean difference at `to`, less that at `of`, seed by seed.
    """
    at, base = (
        differences[differences[factor].isin(list(levels))] for levels in (to, of)
    )
    by_seed = (
        at.groupby("seed")["difference"].mean()
        - base.groupby("seed")["difference"].mean()
    ).dropna()
    return over_seeds(by_seed.to_numpy(float), len(at) + len(base))


def halves(levels: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Part the distinct levels into the lower and the upper half, middle left out.

    Examples
    --------
    >>> halves([0.3, 0.1, 0.2, 0.1])
    ([0.1], [0.3])
    """
    ordered = sorted(set(levels))
    size = len(ordered) // 2
    return ordered[:size], ordered[len(ordered) - size :]
