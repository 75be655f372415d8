"""Heads inside heads are made, seeded and stored like any other."""

import numpy as np
import pytest
from sklearn.base import clone

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import (
    CalibratedReward,
    CenteredReward,
    HeadState,
    LengthDebiased,
    LinearBradleyTerry,
    make_comparisons,
    make_head,
)
from embrm.heads.classification import seed_estimator
from embrm.heads.wrappers._nested import (
    has_randomness,
    mean_and_spread,
    nested_state,
    restore_nested,
    score_out_of_fold,
    unfitted_head,
)

WRAPPERS = [CalibratedReward, CenteredReward, LengthDebiased]


def test_a_word_and_a_head_make_the_same_head():
    """Words are for people, instances for parameters."""
    assert repr(unfitted_head("linear")) == repr(unfitted_head(LinearBradleyTerry()))


def test_a_head_is_cloned():
    """The caller's instance is never fitted."""
    head = LinearBradleyTerry(alpha=2.0)
    assert unfitted_head(head) is not head
    assert unfitted_head(head).alpha == 2.0


@pytest.mark.parametrize(
    ("head", "named"), [(None, "NoneType"), (LinearBradleyTerry, "the class Linear")]
)
def test_anything_else_is_refused(head, named):
    """Also a class in place of an instance."""
    with pytest.raises(InvalidInputError, match=f"expected a head.*got {named}"):
        unfitted_head(head)


def test_seeds_that_are_set_stay_unless_they_are_to_be_replaced():
    """A user's seed is kept where members differ by other things."""
    head = make_head("mlp", random_state=7)
    seed_estimator(head, np.random.default_rng(0))
    assert head.random_state == 7
    seed_estimator(head, np.random.default_rng(0), replace=True)
    assert head.random_state != 7


def test_seeds_inside_wrappers_are_found():
    """Parameters are searched as deep as they go."""
    head = CalibratedReward(make_head("mlp"))
    assert has_randomness(head)
    seed_estimator(head, np.random.default_rng(0))
    assert head.head.random_state is not None
    assert not has_randomness(CalibratedReward("linear"))


def test_a_nested_head_travels_with_its_spec(make_preferences):
    """Spec and state are enough to rebuild it, bit for bit."""
    data = make_preferences()
    head = LinearBradleyTerry(alpha=3.0).fit(data.pairs, data.y)
    again = restore_nested(nested_state(head))
    assert repr(again) == repr(head)
    np.testing.assert_array_equal(
        again.reward(data.pairs.items), head.reward(data.pairs.items)
    )


def test_a_state_without_a_spec_is_refused():
    """A damaged bundle says what it lacks."""
    with pytest.raises(IntegrityError, match="a value 'spec'"):
        restore_nested(HeadState())


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_parameters_of_the_inner_head_are_within_reach(wrapper):
    """get_params, set_params and clone see head__alpha."""
    head = wrapper(LinearBradleyTerry())
    assert head.get_params()["head__alpha"] == "auto"
    copy = clone(head).set_params(head__alpha=4.0)
    assert (copy.head.alpha, head.head.alpha) == (4.0, "auto")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_takes_margins_if_its_head_does(wrapper):
    """A classifier of single items cannot be told a margin, wrapped or not."""
    assert wrapper("linear").accepts_margin
    assert not wrapper("logistic").accepts_margin


def test_equal_rewards_have_spread_one():
    """Rounding errors are no spread to divide by."""
    assert mean_and_spread(np.full(7, 0.1)) == (pytest.approx(0.1), 1.0)


def test_no_head_scores_an_item_of_its_training_prompts(make_preferences):
    """Nor is a win left out."""
    data = make_preferences(n_prompts=30)
    comparisons = make_comparisons(data.pairs, data.y)
    seen = []

    def fit(wins):
        seen.append(np.unique(wins.groups[[wins.winner, wins.loser]]))
        return LinearBradleyTerry(alpha=1.0).fit_comparisons(wins)

    held_out = score_out_of_fold(fit, comparisons, 5)
    assert len(seen) == 5
    assert len(held_out.delta) == len(comparisons)
    assert sum(30 - len(groups) for groups in seen) == 30
    assert sorted(held_out.weight) == sorted(comparisons.weight)


def test_wins_that_cannot_be_divided_give_nothing():
    """Two items are either trained on or held out."""
    comparisons = make_comparisons(Pairs(np.eye(2), [[0, 1]]))
    held_out = score_out_of_fold(LinearBradleyTerry().fit_comparisons, comparisons, 5)
    assert len(held_out.delta) == len(held_out.weight) == len(held_out.fold) == 0
