"""What a suite's official score is made of, and the result that callers get.

Every score is a *cell*, the mean of one value a row over some rows, or an *aggregate*
of cells. A prompt bootstrap then needs only the cells' sums, once for all scores.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from embrm._typing import AnyArray, BoolArray, FloatArray, RandomState
from embrm.evaluate.inputs import number_prompts
from embrm.evaluate.resampling import PromptResampler, wilson_bounds


@dataclass(frozen=True, eq=False)
class Cell:
    """Mean of one value a row.

    Attributes
    ----------
    name : str
    values : ndarray of shape (n_rows,)
    among : ndarray of bool of shape (n_rows,)
        Rows that count, scored or not.
    shown : bool
        Whether it stands in the table.
    """

    name: str
    values: FloatArray
    among: BoolArray
    shown: bool = True


@dataclass(frozen=True, eq=False)
class Aggregate:
    """A score made of others: their weighted mean, or a function of them.

    Attributes
    ----------
    name : str
    parts : tuple of str
        Names of cells and earlier aggregates.
    weights : tuple of float, optional
        Of the mean; None weighs all parts equally.
    function : callable, optional
        Takes an array (..., n_parts) instead.
    optional : bool
        Whether missing parts are simply left out, and make nothing partial.
    """

    name: str
    parts: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    function: Callable[[FloatArray], FloatArray] | None = None
    optional: bool = False

    def of(self, parts: FloatArray) -> FloatArray:
        """Compute the score from its parts (..., n_parts), leaving NaN out."""
        if self.function is not None:
            return self.function(parts)
        weights = np.ones(len(self.parts)) if self.weights is None else self.weights
        used = np.where(np.isnan(parts), 0.0, weights)
        with np.errstate(invalid="ignore"):
            mean: FloatArray = np.nansum(parts * used, axis=-1) / used.sum(axis=-1)
        return mean


class Coverage(float):
    """Share of a suite's rows that were scored in full, with the counts behind it.

    Attributes
    ----------
    found, expected : int
    missing : tuple
        Positions of the first rows without a full score, at most 20.
    n_unknown : int
        Scores that belong to no row.
    table : DataFrame
        `found` and `expected` for each subset.

    Examples
    --------
    >>> coverage = Coverage.of(np.array([True, False]), np.array(["a", "b"]))
    >>> coverage == 0.5, str(coverage)
    (True, '1 of 2 rows')
    """

    found: int
    expected: int
    missing: tuple[int, ...]
    n_unknown: int
    table: pd.DataFrame

    @classmethod
    def of(cls, found: BoolArray, subsets: AnyArray, n_unknown: int = 0) -> Self:
        """Count the rows that were scored, in all and by subset."""
        made = cls(found.mean())
        made.found, made.expected = int(found.sum()), len(found)
        made.missing = tuple(np.flatnonzero(~found)[:20].tolist())
        made.n_unknown = n_unknown
        by_subset = pd.Series(found).groupby(subsets.astype(str))
        made.table = pd.DataFrame(
            {"found": by_subset.sum(), "expected": by_subset.size()}
        )
        made.table.index.name = "subset"
        return made

    def __str__(self) -> str:
        return f"{self.found:,} of {self.expected:,} rows"

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Scoring:
    """What a suite makes of a score table; `score_suite` makes the result of it."""

    cells: Sequence[Cell]
    aggregates: Sequence[Aggregate]
    found: BoolArray
    subsets: AnyArray
    overall: str
    prompts: AnyArray | None = None
    single: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    not_official: str = ""

    @classmethod
    def of_cells(
        cls, cells: Sequence[Cell], found: BoolArray, overall: str, **more: Any
    ) -> Self:
        """Score a benchmark without subsets, whose cells are all there is."""
        return cls(
            cells, [], found, np.full(len(found), "all", object), overall, **more
        )


@dataclass(frozen=True, eq=False)
class SuiteResult:
    """The official scores of a benchmark.

    Attributes
    ----------
    suite, version : str
    overall : float
        The benchmark's own headline, a share in [0, 1]; NaN where it is partial.
    table : DataFrame
        One row a score (index `name`), with columns `score`; `rows` and `expected`,
        how many rows of the benchmark were scored and should be; and `partial`.
        The headline is the row "overall", or "overall (partial)".
    coverage : Coverage
        Share of the rows scored in full; counts are its attributes.
    partial : tuple of str
        Why the headline is not official; empty where it is.
    notes : tuple of str
        What else one should know.
    details : dict
        Further results, e.g. the 3 x 3 matrices of RM-Bench.
    """

    suite: str
    version: str
    overall: float
    table: pd.DataFrame
    coverage: Coverage
    partial: tuple[str, ...]
    notes: tuple[str, ...]
    details: Mapping[str, Any]
    _scoring: Scoring = field(repr=False)

    def intervals(
        self,
        *,
        level: float = 0.95,
        n_resamples: int = 1000,
        random_state: RandomState = 0,
    ) -> pd.DataFrame:
        """Return the table with columns `low` and `high`.

        Parameters
        ----------
        level : float in (0, 1), default=0.95
        n_resamples : int >= 1, default=1000
        random_state : int, Generator, RandomState or None, default=0

        Returns
        -------
        DataFrame
            Intervals from resampled prompts. Those of shares are Wilson's at the
            number of prompts that would give the resamples' variance, so that 12 right
            of 12 do not make an interval without width. NaN for what is no mean over
            prompts (correlations between models, ROC-AUC).
        """
        scoring = self._scoring
        scores = resampled_scores(scoring, level, n_resamples, random_state)
        low, high = np.full((2, len(self.table)), np.nan)
        for at, name in enumerate(self.table.index):
            replicates = scores.get(name.removesuffix(" (partial)"))
            if replicates is not None and np.isfinite(replicates).any():
                low[at], high[at] = _bounds(
                    float(self.table["score"].iloc[at]),
                    replicates[np.isfinite(replicates)],
                    int(self.table["rows"].iloc[at]),
                    level,
                )
        return self.table.assign(low=low, high=high)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, strings and None, as `json.dumps` takes them."""
        table = self.table.astype(object).where(self.table.notna(), None)
        return {
            "suite": self.suite,
            "version": self.version,
            "overall": None if np.isnan(self.overall) else self.overall,
            "partial": list(self.partial),
            "coverage": {
                "found": self.coverage.found,
                "expected": self.coverage.expected,
                "unknown_scores": self.coverage.n_unknown,
            },
            "table": {
                str(name): {str(k): _plain(v) for k, v in row.items()}
                for name, row in table.to_dict("index").items()
            },
            "notes": list(self.notes),
        }

    @property
    def headline(self) -> str:
        """The overall score in words, or why there is none."""
        if self.partial:
            return f"PARTIAL, no official score: {'; '.join(self.partial)}"
        return f"overall {self.overall:.4f}"

    def _repr_html_(self) -> str:
        """Show headline, table and notes in a notebook."""
        start = f"{self.suite} ({self.version}): {self.headline}; {self.coverage}"
        table = self.table.to_html(border=0, float_format=lambda v: f"{v:.4f}")
        lines = [f"<p>{html.escape(line)}</p>" for line in (start, *self.notes)]
        return lines[0] + table + "".join(lines[1:])

    def __str__(self) -> str:
        shown = self.table[["score", "rows", "expected"]].to_string(
            float_format=lambda value: f"{value:.4f}"
        )
        lines = [
            f"{self.suite} ({self.version}): {self.headline}; {self.coverage}",
            shown,
        ]
        return "\n".join([*lines, *self.notes])


