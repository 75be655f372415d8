"""The second stage's parts: scale, extrapolation, and their choice."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import Ridge

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import make_comparisons
from embrm.heads.linear.problem import make_problem
from embrm.heads.rated._two_stage_training import (
    best_extrapolation,
    choose,
    make_rating_stage,
    positive_scale,
)


def wins_from(delta, rng):
    """Sign deltas by labels drawn from them."""
    won = rng.random(len(delta)) < 1 / (1 + np.exp(-delta))
    return np.where(won, 1, -1)


def test_the_scale_of_a_bradley_terry_model_is_found():
    """Deltas in other units come back in nats."""
    rng = np.random.default_rng(0)
    delta = rng.normal(0, 2, 20_000)
    sign, ones = wins_from(delta, rng), np.ones(20_000)
    scale = positive_scale(sign * delta / 7, 0 * ones, ones)
    assert scale == pytest.approx(7, rel=0.05)


@pytest.mark.parametrize("labels", ["ties", "reversed"])
def test_the_scale_stays_positive(labels):
    """Whatever the labels say: the direction is that of the ratings."""
    delta = np.random.default_rng(0).normal(size=500)
    delta = np.concatenate([delta, -delta]) if labels == "ties" else -np.abs(delta)
    scale = positive_scale(delta, np.zeros(len(delta)), np.ones(len(delta)))
    assert 0 < scale < 0.5


def test_no_differences_have_scale_one():
    """Nothing to be scaled."""
    assert positive_scale(np.zeros(3), np.zeros(3), np.ones(3)) == 1.0


def test_the_extrapolation_is_the_best_on_its_grid():
    """As brute force over every hundredth, where the loss has one minimum."""
    rng = np.random.default_rng(0)
    logit, move = rng.normal(size=(2, 3000))
    sign = wins_from(logit + 1.5 * move, rng)
    found = best_extrapolation(sign * logit, sign * move, np.ones(3000))

    def loss(a):
        return np.logaddexp(0, -sign * (logit + a * move)).sum()

    grid = np.round(np.arange(1, 2.001, 0.01), 2)
    assert found == grid[np.argmin([loss(a) for a in grid])]
    free = minimize_scalar(loss, bounds=(1, 2), method="bounded").x
    assert found == pytest.approx(free, abs=0.006)


@pytest.mark.parametrize(("sign", "wanted"), [(1.0, 2.0), (-1.0, 1.0), (0.0, 1.0)])
def test_the_extrapolation_stays_between_one_and_two(sign, wanted):
    """A step that always helps, always harms, or is none."""
    move = np.full(10, 0.5 * sign)
    assert best_extrapolation(np.zeros(10), move, np.ones(10)) == wanted


def test_each_fold_starts_without_its_held_out_wins(make_preferences):
    """Masks are disjoint, and every start is asked for once a fold."""
    data = make_preferences(error_rate=0.2)
    comparisons = make_comparisons(data.pairs, data.y)
    asked = []

    def start_of(train, held):
        asked.append((train, held))
        return np.zeros(len(comparisons))

    problem = make_problem(comparisons)
    choice = choose(comparisons, problem, start_of, alpha=None, extrapolation=None)
    assert len(asked) == 5
    assert not any((train & held).any() for train, held in asked)
    assert choice.alphas[0] == np.inf
    assert choice.held_out_loss[0] == pytest.approx(np.log(2))


def test_a_given_penalty_leaves_the_extrapolation_to_be_chosen(make_preferences):
    """Two losses: of not moving, and of moving under that penalty."""
    data = make_preferences(error_rate=0.2)
    comparisons = make_comparisons(data.pairs, data.y)
    problem = make_problem(comparisons)

    def start_of(train, held):
        return np.zeros(len(comparisons))

    choice = choose(comparisons, problem, start_of, alpha=50.0, extrapolation=None)
    assert choice.alpha == 50.0
    assert len(choice.held_out_loss) == 2
    assert choice.extrapolation > 1


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
