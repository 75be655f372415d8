"""Resampling prompts: counts, pairing, and what a pair across prompts weighs."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embrm.evaluate import (
    Interval,
    PromptResampler,
    expected_calibration_error,
    prompt_bootstrap,
    prompt_bootstrap_statistic,
)
from embrm.evaluate.resampling import (
    CROSS_PROMPT,
    NO_PROMPTS,
    ONE_PROMPT,
    SAME_PROMPT,
    band_of_curves,
    resampled_means,
)
from embrm.exceptions import InvalidInputError


def test_totals_are_sums_of_weighted_features():
    """Summing by sets of prompts first changes nothing."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3))
    resampler = PromptResampler(rng.integers(6, size=(40, 2)), n_resamples=50)
    expected = [weights @ features for weights in resampler.pair_weights()]
    np.testing.assert_allclose(resampler.totals(features), expected)


def test_pairs_within_a_prompt_count_as_often_as_their_prompt():
    """Counts of the prompts add up to their number."""
    resampler = PromptResampler(["a", "a", "b", "c"], n_resamples=30)
    for weights in resampler.pair_weights():
        assert weights[0] == weights[1]
        assert weights[1:].sum() == 3


def test_pairs_across_prompts_count_the_product_of_their_counts():
    """Owen's pigeonhole bootstrap, in either orientation of the pair."""
    groups = [["a", "a"], ["b", "b"], ["c", "c"], ["a", "b"], ["c", "a"]]
    for a, b, c, a_b, c_a in PromptResampler(groups, n_resamples=30).pair_weights():
        assert (a_b, c_a) == (a * b, c * a)


def test_calls_share_their_resamples():
    """Statistics of several heads are paired."""
    resampler = PromptResampler(np.arange(9), n_resamples=20, random_state=None)
    ones = np.arange(9.0)[:, None]
    np.testing.assert_array_equal(resampler.totals(ones), resampler.totals(ones))


def test_a_seed_fixes_the_resamples():
    """And another seed changes them."""
    features = np.arange(9.0)[:, None]
    one, same, other = (
        PromptResampler(np.arange(9), random_state=seed).totals(features)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_blocks_of_resamples_are_all_drawn():
    """More counts than fit in one block."""
    resampler = PromptResampler(np.arange(5_000), n_resamples=1_001)
    totals = resampler.totals(np.ones((5_000, 1)))
    assert totals.shape == (1_001, 1)
    assert (totals == 5_000).all()


@pytest.mark.parametrize(
    ("groups", "method", "n_groups"),
    [
        (["a", "b", "b"], SAME_PROMPT, 2),
        ([["a", "b"], ["b", "b"], ["c", "a"]], CROSS_PROMPT, 3),
        (["a", "a", "a"], ONE_PROMPT, 3),
        (None, NO_PROMPTS, 3),
    ],
)
def test_the_method_says_what_was_resampled(groups, method, n_groups):
    """Resampled pairs are never passed off as prompts."""
    resampler = PromptResampler(groups, 3)
    assert (resampler.method, resampler.n_groups) == (method, n_groups)


def test_replicates_that_are_not_finite_are_left_out():
    """An empty denominator is no evidence."""
    resampler = PromptResampler(np.arange(50), n_resamples=4, level=0.5)
    interval = resampler.interval(1.0, np.array([0.0, np.nan, np.inf, 2.0]))
    assert (interval.low, interval.high) == (0.5, 1.5)


def test_no_defined_replicate_gives_no_interval():
    """Unknown bounds are NaN, not an error."""
    resampler = PromptResampler(np.arange(3), n_resamples=2)
    assert np.isnan(resampler.interval(1.0, np.array([np.nan, np.nan])).low)


def test_one_unit_has_no_interval():
    """One pair alone cannot be resampled."""
    interval = PromptResampler(["a"]).interval(1.0, np.ones(2000))
    assert np.isnan([interval.low, interval.high]).all()


def test_the_number_of_pairs_is_needed_without_groups():
    """There is nothing else to count."""
    with pytest.raises(InvalidInputError, match="an integer n_pairs >= 1"):
        PromptResampler(None)


def test_groups_of_no_pair_are_refused():
    """There is nothing to resample."""
    with pytest.raises(InvalidInputError, match="an integer number of pairs >= 1"):
        PromptResampler([])


def test_an_interval_prints_its_numbers():
    """Three decimals, bounds in brackets."""
    assert str(Interval(0.5, 0.4, 0.6, 0.95, 9, "m")) == "0.500 [0.400, 0.600]"


def test_an_interval_is_json_ready():
    """NaN, which JSON lacks, becomes None."""
    found = Interval(0.5, float("nan"), float("nan"), 0.95, 1, "m").to_json()
    assert json.loads(json.dumps(found, allow_nan=False))["low"] is None


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


@pytest.mark.parametrize("spread", [(6, 4), (9, 1)])
@pytest.mark.parametrize("n_prompts", [5, 8, 15, 30])
@pytest.mark.parametrize("most", [2, 10, 60])
def test_intervals_of_few_prompts_are_wide_enough(n_prompts, spread, most):
    """Percentiles cover 41 to 93% of the second kind; a share never leaves [0, 1]."""
    rng, truth = np.random.default_rng(3), spread[0] / sum(spread)
    held = []
    for seed in range(400):
        groups = np.repeat(np.arange(n_prompts), rng.integers(1, most, size=n_prompts))
        right = rng.random(len(groups)) < rng.beta(*spread, size=n_prompts)[groups]
        found = prompt_bootstrap(
            right.astype(float), groups, n_resamples=400, random_state=seed
        )
        assert 0 <= found.low <= found.high <= 1
        held.append(found.low <= truth <= found.high)
    # The standard error of this share is 0.011.
    assert np.mean(held) > 0.93 - 2 * 0.011


def test_twelve_right_of_twelve_have_an_interval():
    """Resamples of a share of one are all one; Wilson's interval is not."""
    found = prompt_bootstrap(np.ones(12), np.arange(12))
    assert (round(found.low, 3), found.high) == (0.712, 1.0)


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
@settings(max_examples=30)
def test_intervals_stay_within_the_values(values, seed):
    """A mean cannot leave the range of what it averages, if that is no share."""
    assume(not np.isin(values, (0.0, 0.5, 1.0)).all())
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


@pytest.fixture
def curves() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(12, 5))
    values[3, 2:] = np.nan
    values[7] = np.nan
    return values


