"""The picture of an experiment: a metric against what its runs vary, over seeds."""

from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import t as student_t

from embrm._optional import import_optional
from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import check_level
from embrm.evaluate.displays._styles import (
    ORDER_CONSISTENCY,
    axes_or_new,
    draw_band,
    finish,
    line_look,
)
from embrm.exceptions import invalid_input, warn


@dataclass(repr=False, eq=False)
class ExperimentDisplay:
    """A metric of runs against one factor: budget, noise, pairing design or another.

    Make one with `from_frame`, draw it with `plot`. Numbers are an axis, with bands
    over seeds; names keep the order of the table, with bars.

    Parameters
    ----------
    lines : SeedLines
    x : str
        The factor: a column of the table of runs. Of "budget", "error_rate",
        "diversity" and "design" the label and the scale of the axis are known.
    label : str, default="order consistency with gold (share of pairs)"
        What is measured, with its unit.
    x_label : str, optional
        What is varied, with its unit; None means what is known of `x`, or its name.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    Learning curves of a head:

    >>> import pandas as pd
    >>> runs = pd.DataFrame(
    ...     {
    ...         "head": ["linear"] * 4,
    ...         "budget": [500, 500, 5000, 5000],
    ...         "seed": [0, 1, 0, 1],
    ...         "order_consistency": [0.62, 0.6, 0.7, 0.71],
    ...     }
    ... )
    >>> ExperimentDisplay.from_frame(runs, "budget").lines.lines[0].mean.round(3)
    array([0.61 , 0.705])
    """

    lines: "SeedLines"
    x: str
    _: KW_ONLY
    label: str = ORDER_CONSISTENCY
    x_label: str | None = None

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        x: str,
        *,
        line: str = "head",
        point: str | None = None,
        y: str = "order_consistency",
        seed: str = "seed",
        level: float = 0.95,
        **options: Any,
    ) -> Self:
        """Average runs over seeds.

        Parameters
        ----------
        frame : DataFrame
            One row per run, as `Experiment.run` returns them; runs of one line and
            point must differ by their seed alone.
        x : str
            Column of the factor, numbers or names. "budget" gives a learning curve,
            "error_rate", the realised one, a noise sweep, "design" or "diversity" a
            comparison of pairings.
        line, y, seed : str
            Columns: what a line is; the metric; the seed.
        point : str, optional
            Column of the setting of which x was measured, and is averaged over seeds:
            "annotator" for the error rate. None means that, or else x itself.
        level : float in (0, 1), default=0.95
            Of the t interval over seeds.
        **options
            As for the class: label, x_label.

        Returns
        -------
        ExperimentDisplay

        Raises
        ------
        InvalidInputError
            If a column is missing, rows of one line, point and seed are several, or no
            row has a result.
        """
        point = point or _axis_of(x).point or x
        columns = Columns(line, point, x, y, seed)
        return cls(lines_from_frame(frame, columns, level), x, **options)

    def plot(self, ax: Any = None) -> Self:
        """Draw the lines, with bands or bars over seeds.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        ExperimentDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax)
        axis, names = _axis_of(self.x), self._names()
        lines = _side_by_side(self.lines, names) if names else self.lines
        _draw(ax, lines, band=not names and not axis.bars)
        if names:
            ax.set_xticks(range(len(names)), names)
        elif axis.log:
            self._log_axis(ax)
        ax.set_xlabel(axis.label if self.x_label is None else self.x_label)
        ax.set_ylabel(self.label)
        finish(ax, self.lines.note)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _names(self) -> list[str]:
        """List the levels of the factor, or none where it is a number."""
        x = [line.x for line in self.lines.lines]
        if all(values.dtype.kind in "iuf" for values in x):
            return []
        return list(dict.fromkeys(str(name) for values in x for name in values))

    def _log_axis(self, ax: Any) -> None:
        """Name each value in plain numbers, where there are few."""
        ax.set_xscale("log")
        values = np.unique(np.concatenate([line.x for line in self.lines.lines]))
        if len(values) <= _MOST_TICKS:
            ticker = import_optional("matplotlib.ticker", extra="plot")
            ax.set_xticks(values, [f"{value:,.0f}" for value in values])
            ax.xaxis.set_minor_locator(ticker.NullLocator())


def former_display(name: str) -> type[ExperimentDisplay]:
    """Give the class of a former name, which fixed the factor; for one version."""
    warn(f"{name} is now ExperimentDisplay, of x={FORMER[name]['x']!r}", FutureWarning)
    return _former_class(name)


class Columns(NamedTuple):
    """Names of the columns that a picture reads.

    Attributes
    ----------
    line : what each line is, such as "head"
    point : which rows differ by their seed alone, besides `line`
    x : horizontal value, averaged over the seeds of a point
    y : what is measured
    seed : what tells the runs of a point apart
    """

    line: str
    point: str
    x: str
    y: str
    seed: str


@dataclass(frozen=True, eq=False)
class SeedLine:
    """One line of a picture.

    Attributes
    ----------
    name : str
    x : ndarray of shape (n_points,)
        Ascending where it is a number.
    mean, low, high : ndarray of shape (n_points,)
        Mean over seeds and its t interval, NaN where there is one seed. Where all
        results are shares, the interval is laid on log odds, within [0, 1].
    n_seeds : ndarray of int of shape (n_points,)
    """

    name: str
    x: AnyArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    n_seeds: IntArray


@dataclass(frozen=True, eq=False)
class SeedLines:
    """Lines of one picture.

    Attributes
    ----------
    lines : tuple of SeedLine
        In the order in which they appear in the table.
    level : float in (0, 1)
        Confidence level of the intervals.
    n_missing : int
        Rows without a result, such as failed runs: they are left out.
    """

    lines: tuple[SeedLine, ...]
    level: float
    n_missing: int

    @property
    def note(self) -> str:
        """Describe what is drawn: seeds, kind of interval, runs left out."""
        counts = np.concatenate([line.n_seeds for line in self.lines])
        few, many = int(counts.min()), int(counts.max())
        seeds = str(many) if few == many else f"{few} to {many}"
        words = f"mean of {seeds} seed{'s' if many > 1 else ''}"
        if many > 1:
            words += f", {self.level:.0%} t interval"
        if self.n_missing:
            words += f" ({self.n_missing} failed run{'s' * (self.n_missing > 1)})"
        return words


def lines_from_frame(
    frame: pd.DataFrame, columns: Columns, level: float = 0.95
) -> SeedLines:
    r"""Average runs over seeds, point by point.

    Parameters
    ----------
    frame : DataFrame
        One row per run.
    columns : Columns
    level : float in (0, 1), default=0.95

    Returns
    -------
    SeedLines
        Intervals are :math:`\bar y \pm t_{k-1} s / \sqrt k` over k seeds: they hold
        the noise of sampling and fitting again, not that of the test prompts.

    Raises
    ------
    InvalidInputError
        If a column is missing, two rows of a point have one seed, or no row has a
        result.
    """
    level = check_level(level)
    _check_columns(frame, columns)
    known = frame[frame[columns.y].notna()]
    if not len(known):
        raise invalid_input(
            expected=f"a result in column '{columns.y}'",
            got=f"{len(frame)} rows without one",
            fix="see the column of errors, and run the grid again",
        )
    _check_seeds(known, columns)
    share = bool(known[columns.y].between(0.0, 1.0).all())
    lines = tuple(
        _line(str(name), rows, columns, level, share=share)
        for name, rows in known.groupby(columns.line, sort=False, observed=True)
    )
    return SeedLines(lines, level, len(frame) - len(known))


def _line(
    name: str, rows: pd.DataFrame, columns: Columns, level: float, *, share: bool
) -> SeedLine:
    points = rows.groupby(columns.point, sort=False, observed=True)
    y = points[columns.y]
    mean, count = y.mean().to_numpy(float), y.size().to_numpy()
    numeric = rows[columns.x].dtype.kind in "iuf"
    x: AnyArray = (
        points[columns.x].mean() if numeric else points[columns.x].first()
    ).to_numpy()
    error = y.std().to_numpy(float) / np.sqrt(count)
    half = student_t.ppf((1 + level) / 2, np.maximum(count - 1, 1)) * error
    low, high = _share_interval(mean, half) if share else (mean - half, mean + half)
    order = np.argsort(x) if numeric else np.arange(len(x))
    return SeedLine(
        name,
        x[order],
        mean[order],
        low[order],
        high[order],
        count[order],
    )


def _share_interval(
    mean: FloatArray, half: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Lay the interval of a share on log odds: it never leaves [0, 1].

    There its half-width is that of the share over mean (1 - mean), the slope of the
    log odds; a mean of 0 or 1 has no spread.
    """
    slope = mean * (1 - mean)
    wide = np.divide(half, slope, out=np.zeros_like(half), where=slope > 0)
    # No spread of a single seed is known: NaN stays NaN.
    wide = np.where(np.isnan(half), np.nan, wide)
    # Seeds that agree have no spread, and rounding gives them none below zero.
    low = np.minimum(expit(logit(mean) - wide), mean)
    return low, np.maximum(expit(logit(mean) + wide), mean)


