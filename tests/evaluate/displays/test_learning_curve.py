"""Learning curves: a metric against the budget, on a log axis."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from embrm.evaluate.displays import LearningCurveDisplay


def runs_of(budgets):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "head": head,
                "budget": budget,
                "seed": seed,
                "order_consistency": 0.5 + rng.normal(scale=0.01),
            }
            for head in ("linear", "siamese")
            for budget in budgets
            for seed in range(3)
        ]
    )


@pytest.fixture
def display() -> LearningCurveDisplay:
    return LearningCurveDisplay.from_frame(runs_of([300, 3000, 30_000]))


def test_the_axis_is_logarithmic_and_names_each_budget(display):
    """In plain numbers."""
    ax = display.plot().ax_
    assert ax.get_xscale() == "log"
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["300", "3,000", "30,000"]
    assert len(ax.get_xticks(minor=True)) == 0


def test_many_budgets_are_left_to_the_axis():
    """Their names would run into each other."""
    budgets = [100, 200, 400, 800, 1600, 3200, 6400]
    ax = LearningCurveDisplay.from_frame(runs_of(budgets)).plot().ax_
    assert "6,400" not in [label.get_text() for label in ax.get_xticklabels()]


def test_the_picture_has_a_line_and_a_band_per_head(display):
    """Axes are labelled with their unit; the legend names every head."""
    ax = display.plot().ax_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "linear",
        "siamese",
    ]
    assert len(ax.collections) == 2
    assert ax.get_xlabel() == "budget (annotated pairs, log scale)"
    assert ax.get_ylabel() == "order consistency with gold\n(share of pairs)"


def test_it_draws_on_axes_that_are_given(display):
    """plot(ax) uses them and returns the display."""
    figure, ax = mpl.pyplot.subplots()
    assert display.plot(ax) is display
    assert display.figure_ is figure
