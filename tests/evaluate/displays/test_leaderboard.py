"""The leaderboard shows the arrays it holds."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from embrm.evaluate import Interval, LeaderboardDisplay, compare_heads
from embrm.exceptions import InvalidInputError

BASELINE = Interval(0.55, 0.5, 0.6, 0.95, 9, "prompt bootstrap")
HEAD = Interval(0.7, 0.65, 0.75, 0.95, 9, "prompt bootstrap")


@pytest.fixture
def heads():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    deltas = {"poor": truth + 5 * rng.normal(size=400), "good": truth}
    return (
        deltas,
        (truth + 0.1 * rng.normal(size=400) > 0).astype(float),
        np.arange(400) // 4,
    )


def test_the_display_holds_the_comparison(heads):
    """As plain arrays, best first, without a picture."""
    display = LeaderboardDisplay.from_predictions(*heads, level=0.9)
    table = compare_heads(*heads, level=0.9)
    assert display.names == ["good", "poor"]
    assert display.ties_with_best.tolist() == [True, False]
    np.testing.assert_array_equal(display.low, table["low"])
    assert not hasattr(display, "ax_")


def test_it_is_drawn_to_a_file(heads, tmp_path):
    """With the unit, the level, the baseline and the meaning of the markers."""
    display = LeaderboardDisplay.from_predictions(*heads, baseline=BASELINE).plot()
    display.figure_.savefig(tmp_path / "leaderboard.png")
    assert (tmp_path / "leaderboard.png").stat().st_size > 5_000
    label = "order consistency (share of pairs), 95% interval"
    assert display.ax_.get_xlabel() == label
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["good", "poor"]
    legend = {text.get_text() for text in display.ax_.get_legend().get_texts()}
    assert legend == {
        "best, or tied with it",
        "worse than the best",
        "length baseline",
    }


def test_the_legend_is_whole_beside_long_names():
    """Also in a picture that is narrower than the default."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    display = LeaderboardDisplay(
        ["lightgbm on smollm2", "xgboost on smollm2"],
        *np.array([[0.7, 0.6], [0.6, 0.5], [0.8, 0.7]]),
        ties_with_best=np.array([True, False]),
        baseline=BASELINE,
    ).plot(figure.subplots())
    figure.draw_without_rendering()
    box = display.ax_.get_legend().get_window_extent()
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1


def test_heads_that_all_tie_need_one_marker(heads):
    """Nothing is in the legend that is not in the picture."""
    deltas, y, groups = heads
    display = LeaderboardDisplay.from_predictions({"a": deltas["good"]}, y, groups)
    legend = display.plot().ax_.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["best, or tied with it"]


def test_results_at_hand_can_be_shown():
    """In the order they are given, on axes at hand, under another label."""
    display = LeaderboardDisplay.from_intervals(
        {"linear": HEAD, "baseline": BASELINE}, label="accuracy (share)"
    )
    again = LeaderboardDisplay.from_intervals({"linear": HEAD}).plot(display.plot().ax_)
    assert display.names == ["linear", "baseline"]
    assert display.high.tolist() == [0.75, 0.6]
    assert again.figure_ is display.figure_
    assert display.ax_.get_legend() is None


def test_intervals_of_different_levels_are_refused():
    """One axis, one level."""
    other = Interval(0.7, 0.6, 0.8, 0.9, 9, "prompt bootstrap")
    with pytest.raises(InvalidInputError, match="2 intervals of 2 levels"):
        LeaderboardDisplay.from_intervals({"a": HEAD, "b": other})
