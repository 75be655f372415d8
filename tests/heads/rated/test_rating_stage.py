"""The first stage: the ratings' ridge, without the ratings of held-out prompts."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads.comparisons import make_comparisons
from embrm.heads.rated.rating_stage import make_rating_stage


@pytest.fixture
def data(make_preferences):
    """Pairs, their comparisons, and ratings of half of the items."""
    data = make_preferences(n_prompts=12)
    ratings = 3 + data.gold + 0.1 * np.arange(48) % 2
    ratings[::2] = np.nan
    return data.pairs, make_comparisons(data.pairs, data.y), ratings


def test_the_direction_is_that_of_ridge(data):
    """On the rated items, up to the scale."""
    pairs, comparisons, ratings = data
    stage = make_rating_stage(pairs, comparisons, ratings)
    weights, scale, alpha = stage.fit(comparisons, 0.5)
    known = ~np.isnan(ratings)
    wanted = Ridge(alpha=0.5).fit(pairs.items[known], ratings[known]).coef_
    np.testing.assert_allclose(weights, scale * wanted, atol=1e-9)
    assert alpha == 0.5


@pytest.mark.parametrize("known", [True, False], ids=["prompts", "no prompts"])
def test_ratings_that_belong_to_held_out_wins_are_not_used(data, known):
    """Of whole prompts where these are known, else of the items themselves."""
    pairs, comparisons, ratings = data
    if not known:
        pairs = Pairs(pairs.items, pairs.ids)
        comparisons = make_comparisons(pairs, np.ones(len(pairs)))
    held_prompt = np.arange(48) // 4 == 7
    inside = {tuple(row) for row in pairs.items[held_prompt]}
    held = np.array([tuple(comparisons.items[i]) in inside for i in comparisons.winner])
    stage = make_rating_stage(pairs, comparisons, ratings)
    one, _, _ = stage.fit(comparisons, 0.5, ~held, held)
    other = np.where(held_prompt, 99.0, ratings)
    other[np.isnan(ratings)] = np.nan
    two, _, _ = make_rating_stage(pairs, comparisons, other).fit(
        comparisons, 0.5, ~held, held
    )
    np.testing.assert_allclose(one, two, atol=1e-9)
    three, _, _ = make_rating_stage(pairs, comparisons, other).fit(comparisons, 0.5)
    assert np.abs(three - two).max() > 0.01


def test_without_ratings_left_the_start_is_zero(data):
    """Only the held-out prompt is rated."""
    pairs, comparisons, _ = data
    ratings = np.where(np.arange(48) < 4, 1.0, np.nan)
    held = np.ones(len(comparisons), dtype=bool)
    stage = make_rating_stage(pairs, comparisons, ratings)
    weights, scale, _ = stage.fit(comparisons, 0.5, held, held)
    assert (weights.any(), scale) == (False, 1.0)


def test_one_prompt_is_held_out_by_item(make_preferences):
    """Else nothing would be left to rate."""
    data = make_preferences(n_prompts=1, n_responses=8)
    comparisons = make_comparisons(data.pairs, data.y)
    stage = make_rating_stage(data.pairs, comparisons, data.gold)
    assert len(set(stage.rated_unit)) == 8


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        (np.ones((48, 2)), r"ratings of shape \(48,\), one per item; got 2 dim"),
        (np.ones(47), r"ratings of shape \(48,\)"),
        (np.full(48, np.nan), "a rating of positive sample_weight"),
    ],
)
def test_bad_ratings_are_refused(data, ratings, message):
    """In three parts."""
    with pytest.raises(InvalidInputError, match=message):
        make_rating_stage(data[0], data[1], ratings)


def test_dense_pairs_are_refused(data):
    """They do not say which item a rating is of."""
    with pytest.raises(InvalidInputError, match="Pairs along with ratings"):
        make_rating_stage(np.asarray(data[0]), data[1], data[2])
