"""Lines are told apart without colour, and pictures fit narrow axes."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

mpl.use("Agg")

from embrm.evaluate.displays._styles import axes_or_new, finish, line_look


def test_six_lines_differ_in_style_and_in_marker():
    """So that a copy in grey is legible."""
    looks = [line_look(position) for position in range(6)]
    assert len({str(look["linestyle"]) for look in looks}) == 6
    assert len({look["marker"] for look in looks}) == 6


def test_a_seventh_line_starts_again():
    """There are no more."""
    assert line_look(6) == line_look(0)


def test_given_axes_are_used():
    """And a new figure is made where there are none."""
    _, ax = plt.subplots()
    assert axes_or_new(ax) is ax
    assert axes_or_new(None, (3, 2)).figure.get_size_inches().tolist() == [3, 2]


@pytest.mark.parametrize("width", [3.3, 6.4])
def test_the_legend_stays_within_the_picture(width):
    """Above the axes, at full and at half width."""
    figure, ax = plt.subplots(figsize=(width, 3), layout="constrained")
    for position, name in enumerate(["linear", "siamese", "classification-lightgbm"]):
        ax.plot([0, 1], [0, position], label=name, **line_look(position))
    finish(ax, "mean of 3 seeds")
    figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    assert legend.x1 <= figure.bbox.x1
    assert legend.y0 >= ax.get_window_extent().y1
