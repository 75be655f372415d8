"""What heads of rated items share: preprocessing, storage, and pairs on the side."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from embrm import Pairs
from embrm.exceptions import IntegrityError
from embrm.heads import RegressionReward
from embrm.heads.rated.rated_head import RatedHead
from embrm.heads.state import HeadState


@pytest.fixture
def rated():
    rng = np.random.default_rng(0)
    items = rng.normal(size=(60, 5))
    return items, items @ [1.0, -1.0, 0.5, 0.0, 0.0]


def test_the_preprocessor_acts_on_items_and_is_stored(rated):
    """A head reduced to three dimensions comes back bitwise."""
    items, ratings = rated
    head = RegressionReward(preprocessor=PCA(3, random_state=0)).fit(items, ratings)
    assert isinstance(head, RatedHead)
    assert head.preprocessor_.n_components_ == 3
    again = RegressionReward(preprocessor=PCA(3)).set_state(head.get_state())
    np.testing.assert_array_equal(again.reward(items), head.reward(items))


def test_rated_heads_order_pairs_by_their_rewards(rated):
    """decision_function is the difference of rewards, and negates under swap."""
    items, ratings = rated
    head = RegressionReward().fit(items, ratings)
    pairs = Pairs(items, [[0, 1], [2, 3]])
    reward = head.reward(items)
    delta = head.decision_function(pairs)
    np.testing.assert_allclose(delta, reward[[0, 2]] - reward[[1, 3]])
    np.testing.assert_array_equal(head.decision_function(pairs.swap()), -delta)


def test_a_state_that_lacks_something_is_damaged():
    """The error says what is missing."""
    with pytest.raises(IntegrityError, match="expected"):
        RegressionReward().set_state(HeadState())
