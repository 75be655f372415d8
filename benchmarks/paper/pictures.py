"""Pictures of the studies, one to a file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.paper.claims import CONSISTENCY, difference_words, recovery_of
from benchmarks.paper.levels import PENALTIES
from embrm._optional import import_optional
from embrm.evaluate.displays import ExperimentDisplay

if TYPE_CHECKING:
    import pandas as pd

# At half the width of a page, 3.3 inches, letters are still of 7 points.
_SIZE, _RESOLUTION = (4.8, 3.8), 200
_DIVERSITY = ("similar", "random", "diverse")


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


def _recovery(cells: "pd.DataFrame", ax: Any) -> None:
    column = recovery_of(cells)
    ExperimentDisplay.from_frame(
        _means(cells, "head", "noise"),
        "error_rate",
        point="noise",
        y=column,
        label=f"{difference_words(column)}\n(0: random pick, 1: best pick)",
    ).plot(ax)


def _budget(cells: "pd.DataFrame", ax: Any) -> None:
    ExperimentDisplay.from_frame(_means(cells, "head", "budget"), "budget").plot(ax)


def _penalties(cells: "pd.DataFrame", ax: Any) -> None:
    strengths = [f"{strength} penalty" for strength in PENALTIES]
    linear = cells[cells["head"].str.endswith(tuple(strengths))]
    _noise(linear, ax)


def _designs(cells: "pd.DataFrame", ax: Any) -> None:
    ExperimentDisplay.from_frame(
        _means(cells, "design", "noise"),
        "noise",
        line="design",
        x_label="annotator's error rate on same-prompt pairs (share)",
    ).plot(ax)


def _designs_at_equal_rates(cells: "pd.DataFrame", ax: Any) -> None:
    means = _means(cells, "design", "noise")
    ExperimentDisplay.from_frame(
        means, "error_rate", line="design", point="noise"
    ).plot(ax)


def _diversity(cells: "pd.DataFrame", ax: Any) -> None:
    means = _means(cells, "design", "diversity")
    place = means["diversity"].map(_DIVERSITY.index)
    ExperimentDisplay.from_frame(
        means.iloc[place.argsort(kind="stable")],
        "diversity",
        line="design",
        x_label="the two responses of ten that are annotated",
    ).plot(ax)


def _means(cells: "pd.DataFrame", line: str, point: str) -> "pd.DataFrame":
    """Average over all factors but these two and the seed."""
    factors = [line, point, "seed"]
    return cells.groupby(factors, sort=False).mean(numeric_only=True).reset_index()


_PICTURES: dict[str, tuple[str, Callable[["pd.DataFrame", Any], None]]] = {
    "a_noise": ("a", _noise),
    "a_budget": ("a", _budget),
    "a_recovery": ("a", _recovery),
    "a_penalties": ("a-matched", _penalties),
    "b_same_annotator": ("b", _designs),
    "b_equal_error_rates": ("b-equal", _designs_at_equal_rates),
    "c_diversity": ("c", _diversity),
}
