"""Over-optimisation pictures: gold and proxy against divergence, and the fit."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from embrm.evaluate import measured_peak, overoptimisation_curve
from embrm.evaluate.displays import OveroptimisationDisplay


@pytest.fixture(scope="module")
def case():
    """A proxy that a few responses fool."""
    rng = np.random.default_rng(0)
    gold = rng.normal(size=4000)
    fooled = rng.random(4000) < 0.03
    proxy = np.where(fooled, 4 - gold, gold) + 0.5 * rng.normal(size=4000)
    return gold, proxy, np.repeat(range(40), 100)


@pytest.fixture
def display(case) -> OveroptimisationDisplay:
    return OveroptimisationDisplay.from_predictions(*case, n_resamples=50)


def words_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_curve_is_that_of_the_function(case, display):
    """The display keeps plain results."""
    expected = overoptimisation_curve(*case, n_resamples=50)
    np.testing.assert_array_equal(display.curve.gold.mean, expected.gold.mean)
    assert measured_peak(display.curve).strength == measured_peak(expected).strength


def test_gold_and_proxy_are_in_standard_deviations(display):
    """So that one axis holds both."""
    lines = display.plot().ax_.get_lines()
    expected = display.curve.proxy.mean / display.curve.reward_std
    np.testing.assert_allclose(lines[1].get_ydata(), expected)


def test_the_picture_has_gold_proxy_form_and_peak(display, tmp_path):
    """Axes are labelled with their unit."""
    ax = display.plot().ax_
    assert words_of(ax)[:2] == ["gold", "proxy"]
    assert words_of(ax)[2].startswith("gold as")
    assert words_of(ax)[3].startswith("its peak, ")
    assert ax.get_xlabel() == "divergence from the reference (nats)"
    assert ax.get_ylabel() == "gain over a random response\n(standard deviations)"
    display.figure_.savefig(tmp_path / "overoptimisation.png")


def test_a_peak_that_was_not_measured_is_not_drawn(case):
    """Beyond the curve it is an extrapolation."""
    gold, _, prompts = case
    display = OveroptimisationDisplay.from_predictions(gold, gold, prompts)
    assert len(words_of(display.plot().ax_)) == 3


def test_the_fit_may_be_left_out(display):
    """Then two lines are drawn, on the axes that are given."""
    figure, ax = mpl.pyplot.subplots()
    shown = OveroptimisationDisplay(display.curve).plot(ax)
    assert words_of(ax) == ["gold", "proxy"]
    assert shown.figure_ is figure
