"""Pairing pictures: a line per design, by the diversity of responses."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from embrm.evaluate.displays import PairingDisplay


@pytest.fixture
def runs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "design": design,
                "diversity": diversity,
                "mean_abs_delta": step + rng.normal(scale=0.01),
                "seed": seed,
                "order_consistency": 0.6 + 0.05 * step + rng.normal(scale=0.01),
            }
            for design in ("same", "cross", "mixed")
            for step, diversity in enumerate(("low", "random", "high"))
            for seed in range(3)
        ]
    )


def test_names_keep_the_order_of_the_table(runs):
    """Not the alphabet's."""
    ax = PairingDisplay.from_frame(runs).plot().ax_
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["low", "random", "high"]


def test_designs_stand_beside_one_another(runs):
    """So that their bars do not hide one another."""
    ax = PairingDisplay.from_frame(runs).plot().ax_
    starts = [bars.lines[0].get_xdata()[0] for bars in ax.containers]
    assert starts == pytest.approx([-0.06, 0, 0.06])


def test_a_measured_diversity_is_an_axis(runs):
    """Its mean over the seeds of a point."""
    display = PairingDisplay.from_frame(
        runs, x="mean_abs_delta", point="diversity", x_label="mean gold difference"
    )
    ax = display.plot().ax_
    assert display.lines.lines[0].x == pytest.approx([0, 1, 2], abs=0.02)
    assert ax.get_xlabel() == "mean gold difference"


def test_the_legend_names_every_design(runs):
    """Bars have caps; axes have their unit."""
    ax = PairingDisplay.from_frame(runs).plot().ax_
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["same", "cross", "mixed"]
    assert ax.get_ylabel() == "order consistency with gold\n(share of pairs)"


def test_it_draws_on_axes_that_are_given(runs):
    """plot(ax) uses them and returns the display."""
    display = PairingDisplay.from_frame(runs)
    figure, ax = mpl.pyplot.subplots()
    assert display.plot(ax) is display
    assert display.figure_ is figure
