"""What `embrm simulate` shows of a grid: tables, pictures, and why cells failed."""

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import typer
from rich.table import Table

from embrm._optional import import_optional
from embrm.cli.output import report_error, table, write_picture

if TYPE_CHECKING:
    import pandas as pd

FAILED = 1
"""Exit code of a run in which a cell failed."""

_Y = "order_consistency"
_COLUMNS = MappingProxyType(
    {
        "annotator": "left",
        "error": "right",
        "head": "left",
        "consistency": "right",
        "95% interval": "right",
        "seeds": "right",
        "failed": "right",
    }
)


class Summary(NamedTuple):
    """One line of the table: cells that differ by their seed alone.

    Attributes
    ----------
    design, annotator, head : str
    budget : int
    error_rate : float
        Realised, mean over seeds.
    mean, low, high : float
        Of order consistency over seeds; NaN where there is none, or one seed.
    n_seeds, n_failed : int
        Cells with a result, and without.
    """

    design: str
    budget: int
    annotator: str
    head: str
    error_rate: float
    mean: float
    low: float
    high: float
    n_seeds: int
    n_failed: int


def summaries(frame: "pd.DataFrame") -> Iterator[Summary]:
    """Average cells over seeds, in the order of the grid, heads innermost.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = {"design": "same", "annotator": "calm", "budget": 10, "head": "linear"}
    >>> frame = pd.DataFrame([cells | {"seed": 0}, cells | {"seed": 1}]).assign(
    ...     error_rate=[0.1, 0.2], order_consistency=[0.6, 0.8]
    ... )
    >>> [line] = summaries(frame)
    >>> round(line.error_rate, 2), round(line.mean, 2), line.n_seeds
    (0.15, 0.7, 2)
    """
    from embrm.evaluate.displays.experiment import Columns, lines_from_frame

    factors = ["design", "budget", "annotator"]
    for level, alike in frame.groupby(factors, sort=False):
        design, budget, annotator = cast("tuple[str, int, str]", level)
        error_rate = float(alike["error_rate"].mean())
        for head, cells in alike.groupby("head", sort=False):
            known = cells[cells[_Y].notna()]
            mean = low = high = math.nan
            if len(known):
                columns = Columns("head", "annotator", "annotator", _Y, "seed")
                line = lines_from_frame(known, columns).lines[0]
                mean, low, high = (
                    float(v[0]) for v in (line.mean, line.low, line.high)
                )
            yield Summary(
                *(design, int(budget), annotator, str(head)),
                *(error_rate, mean, low, high),
                *(len(known), len(cells) - len(known)),
            )


def make_tables(frame: "pd.DataFrame") -> list[tuple[str, Table]]:
    """Lay out the means, a table for each design and budget, with a title if several.

    Examples
    --------
    >>> import pandas as pd
    >>> cell = {"annotator": "calm", "head": "linear", "seed": 0, "error_rate": 0.1}
    >>> frame = pd.DataFrame([cell | {"design": "same", "order_consistency": 0.7}])
    >>> frame = pd.concat([frame.assign(budget=n) for n in (10, 20)])
    >>> [title for title, _ in make_tables(frame)]
    ['same, 10 pairs', 'same, 20 pairs']
    """
    lines = list(summaries(frame))
    columns = dict(_COLUMNS)
    if not any(line.n_failed for line in lines):
        del columns["failed"]
    cells = [_cells(line) for line in lines]
    # The same width in every table: its columns are under those of the one before.
    widths = {name: max(len(row[name]) for row in cells) for name in columns}
    parts: dict[tuple[str, int], list[list[str]]] = {}
    for line, row in zip(lines, cells, strict=True):
        padded = [
            row[name].rjust(widths[name])
            if side == "right"
            else row[name].ljust(widths[name])
            for name, side in columns.items()
        ]
        parts.setdefault((line.design, line.budget), []).append(padded)
    return [
        (f"{design}, {budget:,} pairs" if len(parts) > 1 else "", table(columns, rows))
        for (design, budget), rows in parts.items()
    ]


