"""Claims, the paired differences that they are judged by, and the verdict on each.

Two cells are paired if they differ in one factor alone: they then have the same seed,
and so the same training prompts and test prompts, and where the factor allows it the
same pairs and labels. Differences are averaged over cells within a seed; the interval
is over the seeds' averages. Ten seeds test on disjoint prompts, yet train on prompts
that they mostly share: the interval is the t interval that Nadeau and Bengio (Machine
Learning 52, 2003) correct for this. Verdicts are corrected for their number by Holm's
method.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student_t

from benchmarks.paper.pools import TEST_SHARE

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

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        if self.n_seeds < 2:
            return float("nan")
        width = float(student_t.ppf((1 + LEVEL) / 2, self.n_seeds - 1))
        return (self.high - self.low) / 2 / width

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
        :math:`\bar v \pm t_{k-1} s \sqrt{1 / k + q / (1 - q)}` over k seeds, each of
        which tests on a share q of the prompts and trains on the rest; all NaN for no
        seed. Without the second term it would be as if seeds had nothing in common.

    Examples
    --------
    >>> print(over_seeds([0.01, 0.02, 0.03], 3))
    +0.0200 [-0.0087, +0.0487]
    """
    seeds = np.asarray(values, dtype=np.float64)
    k = len(seeds)
    mean = float(seeds.mean()) if k else float("nan")
    half = float("nan")
    if k > 1:
        shared = TEST_SHARE / (1 - TEST_SHARE)
        error = float(seeds.std(ddof=1)) * np.sqrt(1 / k + shared)
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


if TYPE_CHECKING:
    import pandas as pd

Parts: TypeAlias = tuple[tuple[str, Estimate], ...]
"""Estimates by name."""

_RECOVERY = "_recovery"


def recovery_of(frame: "pd.DataFrame") -> str:
    """Find the column of the recovery of the largest choice that was computed.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"best_of_2_recovery": 0.5, "best_of_8_recovery": 0.4}
    >>> recovery_of(pd.DataFrame([{**row, "best_of_16_recovery": float("nan")}]))
    'best_of_8_recovery'
    """
    computed = [str(name) for name in frame if str(name).endswith(_RECOVERY)]
    known = [name for name in computed if frame[name].notna().any()]
    return max(known or computed, key=_size_of_choice)


def difference_words(column: str) -> str:
    """Name the recovery of a column.

    Examples
    --------
    >>> difference_words("best_of_16_recovery")
    'recovery of the best of 16'
    """
    return f"recovery of the best of {_size_of_choice(column)}"


def cells_of(differences: "pd.DataFrame") -> str:
    """Say which cells a contrast stands on.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = {"noise": [0.05, 0.25], "budget": 1000, "seed": [0, 1]}
    >>> cells_of(pd.DataFrame(cells | {"head": "linear"}))
    '2 paired cells: noise 5%, 25%; budgets 1,000; heads linear; 2 seeds'
    """
    parts = [
        _levels("noise", (f"{rate:.0%}" for rate in _sorted(differences, "noise")))
    ]
    if "budget" in differences:
        parts.append(
            _levels("budgets", (f"{n:,}" for n in _sorted(differences, "budget")))
        )
    if "head" in differences:
        parts.append(_levels("heads", map(str, differences["head"].unique())))
    n_seeds = differences["seed"].nunique()
    seeds = f"{n_seeds} seed{'' if n_seeds == 1 else 's'}"
    return f"{len(differences):,} paired cells: {'; '.join(parts)}; {seeds}"


def _levels(word: str, levels: Iterable[str]) -> str:
    return f"{word} {', '.join(levels)}"


def _sorted(frame: "pd.DataFrame", column: str) -> list[float]:
    return sorted(frame[column].unique())


def _size_of_choice(column: object) -> int:
    return int(str(column).removesuffix(_RECOVERY).rpartition("_")[2])


CONSISTENCY = "order_consistency"
"""Column of the main metric: share of same-prompt test pairs ordered as gold does."""

MARGINS = {CONSISTENCY: 0.01, "recovery": 0.02}
"""Differences that count as none: a hundredth of the pairs, and as large a part of the
way from chance to perfect for the recovery, whose range is twice as wide."""


class Rule(StrEnum):
    """What a claim says of a difference."""

    ABOVE = "above 0"
    NOT_BELOW = "not below"
    NOT_ABOVE = "not above"
    DIFFERS = "other than 0"


