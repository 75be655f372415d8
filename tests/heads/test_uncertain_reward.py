"""Every head with uncertainty tells it in the same three ways."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import RewardEnsemble, RewardHead, make_head

MAKERS = {
    "linear": lambda: make_head("linear"),
    "siamese": lambda: make_head("siamese", random_state=0, max_epochs=3),
    "ensemble": lambda: make_head("ensemble", n_members=3, random_state=0),
}


@pytest.fixture(params=MAKERS)
def fitted(request, make_preferences):
    """A head, and the pairs it was fitted on."""
    data = make_preferences(d=8, error_rate=0.2)
    return MAKERS[request.param]().fit(data.pairs, data.y), data.pairs


def test_asking_for_the_deviation_changes_nothing_else(fitted):
    """Rewards and deltas have the same bits."""
    head, pairs = fitted
    reward, std = head.reward(pairs.items, return_std=True)
    delta, std_of_delta = head.decision_function(pairs, return_std=True)
    np.testing.assert_array_equal(reward, head.reward(pairs.items))
    np.testing.assert_array_equal(delta, head.decision_function(pairs))
    assert reward.dtype == np.float64
    assert std.shape == reward.shape
    assert std_of_delta.shape == delta.shape
    assert min(std.min(), std_of_delta.min()) >= 0


def test_a_swap_negates_delta_and_keeps_its_deviation(fitted):
    """Both ways of writing a pair are the same comparison."""
    head, pairs = fitted
    delta, std = head.decision_function(pairs, return_std=True)
    other_delta, other_std = head.decision_function(pairs.swap(), return_std=True)
    np.testing.assert_array_equal(delta, -other_delta)
    np.testing.assert_allclose(std, other_std, rtol=1e-6)


def test_the_bound_is_so_many_deviations_below(fitted):
    """With k = 0 it is the reward; below 0 it is refused."""
    head, pairs = fitted
    reward, std = head.reward(pairs.items, return_std=True)
    bound = head.lower_confidence_bound(pairs.items, k=2.0)
    np.testing.assert_allclose(bound, reward - 2 * std)
    np.testing.assert_array_equal(
        head.lower_confidence_bound(pairs.items, k=0.0), reward
    )
    with pytest.raises(InvalidInputError, match="k"):
        head.lower_confidence_bound(pairs.items, k=-1.0)


def test_nothing_has_no_deviation(fitted):
    """No items, no pairs: empty arrays."""
    head, pairs = fitted
    for part in head.reward(pairs.items[:0], return_std=True):
        assert part.shape == (0,)
    for part in head.decision_function(pairs[:0], return_std=True):
        assert part.shape == (0,)


class FirstColumn(RewardHead):
    """Knows its reward without any pair."""

    def _fit(self, comparisons):
        """Nothing is learned."""

    def _reward(self, items):
        return items[:, 0]


@given(arrays(np.float64, (5, 1), elements=st.floats(-1e6, 1e6)), st.integers(1, 4))
def test_members_that_agree_differ_by_exactly_nothing(items, n_members):
    """Whatever the rewards: no rounding passes for doubt."""
    head = RewardEnsemble([FirstColumn()] * n_members, bagging=None)
    head.fit(Pairs(np.array([[0.3], [0.1]]), [[0, 1]]))
    assert not head.reward(items, return_std=True)[1].any()
    pairs = Pairs(items, [[0, 1], [4, 2]])
    assert not head.decision_function(pairs, return_std=True)[1].any()