def _check_columns(frame: pd.DataFrame, columns: Columns) -> None:
    missing = [name for name in dict.fromkeys(columns) if name not in frame.columns]
    if missing:
        raise invalid_input(
            expected="columns " + ", ".join(dict.fromkeys(columns)),
            got="no column " + ", ".join(missing),
            fix="name the columns of your table, as in y='accuracy'",
        )


def _check_seeds(frame: pd.DataFrame, columns: Columns) -> None:
    """Refuse to average over anything but seeds."""
    same = frame.duplicated([columns.line, columns.point, columns.seed])
    if same.any():
        raise invalid_input(
            expected=f"one row for each {columns.line}, {columns.point} and "
            f"{columns.seed}",
            got=f"{int(same.sum())} rows more",
            fix="choose rows that differ in nothing else first, as in "
            "frame[frame['budget'] == 1000]",
        )


def _draw(ax: Any, lines: SeedLines, *, band: bool) -> None:
    """Draw each line with its interval, as a band or as bars."""
    for position, line in enumerate(lines.lines):
        if band:
            given: Any = {"position": position, "label": line.name}
            draw_band(ax, line.x, line.mean, (line.low, line.high), **given)
        else:
            style = line_look(position)
            reach = np.stack([line.mean - line.low, line.high - line.mean])
            ax.errorbar(line.x, line.mean, reach, capsize=3, label=line.name, **style)


