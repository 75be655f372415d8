"""The reliability diagram shows the arrays it holds."""

import numpy as np
import pytest

from embrm.evaluate import (
    ReliabilityDisplay,
    expected_calibration_error,
    reliability_curve,
)


@pytest.fixture
def judged():
    rng = np.random.default_rng(0)
    delta = rng.normal(scale=2, size=500)
    return delta, (rng.random(500) < 1 / (1 + np.exp(-delta))).astype(float)


def test_the_display_holds_the_curve(judged):
    """As plain arrays, without a picture."""
    display = ReliabilityDisplay.from_predictions(*judged, n_bins=5, name="linear")
    curve = reliability_curve(*judged, n_bins=5)
    np.testing.assert_array_equal(display.confidence, curve.confidence)
    np.testing.assert_array_equal(display.accuracy, curve.accuracy)
    np.testing.assert_array_equal(display.count, curve.count)
    assert not hasattr(display, "ax_")


def test_its_error_is_the_calibration_error(judged):
    """Of the pairs it was made from."""
    display = ReliabilityDisplay.from_predictions(*judged)
    expected = expected_calibration_error(*judged)
    assert display.calibration_error == pytest.approx(expected)


def test_it_is_drawn_to_a_file(judged, tmp_path):
    """With units on both axes and the error in the legend."""
    display = ReliabilityDisplay.from_predictions(*judged, name="linear").plot()
    display.figure_.savefig(tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 5_000
    assert display.ax_.get_xlabel() == "confidence in the preferred side (probability)"
    assert display.ax_.get_ylabel() == "accuracy (share of pairs)"
    np.testing.assert_array_equal(display.line_.get_ydata(), display.accuracy)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[1].startswith("linear: calibration error 0.0")


def test_heads_on_the_same_axes_differ_without_colour(judged):
    """By line and marker; the diagonal is drawn once."""
    delta, y = judged
    one = ReliabilityDisplay.from_predictions(delta, y).plot()
    other = ReliabilityDisplay.from_predictions(2 * delta, y).plot(one.ax_)
    assert other.ax_ is one.ax_
    assert len(one.ax_.lines) == 3
    assert one.line_.get_marker() != other.line_.get_marker()
    assert one.line_.get_linestyle() != other.line_.get_linestyle()


def test_a_head_gives_its_name(judged):
    """Anything with a decision function is a head here."""

    class Halved:
        def decision_function(self, pairs):
            return pairs / 2

    delta, y = judged
    display = ReliabilityDisplay.from_estimator(Halved(), delta, y)
    same = ReliabilityDisplay.from_predictions(delta / 2, y)
    assert display.name == "Halved"
    np.testing.assert_array_equal(display.accuracy, same.accuracy)
