"""How far a reward can be pushed: the measured peak, and where accuracy ends."""

from dataclasses import replace

import numpy as np
import pytest

from embrm.evaluate import (
    farthest_accurate_kl,
    measured_peak,
    overoptimisation_curve,
)
from embrm.exceptions import InvalidInputError


@pytest.fixture(scope="module")
def curve():
    """A proxy that a few responses fool, of 60 prompts."""
    rng = np.random.default_rng(0)
    gold = rng.normal(size=6000)
    fooled = rng.random(6000) < 0.02
    proxy = np.where(fooled, 3 - gold, gold) + 0.5 * rng.normal(size=6000)
    prompts = np.repeat(np.arange(60), 100)
    return overoptimisation_curve(gold, proxy, prompts, n_resamples=300)


def with_accuracy(curve, values):
    """The same curve, four points long, with accuracies as given."""
    values = np.array(values)
    band = curve.accuracy._replace(mean=values)
    kl = np.arange(4.0)
    resampled = {"kl": kl[None], "accuracy": values[None]}
    return replace(curve, kl=kl, accuracy=band, resampled=resampled)


def test_the_peak_is_the_highest_measured_point(curve):
    """With intervals for its place and its height."""
    peak = measured_peak(curve)
    assert peak.gain.estimate == curve.gold.mean.max()
    assert peak.kl.low <= peak.kl.estimate <= peak.kl.high
    assert peak.gain.low < peak.gain.estimate < peak.gain.high
    assert not peak.at_end


def test_a_curve_that_still_rises_says_so():
    """Its peak is its last point."""
    gold = np.random.default_rng(1).normal(size=400)
    peak = measured_peak(overoptimisation_curve(gold, gold, np.repeat(range(8), 50)))
    assert peak.at_end
    assert peak.strength == 50


def test_the_farthest_accurate_divergence_is_interpolated(curve):
    """Halfway between 0.8 and 0.7 lies 0.75."""
    found = farthest_accurate_kl(with_accuracy(curve, [0.9, 0.8, 0.7, 0.6]))
    assert found.kl.estimate == pytest.approx(1.5)
    assert not found.reaches_end


def test_the_last_crossing_counts(curve):
    """The farthest, as its name says."""
    found = farthest_accurate_kl(with_accuracy(curve, [0.9, 0.7, 0.8, 0.6]))
    assert found.kl.estimate == pytest.approx(2.25)


def test_a_reward_that_is_never_accurate_gets_zero(curve):
    """Not even on the reference's own responses."""
    found = farthest_accurate_kl(with_accuracy(curve, [0.7, 0.7, 0.6, 0.5]))
    assert found.kl.estimate == 0
    assert not found.reaches_end


@pytest.mark.parametrize("last", [0.8, np.nan])
def test_a_reward_that_stays_accurate_reaches_the_end(curve, last):
    """The last point where accuracy is defined."""
    found = farthest_accurate_kl(with_accuracy(curve, [0.9, 0.9, 0.8, last]))
    assert found.kl.estimate == (3 if last == 0.8 else 2)
    assert found.reaches_end


def test_the_interval_is_over_prompts(curve):
    """And holds the estimate."""
    found = farthest_accurate_kl(curve, 0.7)
    assert 0 < found.kl.low <= found.kl.estimate <= found.kl.high
    assert found.kl.n_groups == 60


def test_a_better_reward_goes_farther():
    """Less noise, more divergence at the same accuracy."""
    rng = np.random.default_rng(2)
    gold, noise = rng.normal(size=(2, 2000))
    prompts = np.repeat(range(40), 50)
    near, far = (
        farthest_accurate_kl(
            overoptimisation_curve(gold, gold + scale * noise, prompts, n_resamples=5)
        ).kl.estimate
        for scale in (0.8, 0.4)
    )
    assert near < far


@pytest.mark.parametrize("threshold", [0.0, 1.0, 75.0])
def test_the_threshold_is_a_share(curve, threshold):
    """Strictly between 0 and 1."""
    with pytest.raises(InvalidInputError, match=r"threshold in \(0, 1\)"):
        farthest_accurate_kl(curve, threshold)
