"""Intervals cover what they promise, for means and for any statistic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embrm.evaluate import (
    expected_calibration_error,
    prompt_bootstrap,
    prompt_bootstrap_statistic,
)
from embrm.exceptions import InvalidInputError


def coverage(draw, n_simulations=300):
    """Share of simulations whose interval holds the true mean, 0."""
    rng = np.random.default_rng(7)
    intervals = [
        prompt_bootstrap(*draw(rng), n_resamples=300, random_state=seed)
        for seed in range(n_simulations)
    ]
    return np.mean([i.low <= 0 <= i.high for i in intervals])


def test_intervals_of_pairs_within_prompts_cover_95_percent():
    """80 prompts of very different sizes, whose pairs are strongly alike."""

    def draw(rng):
        groups = np.repeat(np.arange(80), rng.integers(1, 12, size=80))
        return rng.normal(size=80)[groups] + rng.normal(size=len(groups)), groups

    assert 0.91 <= coverage(draw) <= 0.99


def test_resampling_pairs_would_not_cover():
    """The reason why prompts are resampled."""

    def draw(rng):
        groups = np.repeat(np.arange(80), 10)
        return rng.normal(size=80)[groups] + rng.normal(size=800), None

    assert coverage(draw, 150) < 0.75


def test_intervals_of_pairs_across_prompts_cover_95_percent():
    """Where prompts have effects at both ends of a pair."""

    def draw(rng):
        groups = rng.integers(60, size=(400, 2))
        return rng.normal(size=60)[groups].sum(axis=1) + rng.normal(size=400), groups

    assert 0.91 <= coverage(draw) <= 0.99


def test_intervals_across_prompts_are_safe_where_prompts_do_not_matter():
    """They are too wide then, never too narrow."""

    def draw(rng):
        return rng.normal(size=300), rng.integers(60, size=(300, 2))

    assert coverage(draw, 150) >= 0.95


@given(
    values=hnp.arrays(float, 8, elements=st.floats(-100, 100)), seed=st.integers(0, 9)
)
@settings(deadline=None, max_examples=30)
def test_intervals_stay_within_the_values(values, seed):
    """A mean cannot leave the range of what it averages."""
    interval = prompt_bootstrap(
        values, np.arange(8) // 2, n_resamples=50, random_state=seed
    )
    assert values.min() - 1e-9 <= interval.low <= interval.high <= values.max() + 1e-9
    assert interval.estimate == pytest.approx(values.mean())


def test_a_higher_level_is_a_wider_interval():
    """On the same resamples."""
    values = np.random.default_rng(0).normal(size=50)
    narrow, wide = (
        prompt_bootstrap(values, np.arange(50), level=level) for level in (0.8, 0.99)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_interval_does_not_depend_on_the_order_of_pairs():
    """Nor on what the prompts are called, as long as they sort alike."""
    rng = np.random.default_rng(1)
    values, groups = rng.normal(size=30), rng.integers(7, size=(30, 2))
    order = rng.permutation(30)
    one = prompt_bootstrap(values, groups)
    other = prompt_bootstrap(values[order], np.char.mod("p%d", groups)[order])
    assert other.low == pytest.approx(one.low)
    assert other.high == pytest.approx(one.high)


def test_weights_are_those_of_a_weighted_mean():
    """Weight 0 removes a pair's value; its prompt is still drawn."""
    interval = prompt_bootstrap(
        [1.0, 5.0, 3.0], ["a", "b", "c"], sample_weight=[1, 0, 1]
    )
    assert interval.estimate == 2.0
    assert (interval.low, interval.high) == (1.0, 3.0)


@pytest.mark.parametrize("columns", [1, 2])
def test_a_mean_as_a_statistic_has_the_interval_of_a_mean(columns):
    """Both ways draw the same prompts."""
    rng = np.random.default_rng(2)
    values, groups = rng.normal(size=60), rng.integers(9, size=(60, columns)).squeeze()
    fast = prompt_bootstrap(values, groups, n_resamples=200)
    slow = prompt_bootstrap_statistic(
        lambda weights: np.average(values, weights=weights), groups, n_resamples=200
    )
    assert slow.low == pytest.approx(fast.low)
    assert slow.high == pytest.approx(fast.high)
    assert slow.estimate == pytest.approx(fast.estimate)


def test_any_statistic_of_weights_can_be_resampled():
    """Such as a calibration error with bins that move."""
    rng = np.random.default_rng(3)
    delta, y = rng.normal(size=90), (rng.random(90) < 0.5).astype(float)
    interval = prompt_bootstrap_statistic(
        lambda w: expected_calibration_error(
            delta, y, strategy="quantile", sample_weight=w
        ),
        n_pairs=90,
        n_resamples=30,
    )
    assert 0 < interval.low < interval.high < 1


def test_resamples_without_a_pair_are_left_out():
    """Two prompts joined by one pair: half the resamples miss it."""
    interval = prompt_bootstrap_statistic(
        lambda weights: 7.0 / weights[0], [["a", "b"], ["a", "b"]], n_resamples=50
    )
    assert (interval.low, interval.high) == (7.0, 7.0)


def test_values_and_groups_must_agree():
    """One prompt per value."""
    with pytest.raises(InvalidInputError, match="groups of 2 pairs; got groups of 3"):
        prompt_bootstrap([1.0, 2.0], ["a", "b", "c"])
