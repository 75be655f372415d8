"""Pictures of the studies."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks.paper.pictures import write_pictures
from embrm.exceptions import MissingDependencyError


@pytest.fixture(autouse=True)
def _no_screen():
    mpl.use("agg")


@pytest.fixture
def drawn(monkeypatch):
    """Axes of the figures that are saved, by name of their file."""
    axes = {}

    def keep(figure, path, **_):
        axes[path.stem] = figure.axes[0]

    monkeypatch.setattr(Figure, "savefig", keep)
    return axes


def test_every_study_has_its_pictures(made_up, tmp_path):
    """Files, in the order of the studies."""
    names = [path.name for path in write_pictures(made_up(), tmp_path)]
    assert names == sorted(p.name for p in tmp_path.iterdir()) or set(names) == {
        p.name for p in tmp_path.iterdir()
    }
    assert [name[0] for name in names] == list("aaaabbc")


def test_lines_are_the_means_of_the_cells(made_up, drawn, tmp_path):
    """Over what is not shown."""
    frame = made_up(lambda row: -row["noise"] / 2)
    write_pictures(frame, tmp_path)
    line = drawn["a_noise"].lines[0]
    cells = frame[(frame["part"] == "a") & (frame["head"] == "linear")]
    expected = cells.groupby("noise")["order_consistency"].mean()
    np.testing.assert_allclose(line.get_ydata(), expected)
    np.testing.assert_allclose(line.get_xdata(), [0.1, 0.2, 0.4])


def test_axes_say_what_is_measured_and_in_what(made_up, drawn, tmp_path):
    """Every picture has both labels, with units."""
    write_pictures(made_up(), tmp_path)
    for ax in drawn.values():
        assert ax.get_xlabel()
        assert "(" in ax.get_ylabel()
    assert "same-prompt pairs (share)" in drawn["b_same_annotator"].get_xlabel()
    assert "recovery of the best of 4" in drawn["a_recovery"].get_ylabel()


def test_diversity_is_drawn_from_similar_to_diverse(made_up, drawn, tmp_path):
    """In whatever order the cells come."""
    write_pictures(made_up(parts=("c",)).iloc[::-1], tmp_path)
    labels = [label.get_text() for label in drawn["c_diversity"].get_xticklabels()]
    assert labels == ["similar", "random", "diverse"]


def test_what_has_no_result_is_not_drawn(made_up, tmp_path):
    """No picture of cells that all failed."""
    frame = made_up(parts=("a", "c"))
    frame.loc[frame["part"] == "c", "order_consistency"] = np.nan
    names = [path.name for path in write_pictures(frame, tmp_path)]
    assert names == ["a_noise.png", "a_budget.png", "a_recovery.png"]


def test_without_matplotlib_the_extra_is_named(made_up, monkeypatch, tmp_path):
    """The caller may go on without pictures."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match="plot"):
        write_pictures(made_up(), tmp_path)
