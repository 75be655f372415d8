"""Resampling prompts: counts, pairing, and what a pair across prompts weighs."""

import json

import numpy as np
import pytest

from embrm.evaluate import Interval, PromptResampler
from embrm.evaluate.resampling import CROSS_PROMPT, NO_PROMPTS, ONE_PROMPT, SAME_PROMPT
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
    resampler = PromptResampler(np.arange(3), n_resamples=4, level=0.5)
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
