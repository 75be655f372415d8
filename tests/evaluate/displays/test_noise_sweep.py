"""Noise sweep pictures: a line per head against the realised error rate."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from embrm.evaluate.displays import NoiseSweepDisplay


@pytest.fixture
def display() -> NoiseSweepDisplay:
    rng = np.random.default_rng(0)
    runs = [
        {
            "head": head,
            "annotator": f"noise {rate}",
            "seed": seed,
            "error_rate": rate + rng.normal(scale=0.002),
            "order_consistency": 0.75 - rate / 2 + rng.normal(scale=0.01),
        }
        for head in ("linear", "siamese")
        for rate in (0.05, 0.2, 0.4)
        for seed in range(3)
    ]
    return NoiseSweepDisplay.from_frame(pd.DataFrame(runs))


def test_x_is_the_realised_error_rate(display):
    """Its mean over seeds, ascending."""
    assert display.lines.lines[0].x == pytest.approx([0.05, 0.2, 0.4], abs=0.005)


def test_the_picture_has_a_line_and_a_band_per_head(display, tmp_path):
    """Axes are labelled with their unit; the legend says what the band is."""
    ax = display.plot().ax_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "linear",
        "siamese",
    ]
    assert ax.get_legend().get_title().get_text() == "mean of 3 seeds, 95% t interval"
    assert len(ax.collections) == 2
    assert ax.get_xlabel() == "realised error rate (share of labels)"
    assert ax.get_ylabel() == "order consistency with gold\n(share of pairs)"
    display.figure_.savefig(tmp_path / "sweep.png")


def test_it_draws_on_axes_that_are_given(display):
    """plot(ax) uses them and returns the display."""
    figure, ax = mpl.pyplot.subplots()
    assert display.plot(ax) is display
    assert display.figure_ is figure


def test_columns_and_label_can_be_named():
    """Any tidy table will do."""
    runs = pd.DataFrame(
        {"model": ["a"], "noise": [1], "run": [0], "e": [0.1], "y": [1]}
    )
    display = NoiseSweepDisplay.from_frame(
        runs, line="model", point="noise", x="e", y="y", seed="run", label="wins"
    )
    assert display.plot().ax_.get_ylabel() == "wins"
