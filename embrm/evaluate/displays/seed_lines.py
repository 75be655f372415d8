"""Lines of a tidy table of runs: means over seeds, with their intervals."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.stats import t as student_t

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import check_level, invalid_input

if TYPE_CHECKING:
    import pandas as pd


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
        Mean over seeds and its t interval, NaN where there is one seed.
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
        """Say in words what is drawn: seeds, kind of interval, runs left out."""
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
    frame: "pd.DataFrame", columns: Columns, level: float = 0.95
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
            cure="see the column of errors, and run the grid again",
        )
    _check_seeds(known, columns)
    lines = tuple(
        _line(str(name), rows, columns, level)
        for name, rows in known.groupby(columns.line, sort=False, observed=True)
    )
    return SeedLines(lines, level, len(frame) - len(known))


def _line(name: str, rows: "pd.DataFrame", columns: Columns, level: float) -> SeedLine:
    points = rows.groupby(columns.point, sort=False, observed=True)
    y = points[columns.y]
    mean, count = y.mean().to_numpy(float), y.size().to_numpy()
    numeric = rows[columns.x].dtype.kind in "iuf"
    x: AnyArray = (
        points[columns.x].mean() if numeric else points[columns.x].first()
    ).to_numpy()
    error = y.std().to_numpy(float) / np.sqrt(count)
    half = student_t.ppf((1 + level) / 2, np.maximum(count - 1, 1)) * error
    order = np.argsort(x) if numeric else np.arange(len(x))
    return SeedLine(
        name,
        x[order],
        mean[order],
        (mean - half)[order],
        (mean + half)[order],
        count[order],
    )


def _check_columns(frame: "pd.DataFrame", columns: Columns) -> None:
    missing = [name for name in dict.fromkeys(columns) if name not in frame.columns]
    if missing:
        raise invalid_input(
            expected="columns " + ", ".join(dict.fromkeys(columns)),
            got="no column " + ", ".join(missing),
            cure="name the columns of your table, as in y='accuracy'",
        )


def _check_seeds(frame: "pd.DataFrame", columns: Columns) -> None:
    """Refuse to average over anything but seeds."""
    same = frame.duplicated([columns.line, columns.point, columns.seed])
    if same.any():
        raise invalid_input(
            expected=f"one row for each {columns.line}, {columns.point} and "
            f"{columns.seed}",
            got=f"{int(same.sum())} rows more",
            cure="choose rows that differ in nothing else first, as in "
            "frame[frame['budget'] == 1000]",
        )


def draw_lines(ax: Any, lines: SeedLines, look: Any, *, band: bool = True) -> None:
    """Draw each line with its interval, as a band or as bars.

    `look(position)` gives colour, line style and marker.
    """
    for position, line in enumerate(lines.lines):
        style = look(position)
        if band:
            ax.plot(line.x, line.mean, label=line.name, **style)
            ax.fill_between(
                line.x, line.low, line.high, color=style["color"], alpha=0.15, lw=0
            )
        else:
            reach = np.stack([line.mean - line.low, line.high - line.mean])
            ax.errorbar(line.x, line.mean, reach, capsize=3, label=line.name, **style)
