"""BoostedBradleyTerry learns what only trees can, and is linear where it should be."""

import numpy as np
import pytest
from scipy.special import expit

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import BoostedBradleyTerry, HeadState, LinearBradleyTerry
from embrm.testing import check_head, head_checks

BACKENDS = ["lightgbm", "xgboost"]
CHECKS = [name for name, _ in head_checks()]
ALONE = {
    "linear_start": False,
    "max_rounds": 40,
    "learning_rate": 0.3,
    "min_comparisons": 4.0,
    "l2": 1.0,
    "patience": 10,
}
WITH_START = {**ALONE, "linear_start": True, "validation_fraction": 0.4}
CHECKED = {
    "lightgbm": BoostedBradleyTerry("lightgbm", **WITH_START),
    "lightgbm alone": BoostedBradleyTerry("lightgbm", **ALONE),
    "xgboost alone": BoostedBradleyTerry("xgboost", **ALONE),
}


@pytest.fixture
def checkered_preferences():
    """Train and test pairs of a reward that is the XOR of two features of ten."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(4000, 10))
    gold = 3.0 * ((items[:, 0] > 0) ^ (items[:, 1] > 0)) + 0.3 * items[:, 2]
    ids = rng.permutation(4000).reshape(-1, 2)
    delta = gold[ids[:, 0]] - gold[ids[:, 1]]
    y = rng.random(2000) < expit(delta)
    told = 1500 + np.flatnonzero(np.abs(delta[1500:]) > 1.5)
    test = Pairs(items, ids[told]), delta[told] > 0
    return (Pairs(items, ids[:1500]), y[:1500]), test


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("head", CHECKED)
def test_the_head_keeps_the_promise(head, check):
    """One claim of the public contract."""
    check_head(CHECKED[head], checks=[check])


@pytest.mark.parametrize("linear_start", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_checkered_reward_is_learned(checkered_preferences, backend, linear_start):
    """Where the linear head guesses, trees do not."""
    train, test = checkered_preferences
    linear = LinearBradleyTerry().fit(*train).score(*test)
    head = BoostedBradleyTerry(
        backend, linear_start=linear_start, learning_rate=0.1, random_state=0
    ).fit(*train)
    assert linear < 0.6
    assert head.score(*test) > 0.72
    assert head.n_trees_ > 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(3))
def test_noisy_linear_labels_cost_little(make_preferences, backend, seed):
    """With 40% errors and 50 features, order consistency stays that of the line."""
    data = make_preferences(n_prompts=100, d=50, error_rate=0.4, seed=seed)
    fresh = make_preferences(n_prompts=100, d=50, seed=seed + 10)
    head = BoostedBradleyTerry(backend, random_state=0).fit(data.pairs, data.y)
    linear = LinearBradleyTerry().fit(data.pairs, data.y)
    score, straight = (h.score(fresh.pairs, fresh.y) for h in (head, linear))
    assert score > straight - 0.02


def test_without_trees_the_order_is_that_of_the_linear_head(make_preferences):
    """Rewards are the linear head's, times one positive factor."""
    data = make_preferences(n_prompts=60, d=40, error_rate=0.4)
    head = BoostedBradleyTerry(random_state=0, max_rounds=50).fit(data.pairs, data.y)
    linear = LinearBradleyTerry().fit(data.pairs, data.y)
    assert head.n_trees_ == 0
    assert head.forest_ is None
    np.testing.assert_allclose(
        head.reward(data.pairs.items),
        head.linear_scale_ * linear.reward(data.pairs.items),
        atol=1e-9,
    )


def test_rewards_have_mean_zero_over_the_training_items(make_preferences):
    """As the linear head's do."""
    data = make_preferences()
    head = BoostedBradleyTerry(random_state=0, **ALONE).fit(data.pairs, data.y)
    assert head.n_trees_ > 0
    assert head.reward(data.pairs.items).mean() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_number_of_trees_is_the_one_of_least_held_out_loss(
    make_preferences, backend
):
    """A tree at least, where there is no linear part."""
    data = make_preferences(n_prompts=60, error_rate=0.2)
    head = BoostedBradleyTerry(backend, random_state=0, **ALONE)
    head.fit(data.pairs, data.y)
    assert head.n_trees_ == 1 + np.argmin(head.held_out_loss_[1:])
    assert head.held_out_loss_[0] == pytest.approx(np.log(2))


def test_without_refit_held_out_wins_only_choose(make_preferences):
    """The trees differ from those that are grown on all wins."""
    data = make_preferences(n_prompts=60)
    once = BoostedBradleyTerry(random_state=0, refit=False, **ALONE)
    twice = BoostedBradleyTerry(random_state=0, refit=True, **ALONE)
    one, two = (h.fit(data.pairs, data.y) for h in (once, twice))
    np.testing.assert_array_equal(one.held_out_loss_, two.held_out_loss_)
    items = data.pairs.items
    assert not np.allclose(one.reward(items), two.reward(items))


