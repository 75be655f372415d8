"""Pictures of the studies."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks.paper.levels import LADDER
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


def test_there_are_three_pictures(made_up, tmp_path):
    """Files, in the order of the studies."""
    names = [path.name for path in write_pictures(made_up(), tmp_path)]
    assert names == ["a_noise.png", "a_penalties.png", "b_pairs.png"]
    assert set(names) == {path.name for path in tmp_path.iterdir()}


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
    assert "same-prompt pairs (share)" in drawn["b_pairs"].get_xlabel()


def test_penalties_are_on_a_scale_of_factors(made_up, drawn, tmp_path):
    """Both objectives at the lowest and the highest noise, over the whole ladder."""
    write_pictures(made_up(parts=("a-matched",)), tmp_path)
    ax = drawn["a_penalties"]
    assert ax.get_xscale() == "log"
    _, labels = ax.get_legend_handles_labels()
    names = [text.get_text() for text in ax.texts] + labels
    for kind in ("linear", "logistic"):
        assert f"{kind}, 10% of labels wrong" in names
        assert f"{kind}, 40% of labels wrong" in names
    np.testing.assert_allclose(ax.lines[0].get_xdata(), LADDER)


def test_what_has_no_result_is_not_drawn(made_up, tmp_path):
    """No picture of cells that all failed."""
    frame = made_up(parts=("a", "b"))
    frame.loc[frame["part"] == "b", "order_consistency"] = np.nan
    names = [path.name for path in write_pictures(frame, tmp_path)]
    assert names == ["a_noise.png"]


def test_without_matplotlib_the_extra_is_named(made_up, monkeypatch, tmp_path):
    """The caller may go on without pictures."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match="plot"):
        write_pictures(made_up(), tmp_path)
