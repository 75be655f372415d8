"""Calibration is measured on the winner's side, whatever the orientation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit

from embrm.evaluate import (
    calibration_interval,
    expected_calibration_error,
    reliability_curve,
)
from embrm.exceptions import InvalidInputError


def brute_force_ece(delta, y, n_bins, weight):
    """Loop over bins and pairs, as the definition reads."""
    confidence = expit(np.abs(delta))
    right = np.where(delta > 0, y, np.where(delta < 0, 1 - y, 0.5))
    edges = np.linspace(0.5, 1, n_bins + 1)
    error = 0.0
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = (confidence > low) & (confidence <= high)
        if number == 0:
            inside |= confidence == 0.5
        if weight[inside].sum() > 0:
            gap = np.average(right[inside] - confidence[inside], weights=weight[inside])
            error += weight[inside].sum() * abs(gap)
    return error / weight.sum()


def simulated(n, sharpness, seed):
    """Draw a head whose confidence is `sharpness` times what it should be, in nats."""
    rng = np.random.default_rng(seed)
    delta = rng.normal(scale=1.5, size=n)
    return sharpness * delta, (rng.random(n) < expit(delta)).astype(float)


@pytest.mark.parametrize("n_bins", [1, 7, 10])
@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_agrees_with_a_loop(n_bins, seed):
    """With weights, soft labels, label ties and ties of the head."""
    rng = np.random.default_rng(seed)
    delta = np.round(rng.normal(scale=2, size=150), 1)
    y = rng.choice([0, 0.2, 0.5, 1], size=150)
    weight = rng.integers(0, 3, size=150).astype(float)
    got = expected_calibration_error(delta, y, n_bins=n_bins, sample_weight=weight)
    assert got == pytest.approx(brute_force_ece(delta, y, n_bins, weight))


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_a_perfectly_calibrated_head_has_a_small_error(strategy):
    """What is left is the noise of 2,000 pairs to a bin."""
    delta, y = simulated(20_000, 1.0, seed=0)
    assert expected_calibration_error(delta, y, strategy=strategy) < 0.02


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_an_overconfident_head_has_a_large_error(strategy):
    """Three times too sure is 0.15 too sure on average."""
    delta, y = simulated(20_000, 3.0, seed=0)
    assert expected_calibration_error(delta, y, strategy=strategy) > 0.1


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_chosen_first_gives_the_error_of_random_orientation(strategy):
    """Confidence in the chosen response would be degenerate here."""
    delta, y = simulated(3_000, 1.0, seed=1)
    chosen_first = np.where(y == 1, delta, -delta)
    mixed = expected_calibration_error(delta, y, strategy=strategy)
    oriented = expected_calibration_error(chosen_first, strategy=strategy)
    assert oriented == pytest.approx(mixed, abs=1e-12)


@given(
    delta=hnp.arrays(float, 12, elements=st.floats(-1e4, 1e4)),
    y=hnp.arrays(float, 12, elements=st.sampled_from([0, 0.25, 0.5, 1])),
    swap=hnp.arrays(bool, 12),
    strategy=st.sampled_from(["uniform", "quantile"]),
)
@settings(max_examples=50)
def test_swapping_pairs_leaves_the_error_as_it_is(delta, y, swap, strategy):
    """Orientation carries no information."""
    swapped = np.where(swap, -delta, delta), np.where(swap, 1 - y, y)
    before = expected_calibration_error(delta, y, strategy=strategy)
    after = expected_calibration_error(*swapped, strategy=strategy)
    assert before == pytest.approx(after, abs=1e-12)
    assert 0 <= before <= 1


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_a_weight_counts_copies_in_the_curve(strategy):
    """Weight k equals k copies of the pair, bins included."""
    rng = np.random.default_rng(2)
    delta, y = rng.normal(size=60), (rng.random(60) < 0.5).astype(float)
    weight = rng.integers(0, 4, size=60)
    one = reliability_curve(delta, y, strategy=strategy, sample_weight=weight)
    copies = reliability_curve(
        np.repeat(delta, weight), np.repeat(y, weight), strategy=strategy
    )
    np.testing.assert_allclose(one.confidence, copies.confidence)
    np.testing.assert_allclose(one.accuracy, copies.accuracy)
    np.testing.assert_allclose(one.count, copies.count)


def test_a_label_tie_is_half_right_whatever_the_head_says():
    """It is a coin flip between two annotators."""
    curve = reliability_curve([3.0, -3.0], [0.5, 0.5])
    assert curve.accuracy.tolist() == [0.5]


def test_a_tie_of_the_head_is_half_sure_and_half_right():
    """It can never be miscalibrated."""
    assert expected_calibration_error([0.0, 0.0], [1, 0.2]) == 0.0


def test_quantile_bins_hold_equally_many_pairs():
    """Where no two confidences are equal."""
    delta = np.random.default_rng(3).normal(size=100)
    assert reliability_curve(delta, strategy="quantile").count.tolist() == [10] * 10


def test_the_curve_leaves_empty_bins_out():
    """Two confidences, two bins."""
    curve = reliability_curve([0.1, 5.0])
    assert len(curve.confidence) == 2


def test_an_unknown_strategy_is_refused():
    """The message lists the known ones."""
    with pytest.raises(InvalidInputError, match="strategy one of uniform, quantile"):
        reliability_curve([1.0], strategy="equal")


def test_the_interval_is_about_the_estimate():
    """Its estimate is the calibration error itself."""
    delta, y = simulated(500, 2.0, seed=4)
    interval = calibration_interval(delta, y, np.arange(500) // 5)
    assert interval.estimate == pytest.approx(expected_calibration_error(delta, y))
    assert interval.low < interval.estimate < interval.high
    assert interval.method == "prompt bootstrap, corrected for bias"


def test_one_pair_has_no_interval():
    """There is nothing to resample."""
    interval = calibration_interval([1.0], [1])
    assert np.isnan([interval.low, interval.high]).all()


@pytest.mark.parametrize("sharpness", [1.0, 1.5, 3.0])
def test_the_interval_covers_the_true_error(sharpness):
    """Also where it is zero, at which plain percentiles never arrive."""
    delta, _ = simulated(200_000, sharpness, seed=5)
    truth = expected_calibration_error(delta, expit(delta / sharpness))
    covered = 0
    for seed in range(100):
        delta, y = simulated(800, sharpness, seed=100 + seed)
        interval = calibration_interval(
            delta, y, np.arange(800) // 4, n_resamples=200, random_state=seed
        )
        covered += interval.low <= truth <= interval.high
    assert covered >= 87
