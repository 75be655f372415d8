"""Synthetic preferences: the planted truth is there, and can be found again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from embrm.datasets import make_preferences
from embrm.exceptions import InvalidInputError


def delta(data):
    first, second = data.pool.gold[data.pairs.ids].T
    return first - second


@settings(max_examples=50)
@given(
    n_pairs=st.integers(1, 40),
    n_features=st.integers(1, 5),
    n_prompts=st.integers(2, 6),
    responses=st.integers(2, 5),
    cross=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_shapes_and_shares_are_those_asked_for(
    n_pairs, n_features, n_prompts, responses, cross, seed
):
    """Sizes, the cross-prompt share, and two different items in every pair."""
    data = make_preferences(
        n_pairs,
        n_features,
        n_prompts,
        responses,
        cross_prompt=cross,
        random_state=seed,
    )
    assert data.pairs.shape == (n_pairs, 2, n_features)
    assert data.pool.sizes.tolist() == [responses] * n_prompts
    assert set(data.y) <= {0.0, 1.0}
    assert (data.pairs.first != data.pairs.second).all()
    prompts = data.pairs.prompt_ids[data.pairs.ids]
    crosses = prompts[:, 0] != prompts[:, 1]
    assert crosses.sum() == round(cross * n_pairs)


def test_gold_is_linear_with_variance_1():
    """`items @ coef` is gold, and one unit of it is one standard deviation."""
    data = make_preferences(random_state=0)
    assert np.array_equal(data.pool.items @ data.coef, data.pool.gold)
    assert np.std(data.pool.gold) == pytest.approx(1.0)


def test_without_noise_labels_follow_gold():
    """The label is 1 exactly where first has the higher gold."""
    data = make_preferences(noise="none", random_state=0)
    assert np.array_equal(data.y, delta(data) > 0)
    assert data.error_rate == 0.0


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_labels_follow_the_logistic_law(beta):
    """In bins of delta, the share of y = 1 is sigma(beta delta) within 4 sigma."""
    data = make_preferences(100_000, beta=beta, n_prompts=500, random_state=1)
    gap = delta(data)
    p = 1 / (1 + np.exp(-beta * gap))
    for low in np.arange(-2, 2, 0.5):
        inside = (gap >= low) & (gap < low + 0.5)
        spread = np.sqrt((p * (1 - p))[inside].sum())
        assert abs((data.y - p)[inside].sum()) < 4 * spread


def test_a_huge_beta_does_not_overflow():
    """Labels of a nearly noiseless annotator are finite and right."""
    data = make_preferences(beta=1e300, random_state=0)
    assert data.error_rate == 0.0


def test_error_rates_are_those_documented():
    """About 28% at beta = 1 and 4% at beta = 10."""
    for beta, rate in [(1.0, 0.28), (10.0, 0.04)]:
        data = make_preferences(50_000, beta=beta, n_prompts=2000, random_state=0)
        assert data.error_rate == pytest.approx(rate, abs=0.01)


@pytest.mark.parametrize("cross", [0.0, 1.0])
def test_the_planted_reward_is_recovered(cross):
    """Logistic regression on differences finds the direction and scale of coef."""
    data = make_preferences(20_000, beta=2.0, cross_prompt=cross, random_state=3)
    first, second = (data.pool.items[data.pairs.ids[:, side]] for side in (0, 1))
    fitted = LogisticRegression(fit_intercept=False, C=1e3).fit(first - second, data.y)
    np.testing.assert_allclose(fitted.coef_[0], 2.0 * data.coef, atol=0.1)


def test_all_items_take_part_evenly():
    """No prompt and no position is favoured by the draw."""
    data = make_preferences(
        40_000, n_prompts=10, responses_per_prompt=4, random_state=0
    )
    counts = np.bincount(data.pairs.ids.ravel(), minlength=40)
    assert counts.min() > 0.9 * 2000
    assert counts.max() < 1.1 * 2000
    assert np.mean(data.pairs.first < data.pairs.second) == pytest.approx(0.5, abs=0.01)


def test_one_seed_gives_one_dataset():
    """Equal seeds agree, different seeds do not."""
    one, same, other = (make_preferences(random_state=seed) for seed in (5, 5, 6))
    assert np.array_equal(one.pool.items, same.pool.items)
    assert np.array_equal(one.pairs.ids, same.pairs.ids)
    assert np.array_equal(one.y, same.y)
    assert not np.array_equal(one.pool.items, other.pool.items)


def test_pairs_share_the_items_of_the_pool():
    """Nothing is copied, and prompt ids go along."""
    data = make_preferences(random_state=0)
    assert data.pairs.items is data.pool.items
    assert data.pairs.groups.shape == (500,)


def test_repr_is_short():
    """Arrays are not printed."""
    text = repr(make_preferences(random_state=0))
    assert text.startswith("SyntheticPreferences(Pairs(500 pairs, 400 items")
    assert "of labels against gold" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_pairs": 0}, "n_pairs >= 1; got 0"),
        ({"n_pairs": 2.5}, "an integer n_pairs >= 1; got 2.5"),
        ({"n_prompts": "9"}, "an integer n_prompts >= 1; got '9'"),
        ({"n_features": 0}, "n_features >= 1; got 0"),
        ({"n_prompts": 0}, "n_prompts >= 1; got 0"),
        ({"n_prompts": 1, "cross_prompt": 0.5}, "n_prompts >= 2; got 1"),
        ({"responses_per_prompt": 1}, "responses_per_prompt >= 2; got 1"),
        ({"noise": "probit"}, "noise one of logistic, none; got 'probit'"),
        ({"beta": 0.0}, "a finite beta > 0; got 0"),
        ({"beta": np.inf}, "a finite beta > 0; got inf"),
        ({"cross_prompt": 1.5}, r"cross_prompt in \[0, 1\].*got 1.5"),
        ({"random_state": "seed"}, "random_state that is None"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    """The message says what was expected and what was got."""
    with pytest.raises(InvalidInputError, match=message):
        make_preferences(**arguments)


def test_one_response_per_prompt_suffices_across_prompts():
    """Where all pairs cross prompts, K may be 1."""
    data = make_preferences(responses_per_prompt=1, cross_prompt=1.0, random_state=0)
    assert (data.pairs.groups[:, 0] != data.pairs.groups[:, 1]).all()