class Verdict(StrEnum):
    """What comes out."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    UNDECIDED = "undecided"
    OPPOSITE = "opposite by kind"


class Caveat(StrEnum):
    """What of the gold bears on a claim."""

    BETWEEN = "between"
    LENGTH = "length"
    LIMITS = "limits"


@dataclass(frozen=True)
class Claim:
    """One claim, and the paired difference that it is judged by.

    Attributes
    ----------
    study : str
    words : str
        The claim.
    measure : str
        The difference, in words, with its unit.
    rule : Rule
    margin : float >= 0
        By which "not below" and "not above" may be missed, and within which "other
        than 0" is refuted.
    estimate : Estimate
    cells : str
        What it stands on.
    details : tuple of (str, Estimate)
        Parts of the difference.
    of_paper : bool
        Whether the paper claims it; else it is a question that we add.
    kinds : tuple of (str, Estimate)
        The same difference of each kind of head: where it has opposite answers for
        two of them, their mean answers nothing.
    caveats : tuple of Caveat
        What of the gold to keep in mind.
    factor : float >= 1
        By which p-values are multiplied, for the number of claims; see `holm`.
    """

    study: str
    words: str
    measure: str
    rule: Rule
    margin: float
    estimate: Estimate
    cells: str
    details: Parts = field(default=())
    of_paper: bool = True
    kinds: Parts = field(default=())
    caveats: tuple[Caveat, ...] = field(default=())
    factor: float = 1.0

    @property
    def verdict(self) -> Verdict:
        """Judge by p-values; kinds that contradict each other come first."""
        if self._kinds_are_opposite:
            return Verdict.OPPOSITE
        return judge(self.estimate, self.rule, self.margin, self.factor)

    @property
    def p(self) -> float:
        """p-value of the verdict, corrected where `holm` was asked to."""
        least = min(p_values(self.estimate, self.rule, self.margin))
        return min(1.0, self.factor * least)

    @property
    def _kinds_are_opposite(self) -> bool:
        n_kinds = len(self.kinds)
        # Above 0 and below 0 are opposite answers also where either would do.
        rule = Rule.ABOVE if self.rule is Rule.DIFFERS else self.rule
        found = {judge(own, rule, self.margin, n_kinds) for _, own in self.kinds}
        return {Verdict.HOLDS, Verdict.DOES_NOT_HOLD} <= found

    @property
    def needed(self) -> str:
        """Say where the whole interval must lie for the claim to hold.

        Examples
        --------
        >>> estimate = Estimate(0.0, -0.1, 0.1, 3, 9)
        >>> Claim("a", "", "", Rule.NOT_BELOW, 0.01, estimate, "").needed
        'not below -0.01'
        """
        if self.rule is Rule.NOT_BELOW:
            return f"{self.rule} -{self.margin:g}"
        if self.rule is Rule.NOT_ABOVE:
            return f"{self.rule} +{self.margin:g}"
        return str(self.rule)


def judge(
    estimate: Estimate, rule: Rule, margin: float, factor: float = 1.0
) -> Verdict:
    """Judge a claim: by p-values, which is by the whole interval if factor is 1.

    Parameters
    ----------
    estimate : Estimate
        One without an interval is undecided.
    rule : Rule
    margin : float >= 0
    factor : float >= 1, default=1.0
        By which p-values are multiplied, for the number of claims.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> str(judge(Estimate(0.02, 0.01, 0.03, 3, 9), Rule.ABOVE, 0.01))
    'holds'
    >>> str(judge(Estimate(0.02, 0.01, 0.03, 3, 9), Rule.ABOVE, 0.01, factor=18))
    'undecided'
    >>> str(judge(Estimate(0.0, -0.005, 0.005, 3, 9), Rule.DIFFERS, 0.01))
    'does not hold'
    """
    holds, fails = p_values(estimate, rule, margin)
    if factor * holds < 1 - LEVEL:
        return Verdict.HOLDS
    return Verdict.DOES_NOT_HOLD if factor * fails < 1 - LEVEL else Verdict.UNDECIDED


def p_values(estimate: Estimate, rule: Rule, margin: float) -> tuple[float, float]:
    """Give the p-values of "holds" and of "does not hold"; 1 for a single seed.

    Each is twice that of a one-sided t test, so that it is below 0.05 where the whole
    95% interval is on that side. That a difference is none is two such tests.

    Examples
    --------
    >>> holds, _ = p_values(Estimate(0.02, 0.0, 0.04, 10, 9), Rule.ABOVE, 0.0)
    >>> round(holds, 6)
    0.05
    """
    if estimate.n_seeds < 2 or not np.isfinite(estimate.error):
        return 1.0, 1.0
    # Differences of equal numbers may be off by rounding errors.
    error = max(estimate.error, _ROUNDING)

    def above(bound: float) -> float:
        share = student_t.sf((estimate.mean - bound) / error, estimate.n_seeds - 1)
        return min(1.0, 2 * float(share))

    def below(bound: float) -> float:
        share = student_t.cdf((estimate.mean - bound) / error, estimate.n_seeds - 1)
        return min(1.0, 2 * float(share))

    if rule is Rule.DIFFERS:
        return min(above(0.0), below(0.0)), max(above(-margin), below(margin))
    if rule is Rule.NOT_ABOVE:
        return below(margin), above(margin)
    bound = -margin if rule is Rule.NOT_BELOW else 0.0
    return above(bound), below(bound)


def holm(claims: Sequence[Claim]) -> list[Claim]:
    """Correct the verdicts of claims for their number, by Holm's method.

    The smallest of m p-values is multiplied by m, the next by m - 1 and so on; none
    counts for less than one before it. Then the chance that any verdict of a study
    without effects is other than undecided is at most 5%.

    Examples
    --------
    >>> words = ("a", "", "", Rule.ABOVE, 0.0)
    >>> sure, unsure = Estimate(0.1, 0.09, 0.11, 5, 9), Estimate(0.1, 0.01, 0.19, 5, 9)
    >>> [c.factor for c in holm([Claim(*words, e, "") for e in (unsure, sure)])]
    [1.0, 2.0]
    """
    alone = [replace(claim, factor=1.0) for claim in claims]
    corrected = dict[int, Claim]()
    largest = 0.0
    order = sorted(range(len(alone)), key=lambda at: alone[at].p)
    for rank, at in enumerate(order):
        p = alone[at].p
        largest = max(largest, (len(alone) - rank) * p)
        factor = largest / p if p > 0 else float(len(alone) - rank)
        corrected[at] = replace(alone[at], factor=factor)
    return [corrected[at] for at in range(len(alone))]


_ROUNDING = 1e-9
