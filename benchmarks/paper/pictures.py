"""The three pictures that matter, one to a file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.paper.claims import CONSISTENCY
from benchmarks.paper.levels import LADDER, with_penalty
from embrm._optional import import_optional
from embrm.evaluate.displays import ExperimentDisplay

if TYPE_CHECKING:
    import pandas as pd

# At half the width of a page, 3.3 inches, letters are still of 7 points.
_SIZE, _RESOLUTION = (4.8, 3.8), 200


def write_pictures(frame: "pd.DataFrame", out: Path) -> list[Path]:
    """Draw what there are cells of.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`, of any parts. What a picture does not show is averaged over.
    out : Path

    Returns
    -------
    list of Path

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    figures = import_optional("matplotlib.figure", extra="plot")
    written = []
    for name, (part, draw) in _PICTURES.items():
        cells = frame[(frame["part"] == part) & frame[CONSISTENCY].notna()]
        if not len(cells):
            continue
        figure = figures.Figure(figsize=_SIZE, layout="constrained")
        draw(cells, figure.subplots())
        path = out / f"{name}.png"
        figure.savefig(path, dpi=_RESOLUTION)
        written.append(path)
    return written


def _noise(cells: "pd.DataFrame", ax: Any) -> None:
    means = _means(cells, "head", "noise")
    ExperimentDisplay.from_frame(means, "error_rate", point="noise").plot(ax)


def _penalties(cells: "pd.DataFrame", ax: Any) -> None:
    """Show both objectives where the fewest and where the most labels are wrong."""
    steps = {
        with_penalty(kind, factor): (kind, factor)
        for kind in ("linear", "logistic")
        for factor in LADDER
    }
    known = cells[cells["head"].isin(list(steps))]
    ends = known[known["noise"].isin([known["noise"].min(), known["noise"].max()])]
    kinds = ends["head"].map(lambda name: steps[name][0])
    wrong = ends["noise"].map(lambda rate: f", {rate:.0%} of labels wrong")
    laid_out = ends.assign(
        line=kinds + wrong, penalty=ends["head"].map(lambda name: steps[name][1])
    )
    ExperimentDisplay.from_frame(
        _means(laid_out, "line", "penalty"),
        "penalty",
        line="line",
        x_label="penalty (times that of the logistic head)",
    ).plot(ax)
    ax.set_xscale("log")


def _designs(cells: "pd.DataFrame", ax: Any) -> None:
    ExperimentDisplay.from_frame(
        _means(cells, "design", "noise"),
        "noise",
        line="design",
        x_label="annotator's error rate on same-prompt pairs (share)",
    ).plot(ax)


def _means(cells: "pd.DataFrame", line: str, point: str) -> "pd.DataFrame":
    """Average over all factors but these two and the seed."""
    factors = [line, point, "seed"]
    return cells.groupby(factors, sort=False).mean(numeric_only=True).reset_index()


_PICTURES: dict[str, tuple[str, Callable[["pd.DataFrame", Any], None]]] = {
    "a_noise": ("a", _noise),
    "a_penalties": ("a-matched", _penalties),
    "b_pairs": ("b", _designs),
}
