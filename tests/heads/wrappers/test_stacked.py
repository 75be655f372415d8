"""StackedReward weighs heads by wins that they were not fitted on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import (
    HeadState,
    LinearBradleyTerry,
    StackedReward,
    make_comparisons,
    make_head,
)
from embrm.heads.validation_split import grouped_folds
from embrm.heads.wrappers.stacked import stacking_weights
from embrm.testing import check_head

LINEAR = LinearBradleyTerry(alpha=1.0)
DULL = LinearBradleyTerry(alpha=1e9)


@pytest.fixture
def data(make_preferences):
    """Preferences with one label in five wrong."""
    return make_preferences(error_rate=0.2)


def log_loss(deltas, w, weight):
    return weight @ np.logaddexp(0, -(deltas @ w))


def test_a_stack_keeps_every_promise_of_a_head():
    """All checks that heads are put to."""
    check_head(StackedReward((LINEAR, make_head("logistic"))))


def test_the_reward_is_the_weighted_sum_of_centred_rewards(data):
    """As the docstring says."""
    head = StackedReward([LINEAR, "logistic"]).fit(data.pairs, data.y)
    items = data.pairs.items
    wanted = sum(
        w * s * (member.reward(items) - c)
        for w, s, c, member in zip(
            head.weights_, head.scale_, head.center_, head.members_, strict=True
        )
    )
    np.testing.assert_allclose(head.reward(items), wanted)


def test_members_are_fitted_to_all_data(data):
    """Folds are for the weights alone."""
    head = StackedReward([LINEAR, "logistic"]).fit(data.pairs, data.y)
    alone = LINEAR.fit(data.pairs, data.y)
    np.testing.assert_allclose(head.members_[0].coef_, alone.coef_)


def test_a_head_that_orders_better_weighs_more(make_preferences):
    """Held-out wins show that a network of one step knows nothing."""
    data = make_preferences(n_prompts=100)
    none = make_head("mlp", hidden_layer_sizes=(1,), max_iter=1, random_state=0)
    head = StackedReward([none, LINEAR]).fit(data.pairs, data.y)
    assert head.weights_[1] > 2 * head.weights_[0]


def test_equal_heads_weigh_the_same(data):
    """Neither is preferred, and their sum is one of them."""
    head = StackedReward([LINEAR, LINEAR]).fit(data.pairs, data.y)
    assert head.weights_[0] == pytest.approx(head.weights_[1])
    alone = LINEAR.fit(data.pairs, data.y).reward(data.pairs.items)
    stacked = head.reward(data.pairs.items)
    assert np.corrcoef(alone, stacked)[0, 1] == pytest.approx(1.0)


def test_with_too_few_held_out_wins_heads_count_alike(make_preferences):
    """By their standard deviation over the training items."""
    data = make_preferences(n_prompts=3, n_responses=2)
    head = StackedReward([LINEAR, DULL]).fit(data.pairs, data.y)
    assert head.n_held_out_ < 20
    assert head.weights_.tolist() == [0.5, 0.5]
    spread = [m.reward(data.pairs.items).std() for m in head.members_]
    np.testing.assert_allclose(head.scale_, 1 / np.array(spread))


def test_weights_are_chosen_on_wins_of_other_folds(data):
    """They are those of least cost on out-of-fold deltas."""
    head = StackedReward([LINEAR, "logistic"], cv=3).fit(data.pairs, data.y)
    comparisons = make_comparisons(data.pairs, data.y)
    deltas, weight = [], []
    for train, held_out in grouped_folds(comparisons, 3):
        wins = comparisons.take(held_out)
        ends = wins.items[wins.winner], wins.items[wins.loser]
        for h in (clone(LINEAR), make_head("logistic")):
            h.fit_comparisons(comparisons.take(train))
            deltas.append(h.reward(ends[0]) - h.reward(ends[1]))
        weight.append(wins.weight)
    columns = [np.concatenate(deltas[k::2]) for k in (0, 1)]
    weight = np.concatenate(weight)
    wanted = stacking_weights(head.scale_ * np.column_stack(columns), weight)
    np.testing.assert_allclose(head.weights_, wanted, rtol=1e-6)


@settings(max_examples=40)
@given(arrays(np.float64, (30, 3), elements=st.floats(-4, 4)))
def test_no_other_weights_cost_less(deltas):
    """The minimum is global, since the cost is convex."""
    weight = np.ones(30)

    def cost(w):
        return log_loss(deltas, w, weight) + 1.5 * ((w - 1 / 3) ** 2).sum()

    found = stacking_weights(deltas, weight)
    rng = np.random.default_rng(0)
    others = np.abs(found + rng.normal(size=(50, 3)) * rng.choice([0.01, 0.3], (50, 1)))
    best = cost(found) if found.any() else np.inf
    assert all(best <= cost(other) + 1e-6 for other in others) or np.ptp(found) == 0


def test_margins_are_taken_where_all_heads_take_them(data):
    """A classifier knows no margins."""
    assert StackedReward([LINEAR, LINEAR]).accepts_margin
    assert not StackedReward([LINEAR, "logistic"]).accepts_margin


def test_a_seed_reaches_the_heads(data):
    """Two fits with one seed are the same."""
    make = StackedReward(["linear", "mlp"], random_state=4)
    one, other = (make.fit(data.pairs, data.y).reward(data.pairs.items) for _ in "ab")
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("heads", ["linear", [], None, LINEAR])
def test_heads_that_are_no_list_are_refused(data, heads):
    """The message shows one."""
    with pytest.raises(InvalidInputError, match=r"at least one head.*'linear', 'logis"):
        StackedReward(heads).fit(data.pairs, data.y)


def test_a_state_whose_parts_do_not_fit_is_refused(data):
    """A weight without a head is no stack."""
    state = StackedReward([LINEAR, DULL]).fit(data.pairs, data.y).get_state()
    damaged = HeadState({**state.arrays, "scale": np.ones(3)}, state.values)
    with pytest.raises(IntegrityError, match="size members = "):
        StackedReward().set_state(damaged)


def test_a_pair_of_unrelated_items_is_scored_by_all_members(data):
    """Swapping negates exactly."""
    head = StackedReward([LINEAR, "logistic"]).fit(data.pairs, data.y)
    swapped = Pairs(data.pairs.items, data.pairs.ids[:, ::-1])
    np.testing.assert_array_equal(
        head.decision_function(data.pairs), -head.decision_function(swapped)
    )