def test_undefined_prompts_are_left_out_of_the_mean(curves):
    """As numpy's nanmean does."""
    band = band_of_curves(curves, PromptResampler(np.arange(12), n_resamples=5))
    np.testing.assert_allclose(band.mean, np.nanmean(curves, axis=0))
    assert band.n_prompts.tolist() == [11, 11, 10, 10, 10]


def test_resamples_agree_with_weighing_each_prompt(curves):
    """Each resample is a weighted mean over its defined prompts."""
    resampler = PromptResampler(np.arange(12), n_resamples=20)
    found = resampled_means(curves, resampler)
    for weights, means in zip(resampler.pair_weights(), found, strict=True):
        for point in range(5):
            known = np.isfinite(curves[:, point])
            expected = np.average(curves[known, point], weights=weights[known])
            assert means[point] == pytest.approx(expected)


def test_the_band_covers_the_percentiles_of_resamples(curves):
    """Pointwise."""
    curves = np.tile(curves, (4, 1))
    resampler = PromptResampler(np.arange(48), n_resamples=200)
    band = band_of_curves(curves, resampler)
    low = np.quantile(resampled_means(curves, resampler), 0.025, axis=0)
    np.testing.assert_allclose(band.low, low)


def test_a_point_of_one_prompt_has_no_band():
    """There is nothing to resample."""
    curves = np.array([[1.0, 2.0], [3.0, np.nan]])
    band = band_of_curves(curves, PromptResampler(np.arange(2)))
    assert np.isfinite(band.high).tolist() == [True, False]
    assert band.mean.tolist() == [2.0, 2.0]


def test_a_point_of_no_prompt_is_nan():
    """And no warning."""
    curves = np.array([[1.0, np.nan], [3.0, np.nan]])
    band = band_of_curves(curves, PromptResampler(np.arange(2)))
    assert np.isnan(band.mean[1])


def test_many_points_are_the_same_as_few():
    """Blocks of points see the same resamples."""
    curves = np.random.default_rng(1).normal(size=(6, 700))
    resampler = PromptResampler(np.arange(6), n_resamples=30)
    whole = band_of_curves(curves, resampler)
    part = band_of_curves(curves[:, 600:], resampler)
    np.testing.assert_allclose(whole.low[600:], part.low)