def result_of(
    suite: str,
    scoring: Scoring,
    n_unknown: int,
    sizes: Sequence[int] = (),
    version: str = "v1",
) -> SuiteResult:
    """Make the result of a suite: its table, its headline, and what is missing.

    `sizes` are the numbers of rows that the benchmark is published with.
    """
    means = np.array([_mean(cell, scoring.found) for cell in scoring.cells])
    values = _all_scores(scoring, means)
    counts = _counts(scoring)
    reasons = _reasons(scoring, counts)
    # The headline stands last.
    hidden = {cell.name for cell in scoring.cells if not cell.shown} | {"overall"}
    rows = {n: (float(values[n]), *counts[n]) for n in values if n not in hidden}
    overall = float(values[scoring.overall])
    found, expected, _ = counts[scoring.overall]
    last = "overall (partial)" if reasons else "overall"
    rows[last] = (overall, found, expected, bool(reasons))
    kinds = {"score": float, "rows": int, "expected": int, "partial": bool}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(kinds))
    table = table.astype(kinds).rename_axis("name")
    notes = scoring.notes
    if n_unknown:
        notes += (f"{n_unknown:,} scores belong to none of the rows.",)
    n_rows = len(scoring.found)
    if sizes and n_rows < min(sizes):
        share = f"{n_rows:,} of the benchmark's {min(sizes):,} rows"
        notes += (f"These are {share}: figures of other models are of all.",)
    return SuiteResult(
        suite=suite,
        version=version,
        overall=np.nan if reasons else overall,
        table=table,
        coverage=Coverage.of(scoring.found, scoring.subsets, n_unknown),
        partial=reasons,
        notes=notes,
        details=scoring.details,
        _scoring=scoring,
    )


