"""Rank correlation agrees with scipy, prompt by prompt."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embrm.evaluate import prompt_rank_correlation
from embrm.evaluate.rank_correlation import (
    centred_on_prompt,
    kendall_tau_b,
    pearson,
    spearman,
    within_prompt_std,
)
from embrm.exceptions import InvalidInputError

REFERENCES = {
    "kendall": scipy.stats.kendalltau,
    "spearman": scipy.stats.spearmanr,
}


@pytest.mark.parametrize("kind", ["kendall", "spearman"])
@pytest.mark.parametrize("seed", range(3))
def test_prompts_agree_with_scipy(kind, seed):
    """Ragged, shuffled, with many ties on both sides."""
    rng = np.random.default_rng(seed)
    prompts = rng.permutation(np.repeat(np.arange(25), rng.integers(4, 12, size=25)))
    gold = rng.integers(5, size=len(prompts)).astype(float)
    reward = np.round(gold + rng.normal(scale=3, size=len(prompts)))
    result = prompt_rank_correlation(gold, reward, prompts, kind)
    expected = [
        REFERENCES[kind](gold[prompts == p], reward[prompts == p]).statistic
        for p in result.prompts
    ]
    np.testing.assert_allclose(result.per_prompt, expected)
    assert result.mean == pytest.approx(np.mean(expected))


def test_many_items_are_compared_in_blocks():
    """More items than one block holds give scipy's value."""
    rng = np.random.default_rng(0)
    one = rng.integers(30, size=1_300).astype(float)
    other = one + rng.integers(30, size=1_300)
    expected = scipy.stats.kendalltau(one, other).statistic
    assert kendall_tau_b(one, other) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["kendall", "spearman"])
def test_undefined_prompts_are_counted_and_left_out(kind):
    """A single item, a constant gold and a constant reward."""
    result = prompt_rank_correlation(
        [1, 2, 3, 3, 1, 2, 9], [4, 5, 1, 2, 0, 0, 9], list("aabbccd"), kind
    )
    assert (result.n_prompts, result.n_undefined) == (4, 3)
    assert np.isnan(result.per_prompt).tolist() == [False, True, True, True]
    assert result.mean == pytest.approx(1.0)


def test_no_defined_prompt_gives_no_mean():
    """NaN says so; it is not an error to ask."""
    result = prompt_rank_correlation([1, 1], [2, 3], ["a", "a"])
    assert np.isnan(result.mean)
    assert str(result) == "nan (kendall, mean of 0 prompts, 1 undefined)"


VALUES = hnp.arrays(float, 6, elements=st.floats(-1e300, 1e300))


@pytest.mark.parametrize("correlate", [kendall_tau_b, spearman, pearson])
@given(one=VALUES, other=VALUES)
@settings(max_examples=50)
def test_correlations_are_symmetric_and_bounded(correlate, one, other):
    """Also for the largest and the smallest numbers."""
    value = correlate(one, other)
    np.testing.assert_allclose(correlate(other, one), value)
    assert np.isnan(value) or -1 <= value <= 1


@pytest.mark.parametrize("correlate", [kendall_tau_b, spearman])
@given(one=hnp.arrays(float, 6, elements=st.integers(-9, 9)))
@settings(max_examples=30)
def test_rank_correlations_ignore_the_scale(correlate, one):
    """Any increasing transformation of a reward leaves them as they are."""
    other = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    np.testing.assert_allclose(correlate(one**3 + one, other), correlate(one, other))


@given(one=hnp.arrays(float, 7, elements=st.integers(-50, 50)))
@settings(max_examples=30)
def test_pearson_agrees_with_numpy(one):
    """Where it is defined."""
    other = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0])
    if one.min() < one.max():
        assert pearson(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1])


def test_pearson_tells_values_that_differ_in_the_last_place():
    """Two close values are two values, not a constant."""
    one = np.array([1.0, 1.0, np.nextafter(1.0, 2.0)])
    assert pearson(one, np.array([0.0, 0.0, 1.0])) == pytest.approx(1.0)


def test_an_argsort_permutation_is_not_what_is_compared():
    """A perfect head would get -1/3 from its argsort."""
    scores = np.array([2.0, 3.0, 1.0])
    wrong = kendall_tau_b(scores, np.argsort(scores).astype(float))
    assert wrong == pytest.approx(-1 / 3)
    assert prompt_rank_correlation(scores, scores, ["a"] * 3).mean == 1.0


def test_an_unknown_kind_is_refused():
    """Pearson is not a rank correlation."""
    with pytest.raises(InvalidInputError, match="kind one of kendall, spearman"):
        prompt_rank_correlation([1], [1], ["a"], "pearson")


def test_scores_must_describe_the_same_items():
    """Lengths must agree."""
    with pytest.raises(InvalidInputError, match=r"score of shape \(2,\)"):
        prompt_rank_correlation([1, 2], [1], ["a", "a"])


CODES = np.array([0, 1, 0, 1, 1])
SCORES = np.array([1.0, 10.0, 4.0, 12.0, 14.0])


def test_each_prompt_is_centred():
    """Whatever the order of items."""
    assert centred_on_prompt(SCORES, CODES).tolist() == [-1.5, -2, 1.5, 0, 2]


def test_the_standard_deviation_is_pooled():
    """Squares around prompt means over items less prompts."""
    assert within_prompt_std(SCORES, CODES) == pytest.approx(np.sqrt(12.5 / 3))


def test_equal_scores_have_none():
    """However their mean was rounded, and for single items."""
    assert within_prompt_std(np.full(3, 0.1), np.zeros(3, dtype=int)) == 0
    assert within_prompt_std(np.array([1.0, 2.0]), np.array([0, 1])) == 0