def json_table(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Write the same means as JSON; NaN is None."""
    return [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in line._asdict().items()
        }
        for line in summaries(frame)
    ]


def write_pictures(frame: "pd.DataFrame", directory: Path) -> list[Path]:
    """Draw what the grid varies.

    Parameters
    ----------
    frame : DataFrame
        One row per cell, as `Experiment.run` returns it.
    directory : Path

    Returns
    -------
    list of Path
        `noise_sweep.png` where there are several annotators, `learning_curve.png` of
        several budgets, `pairing.png` of several designs: a panel for each combination
        of the factors that a picture does not show, six to a file
        (`noise_sweep_2.png`). Nothing is drawn of cells that all failed.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    written = []
    for name, factor, x in (
        ("noise_sweep", "annotator", "error_rate"),
        ("learning_curve", "budget", "budget"),
        ("pairing", "design", "design"),
    ):
        if not _varies(frame, factor):
            continue
        others = [each for each in ("design", "annotator", "budget") if each != factor]
        panels = _panels(frame, others)
        for start in range(0, len(panels), _PANELS_PER_FILE):
            number = start // _PANELS_PER_FILE + 1
            path = directory / f"{name}{f'_{number}' if start else ''}.png"
            _draw(panels[start : start + _PANELS_PER_FILE], x, path)
            written.append(path)
    return written


def report_failed_cells(frame: "pd.DataFrame", kept_in: Path) -> None:
    """Print how many cells failed and why, and exit with the code of failed cells.

    Parameters
    ----------
    frame : DataFrame
        Of an experiment.
    kept_in : Path
        File that has all rows.

    Raises
    ------
    typer.Exit
        With `FAILED`, if a cell failed.
    """
    n_failed = int((frame["error_type"] != "").sum())
    if not n_failed:
        return
    words = f"{n_failed} of {len(frame)} cells failed; all are in {kept_in}, "
    words += "and are tried again in the next run. " + " ".join(error_lines(frame))
    report_error(words, FAILED, as_json=False)
    raise typer.Exit(FAILED)


def error_lines(frame: "pd.DataFrame") -> list[str]:
    """List each kind of failure once, the most frequent first."""
    failed = frame[frame["error_type"] != ""]
    counts = Counter(zip(failed["error_type"], failed["error"], strict=True))
    lines = [
        f"{n} x {kind}: {message}"
        for (kind, message), n in counts.most_common(_MOST_ERRORS)
    ]
    more = len(counts) - _MOST_ERRORS
    return lines + ([f"And {more} more."] if more > 0 else [])


def _cells(line: Summary) -> dict[str, str]:
    interval = "" if math.isnan(line.low) else f"[{line.low:.3f}, {line.high:.3f}]"
    return {
        "annotator": line.annotator,
        "error": "" if math.isnan(line.error_rate) else f"{line.error_rate:.1%}",
        "head": line.head,
        "consistency": "" if math.isnan(line.mean) else f"{line.mean:.3f}",
        "95% interval": interval,
        "seeds": str(line.n_seeds),
        "failed": str(line.n_failed),
    }


def _panels(
    frame: "pd.DataFrame", factors: list[str]
) -> list[tuple[str, "pd.DataFrame"]]:
    """Part the cells by the other factors, and name each part by those that vary."""
    varying = [name for name in factors if _varies(frame, name)]
    panels = []
    for levels, cells in frame.groupby(factors, sort=False):
        named = zip(factors, levels, strict=True)
        words = [_level(name, level) for name, level in named if name in varying]
        if cells["order_consistency"].notna().any():
            panels.append((", ".join(words), cells))
    return panels


def _varies(frame: "pd.DataFrame", factor: str) -> bool:
    return len(frame[factor].unique()) > 1


def _level(factor: str, level: Any) -> str:
    return f"{level:,} pairs" if factor == "budget" else str(level)


def _draw(panels: Sequence[tuple[str, "pd.DataFrame"]], x: str, path: Path) -> None:
    from embrm.evaluate.displays import ExperimentDisplay

    # A figure of its own, and not pyplot's: nothing stays open, no screen is needed.
    figures = import_optional("matplotlib.figure", extra="plot")
    n_columns = min(len(panels), _PANELS_PER_ROW)
    n_rows = -(-len(panels) // _PANELS_PER_ROW)
    width, height = _ALONE if len(panels) == 1 else _PANEL
    size = (width * n_columns, height * n_rows)
    figure = figures.Figure(figsize=size, layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    for ax, (title, cells) in zip(grid.flat, panels, strict=False):
        ExperimentDisplay.from_frame(cells, x).plot(ax)
        if x == "design":
            _turn_names(ax)
        if title:
            _put_title(ax, title)
    for ax in grid[:, 1:].flat:
        ax.set_ylabel("")
    for ax in grid.flat[len(panels) :]:
        ax.set_visible(False)
    write_picture(figure, path, _RESOLUTION)


def _put_title(ax: Any, title: str) -> None:
    """Write the title of a panel over its legend, which stands above the axes."""
    legend = ax.get_legend()
    lines = [*textwrap.wrap(title, _TITLE_LETTERS), legend.get_title().get_text()]
    legend.set_title("\n".join(lines), prop={"size": 9})


def _turn_names(ax: Any) -> None:
    """Turn names of designs, which are longer than the room between them."""
    for label in ax.get_xticklabels():
        label.set(rotation=20, horizontalalignment="right", rotation_mode="anchor")


_MOST_ERRORS = 3
_PANELS_PER_FILE, _PANELS_PER_ROW = 6, 3
_ALONE, _PANEL = (6.4, 4.2), (4.4, 3.9)
_RESOLUTION, _TITLE_LETTERS = 150, 48
