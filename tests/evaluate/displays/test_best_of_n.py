"""Best-of-n pictures: a line per head between chance and the best."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from embrm.evaluate import best_of_n_curve
from embrm.evaluate.displays import BestOfNDisplay
from embrm.exceptions import InvalidInputError


@pytest.fixture
def display() -> BestOfNDisplay:
    rng = np.random.default_rng(0)
    gold = rng.normal(size=60)
    rewards = {name: gold + s * rng.normal(size=60) for name, s in (("a", 1), ("b", 3))}
    return BestOfNDisplay.from_predictions(gold, rewards, np.repeat(range(10), 6))


def test_curves_are_those_of_the_function(display):
    """The display keeps plain results, computed by best_of_n_curve."""
    assert list(display.curves) == ["a", "b"]
    assert len(display.curves["a"].mean) == 6
    assert np.all(display.curves["a"].mean <= display.ceiling.mean + 1e-12)


def test_the_picture_has_a_line_per_head_and_both_bounds(display, tmp_path):
    """Axes are labelled with their unit; the legend names every line."""
    display.plot()
    axis = display.ax_
    words = [text.get_text() for text in axis.get_legend().get_texts()]
    assert words == ["a", "b", "at random", "by gold itself"]
    assert axis.get_xlabel() == "n (responses to choose from)"
    assert axis.get_ylabel() == "expected gold of the pick"
    display.figure_.savefig(tmp_path / "best_of_n.png")
    assert (tmp_path / "best_of_n.png").stat().st_size > 5_000
    mpl.pyplot.close(display.figure_)


def test_it_draws_on_axes_that_are_given(display):
    """plot(ax) uses them and returns the display."""
    figure, axis = mpl.pyplot.subplots()
    assert display.plot(axis) is display
    assert display.figure_ is figure
    mpl.pyplot.close(figure)


def test_heads_are_told_apart_without_colour(display):
    """Neighbouring lines differ in style and marker."""
    display.plot()
    first, second = display.ax_.get_lines()[:2]
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()
    mpl.pyplot.close(display.figure_)


def test_the_ceiling_may_be_left_out():
    """Without gold of its own, only the heads and chance are drawn."""
    curve = best_of_n_curve([0, 1, 2], [0, 1, 2], [0, 0, 0])
    shown = BestOfNDisplay({"a": curve}).plot()
    assert len(shown.ax_.get_lines()) == 2
    mpl.pyplot.close(shown.figure_)


def test_no_head_is_an_error():
    """The message says what to pass."""
    with pytest.raises(InvalidInputError, match="curve of at least one head"):
        BestOfNDisplay({})