def test_few_wins_stay_linear_or_grow_blindly(make_preferences):
    """With fewer than ten held-out wins nothing says when to stop."""
    data = make_preferences()
    linear = BoostedBradleyTerry(random_state=0).fit(data.pairs[:30], data.y[:30])
    alone = BoostedBradleyTerry(random_state=0, linear_start=False)
    alone.fit(data.pairs[:30], data.y[:30])
    assert (linear.n_trees_, alone.n_trees_) == (0, 50)
    assert len(linear.held_out_loss_) == len(alone.held_out_loss_) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_constant_features_do_no_harm(make_preferences, backend):
    """All of them constant but one, or d larger than the number of items."""
    data = make_preferences()
    items = np.column_stack([data.gold, np.full((len(data.gold), 200), 0.1)])
    pairs = Pairs(items, data.pairs.ids, data.pairs.prompt_ids)
    head = BoostedBradleyTerry(
        backend, feature_fraction=1.0, random_state=0, **ALONE
    ).fit(pairs, data.y)
    assert head.score(pairs, data.y) > 0.8


def test_a_weighted_win_counts_in_the_trees(make_preferences):
    """Contradicting labels are decided by weight."""
    data = make_preferences(n_prompts=60)
    ids = np.concatenate([data.pairs.ids, data.pairs.ids])
    pairs = Pairs(data.pairs.items, ids, data.pairs.prompt_ids)
    y = np.concatenate([data.y, 1 - data.y])
    weight = np.repeat([3.0, 1.0], len(data.y))
    head = BoostedBradleyTerry(random_state=0, **ALONE)
    assert head.fit(pairs, y, sample_weight=weight).score(data.pairs, data.y) > 0.8
    weight = np.repeat([1.0, 3.0], len(data.y))
    assert head.fit(pairs, y, sample_weight=weight).score(data.pairs, data.y) < 0.2


def test_large_margins_give_finite_rewards(make_preferences):
    """A margin of 10,000 nats cannot be reached, and does not overflow."""
    data = make_preferences()
    margin = np.full(len(data.y), 1e4)
    for params in (ALONE, WITH_START):
        head = BoostedBradleyTerry(random_state=0, **params)
        head.fit(data.pairs, data.y, margin=margin)
        assert np.isfinite(head.reward(data.pairs.items)).all()


def test_items_beyond_float32_are_refused_by_xgboost(make_preferences):
    """LightGBM takes them."""
    data = make_preferences()
    pairs = Pairs(1e39 * data.pairs.items, data.pairs.ids, data.pairs.prompt_ids)
    head = BoostedBradleyTerry("xgboost", random_state=0, **ALONE)
    with pytest.raises(InvalidInputError, match="within float32"):
        head.fit(pairs, data.y)
    head.set_params(backend="lightgbm")
    assert head.fit(pairs, data.y).score(pairs, data.y) > 0.7


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_printed(make_preferences, capfd, backend):
    """Neither library speaks."""
    data = make_preferences()
    head = BoostedBradleyTerry(backend, random_state=0, **ALONE)
    head.fit(data.pairs, data.y).reward(data.pairs.items)
    head.fit(data.pairs[:1])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backend": "catboost"}, "backend: 'lightgbm' or 'xgboost'"),
        ({"learning_rate": 0}, "learning_rate: a finite number > 0"),
        ({"max_rounds": 0}, "max_rounds: an integer >= 1"),
        ({"max_leaves": 1}, "max_leaves: an integer >= 2"),
        ({"min_comparisons": 0.0}, "min_comparisons: a finite number > 0"),
        ({"l2": -1}, "l2: a finite number >= 0"),
        ({"feature_fraction": "all"}, r"feature_fraction: .*\(0, 1\] or 'auto'"),
        ({"feature_fraction": 1.5}, r"feature_fraction: .*\(0, 1\] or 'auto'"),
        ({"item_fraction": 0.0}, r"item_fraction: a number in \(0, 1\]"),
        ({"patience": 0}, "patience: an integer >= 1"),
        ({"validation_fraction": 1.0}, r"validation_fraction: a number in \(0, 1\)"),
        ({"bins": 1}, "bins: an integer >= 2 or a BinnedItems"),
        ({"bins": "many"}, "bins: an integer >= 2 or a BinnedItems"),
        ({"linear_start": "no"}, "linear_start: True or False; got 'no'"),
        ({"refit": 1}, "refit: True or False; got 1"),
        ({"random_state": "seed"}, "random_state that is None"),
    ],
)
def test_parameters_out_of_range_are_refused(make_preferences, params, message):
    """The message names the parameter and its range."""
    data = make_preferences()
    with pytest.raises(InvalidInputError, match=message):
        BoostedBradleyTerry(**params).fit(data.pairs, data.y)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_state_says_which_library_reads_it(make_preferences, backend):
    """Even if the head that takes it has another backend among its parameters."""
    data = make_preferences()
    head = BoostedBradleyTerry(backend, random_state=0, **ALONE)
    state = head.fit(data.pairs, data.y).get_state()
    other = BoostedBradleyTerry().set_state(
        HeadState(state.arrays, state.values, state.blobs)
    )
    np.testing.assert_array_equal(
        other.reward(data.pairs.items), head.reward(data.pairs.items)
    )
