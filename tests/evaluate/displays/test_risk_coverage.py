"""The picture of error rate by the share of pairs that are decided."""

import numpy as np
from matplotlib.figure import Figure

from embrm.evaluate import (
    Interval,
    LeaderboardDisplay,
    ReliabilityDisplay,
    RiskCoverageDisplay,
)


def test_the_curve_ends_at_the_error_rate_of_all_pairs():
    """With lines for that and for chance."""
    display = RiskCoverageDisplay.from_predictions(np.linspace(-1, 3, 100))
    display.plot(ax=Figure().subplots())
    x, y = display.ax_.lines[0].get_data()
    assert (x[-1], y[-1]) == (1.0, 0.25)
    assert [line.get_ydata()[0] for line in display.ax_.lines[1:]] == [0.25, 0.5]
    assert min(x) >= 0.05


def test_reliability_counts_the_pairs_of_each_dot():
    """Of one head; of several, numbers would cover each other."""
    rng = np.random.default_rng(0)
    display = ReliabilityDisplay.from_predictions(rng.normal(1, 1, 400), n_bins=4)
    display.plot(ax=Figure().subplots())
    counts = [int(text.get_text()) for text in display.ax_.texts]
    assert counts == display.count.astype(int).tolist()
    display.plot(ax=display.ax_)
    assert len(display.ax_.texts) == len(counts)


def test_chance_is_a_line_and_long_names_leave_room():
    """The axis reaches it; the middle of a long name is cut."""
    name = "a very long name of a head that would take all of the room"
    interval = Interval(0.7, 0.65, 0.75, 0.95, 100, "prompt bootstrap")
    display = LeaderboardDisplay.from_intervals({name: interval}, chance=0.5)
    display.plot(ax=Figure().subplots())
    assert display.ax_.get_xlim()[0] <= 0.5
    assert "chance" in display.ax_.get_legend_handles_labels()[1]
    shown = display.ax_.get_yticklabels()[0].get_text()
    assert len(shown) < 35
    assert "\u2026" in shown
