"""Pictures of a grid: one kind for each factor that has several levels."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embrm._optional import import_optional
from embrm.evaluate.displays import (
    LearningCurveDisplay,
    NoiseSweepDisplay,
    PairingDisplay,
)

if TYPE_CHECKING:
    import pandas as pd

_PANELS_PER_FILE, _PANELS_PER_ROW = 6, 3
_ALONE, _PANEL = (6.4, 4.2), (4.4, 3.9)
_RESOLUTION, _TITLE_LETTERS = 150, 48


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
    for name, varied, others, display in (
        ("noise_sweep", "annotator", ("design", "budget"), _noise_sweep),
        ("learning_curve", "budget", ("design", "annotator"), _learning_curve),
        ("pairing", "design", ("annotator", "budget"), _pairing),
    ):
        if not _varies(frame, varied):
            continue
        panels = _panels(frame, list(others))
        for start in range(0, len(panels), _PANELS_PER_FILE):
            number = start // _PANELS_PER_FILE + 1
            path = directory / f"{name}{f'_{number}' if start else ''}.png"
            _draw(panels[start : start + _PANELS_PER_FILE], display, path)
            written.append(path)
    return written


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


def _draw(
    panels: Sequence[tuple[str, "pd.DataFrame"]],
    display: Callable[["pd.DataFrame", Any], Any],
    path: Path,
) -> None:
    # A figure of its own, and not pyplot's: nothing stays open, no screen is needed.
    figures = import_optional("matplotlib.figure", extra="plot")
    n_columns = min(len(panels), _PANELS_PER_ROW)
    n_rows = -(-len(panels) // _PANELS_PER_ROW)
    width, height = _ALONE if len(panels) == 1 else _PANEL
    size = (width * n_columns, height * n_rows)
    figure = figures.Figure(figsize=size, layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
    for ax, (title, cells) in zip(grid.flat, panels, strict=False):
        display(cells, ax)
        if title:
            _put_title(ax, title)
    for ax in grid[:, 1:].flat:
        ax.set_ylabel("")
    for ax in grid.flat[len(panels) :]:
        ax.set_visible(False)
    figure.savefig(path, dpi=_RESOLUTION)


def _put_title(ax: Any, title: str) -> None:
    """Write the title of a panel over its legend, which stands above the axes."""
    legend = ax.get_legend()
    lines = [*textwrap.wrap(title, _TITLE_LETTERS), legend.get_title().get_text()]
    legend.set_title("\n".join(lines), prop={"size": 9})


def _noise_sweep(cells: "pd.DataFrame", ax: Any) -> None:
    NoiseSweepDisplay.from_frame(cells).plot(ax)


def _learning_curve(cells: "pd.DataFrame", ax: Any) -> None:
    LearningCurveDisplay.from_frame(cells).plot(ax)


def _pairing(cells: "pd.DataFrame", ax: Any) -> None:
    PairingDisplay.from_frame(
        cells, line="head", x="design", x_label="pairing design"
    ).plot(ax)
    # Names of designs are longer than the room between them.
    for label in ax.get_xticklabels():
        label.set(rotation=20, horizontalalignment="right", rotation_mode="anchor")
