"""PairScoring says of pairs what RewardHead says of them."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.heads.pair_scoring import PairScoring


class Fixed(PairScoring, BaseEstimator):
    """A reward that is given."""

    def fit(self, coef):
        self.coef_ = coef
        return self

    def reward(self, X):
        return X @ self.coef_


@pytest.fixture
def both(make_preferences):
    """A linear head, the mixin with the same weights, and preferences."""
    data = make_preferences(error_rate=0.2)
    head = LinearBradleyTerry(alpha=1.0).fit(data.pairs, data.y)
    return head, Fixed().fit(head.coef_), data


@pytest.mark.parametrize("method", ["decision_function", "predict_proba"])
def test_pairs_are_scored_as_a_reward_head_scores_them(both, method):
    """The same maths, constants aside."""
    head, fixed, data = both
    np.testing.assert_allclose(
        getattr(fixed, method)(data.pairs),
        getattr(head, method)(data.pairs),
        atol=1e-12,
    )


def test_the_score_is_order_consistency(both):
    """Weights included."""
    head, fixed, data = both
    weight = np.arange(1.0, len(data.y) + 1)
    wanted = head.score(data.pairs, data.y, weight)
    assert fixed.score(data.pairs, data.y, weight) == pytest.approx(wanted)


def test_swapping_pairs_negates_delta_exactly(both):
    """For Pairs and for dense arrays."""
    _, fixed, data = both
    delta = fixed.decision_function(data.pairs)
    np.testing.assert_array_equal(fixed.decision_function(data.pairs.swap()), -delta)
    dense = np.asarray(data.pairs)
    np.testing.assert_array_equal(
        fixed.decision_function(dense[:, ::-1]), -fixed.decision_function(dense)
    )


def test_items_are_refused(both):
    """The cure is reward(X)."""
    _, fixed, data = both
    with pytest.raises(InvalidInputError, match=r"use reward\(X\)"):
        fixed.decision_function(data.pairs.items)


def test_an_unfitted_head_says_so(both):
    """As scikit-learn wants it."""
    with pytest.raises(NotFittedError):
        Fixed().score(both[2].pairs)
