"""RatedItems: rows in any order and number become distinct items with mean ratings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import HeadState, RegressionReward
from embrm.heads.rated._rated_items import RatedHead, make_rated_items


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_order_and_copies_of_rows_do_not_matter(seed):
    """Weight k is k copies, whatever the order: the same bits."""
    rng = np.random.default_rng(seed)
    items = rng.integers(0, 2, (8, 2)).astype(float)
    ratings = np.where(rng.random((8, 2)) < 0.3, np.nan, rng.integers(0, 5, (8, 2)))
    ratings[0] = 1.0
    weight, prompt = rng.integers(0, 3, 8), rng.integers(0, 3, 8)
    weight[0] = 1
    copies = rng.permutation(np.repeat(np.arange(8), weight))
    one = make_rated_items(items, ratings, weight, prompt)
    two = make_rated_items(items[copies], ratings[copies], None, 9 - prompt[copies])
    for name in ("items", "rating", "weight", "groups"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_unrated_items_are_not_looked_at():
    """They may even be broken."""
    rated = make_rated_items([[1.0], [np.nan]], [2.0, np.nan])
    assert len(rated.items) == 1


def test_prompts_that_share_an_item_are_one_group():
    """Else the same vector would sit on both sides of a split."""
    rated = make_rated_items(
        [[1.0], [2.0], [1.0], [3.0]], [1, 2, 3, 4], None, [*"abcd"]
    )
    assert len(set(rated.groups)) == 3
    rated = make_rated_items(
        [[1.0], [2.0], [1.0], [3.0]], [1, 2, 3, 4], None, [*"aabc"]
    )
    group = dict(zip(rated.items[:, 0], rated.groups, strict=True))
    assert group[1.0] == group[2.0] != group[3.0]


def test_attributes_rated_alike_are_listed_together():
    """They share an eigenbasis later."""
    ratings = [[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]]
    sets = make_rated_items([[0.0], [1.0]], ratings).attribute_sets()
    assert sorted(columns.tolist() for columns in sets) == [[0, 2], [1]]


def test_the_spread_of_a_constant_attribute_is_one():
    """It is divided by."""
    ratings = [[1.0, 7.0], [3.0, 7.0]]
    spread = make_rated_items([[0.0], [1.0]], ratings).spread()
    np.testing.assert_allclose(spread, [1.0, 1.0])


def test_half_precision_items_become_single():
    """Ten bits are too coarse to compute with."""
    items = np.ones((2, 3), dtype=np.float16)
    assert make_rated_items(items, [1, 2]).items.dtype == np.float32


@pytest.mark.parametrize(
    ("ratings", "weight", "message"),
    [
        ([1.0, np.inf], None, "finite, or NaN.*infinity at item 1"),
        ([1.0], None, r"ratings of shape \(2,\)"),
        (np.ones((2, 1, 1)), None, r"ratings of shape \(2,\)"),
        (["good", "bad"], None, "numeric ratings"),
        (np.array(["good", None], dtype=object), None, "no numbers"),
        ([np.nan, np.nan], None, "for every attribute; got none for attribute 0 of 1"),
        ([[1.0, np.nan], [1.0, 2.0]], [1, 0], "none for attribute 1 of 2"),
        ([1.0, 2.0], [1], r"sample_weight of shape \(2,\)"),
        ([1.0, 2.0], [1, -1], "sample_weight >= 0; got -1 at item 1"),
        ([1.0, 2.0], [0, 0], "positive sample_weight; got all zero"),
    ],
)
def test_bad_ratings_and_weights_are_refused(ratings, weight, message):
    """In three parts."""
    with pytest.raises(InvalidInputError, match=message):
        make_rated_items([[0.0], [1.0]], ratings, weight)


def test_a_broken_rated_item_is_refused():
    """NaN in the vector."""
    with pytest.raises(InvalidInputError, match="finite items"):
        make_rated_items([[np.nan]], [1.0])


def test_missing_ratings_may_be_written_as_none():
    """As in a frame of objects."""
    rated = make_rated_items([[0.0], [1.0]], np.array([1, None], dtype=object))
    assert rated.rating.tolist() == [[1.0]]


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