def resampled_scores(
    scoring: Scoring, level: float, n_resamples: int, random_state: RandomState
) -> dict[str, FloatArray]:
    """Compute every score on resampled prompts, by name, each (n_resamples,)."""
    n_rows = len(scoring.found)
    prompts = np.arange(n_rows) if scoring.prompts is None else scoring.prompts
    groups, _ = number_prompts(prompts, "ids")
    resampler = PromptResampler(
        groups,
        n_rows,
        n_resamples=n_resamples,
        level=level,
        random_state=random_state,
    )
    features = np.empty((n_rows, 2 * len(scoring.cells)))
    for at, cell in enumerate(scoring.cells):
        counted = cell.among & scoring.found & ~np.isnan(cell.values)
        features[:, 2 * at] = np.where(counted, cell.values, 0.0)
        features[:, 2 * at + 1] = counted
    totals = resampler.totals(features)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = _all_scores(scoring, totals[:, ::2] / totals[:, 1::2])
    for name in scoring.single:
        del scores[name]
    if scoring.overall in scores:
        scores["overall"] = scores[scoring.overall]
    return scores


def _all_scores(scoring: Scoring, means: FloatArray) -> dict[str, FloatArray]:
    """Compute all scores from the means of the cells (..., n_cells)."""
    values = {c.name: means[..., at] for at, c in enumerate(scoring.cells)}
    for aggregate in scoring.aggregates:
        parts = np.stack([values[name] for name in aggregate.parts], axis=-1)
        values[aggregate.name] = aggregate.of(parts)
    return values | {n: np.asarray(v) for n, v in scoring.single.items()}


def _counts(scoring: Scoring) -> dict[str, tuple[int, int, bool]]:
    """Count for each score the rows it is made of, and say whether some are missing."""
    among = {cell.name: cell.among for cell in scoring.cells}
    absent = {name: not mask.any() for name, mask in among.items()}
    for aggregate in scoring.aggregates:
        among[aggregate.name] = np.logical_or.reduce(
            [among[p] for p in aggregate.parts]
        )
        any_absent = any(absent[p] for p in aggregate.parts)
        absent[aggregate.name] = any_absent and not aggregate.optional
    among |= {n: np.ones(len(scoring.found), dtype=bool) for n in scoring.single}
    return {
        name: (
            int((mask & scoring.found).sum()),
            int(mask.sum()),
            bool(absent.get(name, False) or (mask & ~scoring.found).any()),
        )
        for name, mask in among.items()
    }


def _reasons(
    scoring: Scoring, counts: Mapping[str, tuple[int, int, bool]]
) -> tuple[str, ...]:
    reasons = [scoring.not_official] if scoring.not_official else []
    found, expected, partial = counts[scoring.overall]
    if found < expected:
        reasons.append(f"{found:,} of {expected:,} rows are scored")
    lacking = _named_together(
        [n for n in _leaves(scoring, scoring.overall) if counts[n][1] == 0],
        list(counts),
    )
    if partial and lacking:
        shown = ", ".join(lacking[:6]) + (", ..." if len(lacking) > 6 else "")
        reasons.append(f"no rows of {shown}")
    return tuple(reasons)


def _named_together(lacking: Sequence[str], names: Sequence[str]) -> list[str]:
    """Name what lacks all of its parts ("math/easy", ...) once, by itself ("math")."""
    whole = {
        name
        for name in names
        if "/" not in name
        and (parts := [n for n in names if n.startswith(f"{name}/")])
        and set(parts) <= set(lacking)
    }
    firsts = [name.split("/")[0] for name in lacking]
    named = [f if f in whole else n for f, n in zip(firsts, lacking, strict=True)]
    return list(dict.fromkeys(named))


def _leaves(scoring: Scoring, name: str) -> list[str]:
    """List the cells a score is made of, in order, each once."""
    for aggregate in scoring.aggregates:
        if aggregate.name == name:
            if aggregate.optional:
                return []
            leaves = [_leaves(scoring, part) for part in aggregate.parts]
            return list(dict.fromkeys(n for part in leaves for n in part))
    return [name]


def _mean(cell: Cell, found: BoolArray) -> float:
    values = cell.values[cell.among & found]
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else np.nan


def _bounds(
    estimate: float, replicates: FloatArray, n_rows: int, level: float
) -> tuple[float, float]:
    if not 0 <= estimate <= 1:
        tail = (1 - level) / 2
        low, high = np.quantile(replicates, [tail, 1 - tail])
        return float(low), float(high)
    return wilson_bounds(estimate, float(replicates.var()), n_rows, level)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