def _side_by_side(lines: SeedLines, names: list[str]) -> SeedLines:
    """Place names at 0, 1, ..., each line slightly shifted."""
    middle = (len(lines.lines) - 1) / 2
    placed = tuple(
        replace(
            line,
            x=np.array([names.index(str(name)) for name in line.x])
            + _STEP * (position - middle),
        )
        for position, line in enumerate(lines.lines)
    )
    return replace(lines, lines=placed)


@lru_cache
def _former_class(name: str) -> type[ExperimentDisplay]:
    defaults = FORMER[name]

    class Former(ExperimentDisplay):
        def __init__(
            self, lines: SeedLines, x: str = defaults["x"], **options: Any
        ) -> None:
            super().__init__(lines, x, **options)

        @classmethod
        def from_frame(cls, frame: pd.DataFrame, **columns: Any) -> Self:  # type: ignore[override]
            return super().from_frame(frame, **{**defaults, **columns})

    Former.__name__ = Former.__qualname__ = name
    return Former


class _Axis(NamedTuple):
    """What is known of a factor: its label, its scale, and how it is measured."""

    label: str
    log: bool = False
    bars: bool = False
    point: str | None = None


def _axis_of(x: str) -> _Axis:
    return _AXES.get(x, _Axis(x))


_AXES = {
    "budget": _Axis("budget (annotated pairs, log scale)", log=True),
    "error_rate": _Axis("realised error rate (share of labels)", point="annotator"),
    "diversity": _Axis("diversity of responses", bars=True),
    "design": _Axis("pairing design", bars=True),
}
FORMER = {
    "LearningCurveDisplay": {"x": "budget"},
    "NoiseSweepDisplay": {"x": "error_rate"},
    "PairingDisplay": {"x": "diversity", "line": "design"},
}
# More values than these would run into each other at half width.
_MOST_TICKS = 5
# Between lines at one level, so that bars do not hide one another.
_STEP = 0.06
