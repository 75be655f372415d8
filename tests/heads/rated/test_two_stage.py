"""TwoStageReward: ratings, then preferences, then a step beyond."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import HeadState, LinearBradleyTerry, TwoStageReward
from embrm.testing import check_head, head_checks


@pytest.mark.parametrize("check", [name for name, _ in head_checks()])
def test_it_keeps_the_promise_of_a_head(check):
    """Without ratings, as any head is used."""
    check_head(TwoStageReward(), checks=[check])


def planted(seed=0, n_pairs=60, bias=0.8, d=20):
    """Ratings of many items by a biased judge, few pairs by a faithful one."""
    rng = np.random.default_rng(seed)
    items, prompt = rng.normal(size=(1600, d)), np.repeat(np.arange(400), 4)
    faithful, slant = rng.normal(size=(2, d))
    faithful *= 2 / np.linalg.norm(faithful)
    slant *= 2 * bias / np.linalg.norm(slant)
    gold = items @ faithful
    ratings = 3 + items @ (faithful + slant) + rng.normal(size=1600)
    ratings[1200:] = np.nan
    left, right = np.triu_indices(4, 1)
    base = 4 * np.arange(400)[:, None]
    ids = np.column_stack([(base + left).ravel(), (base + right).ravel()])
    chance = 1 / (1 + np.exp(gold[ids[:, 1]] - gold[ids[:, 0]]))
    y = (rng.random(len(ids)) < chance).astype(int)
    test = ids[1800:]
    return (
        Pairs(items, ids[:n_pairs], prompt),
        y[:n_pairs],
        ratings,
        Pairs(items, test, prompt),
        gold[test[:, 0]] > gold[test[:, 1]],
    )


def test_it_beats_both_stages_alone_on_biased_ratings_and_few_pairs():
    """On average over draws, and by some margin."""
    scores = []
    for seed in range(8):
        pairs, y, ratings, test, truth = planted(seed, n_pairs=90, bias=0.5)
        both = TwoStageReward().fit(pairs, y, ratings=ratings)
        known = ~np.isnan(ratings)
        first = Ridge().fit(pairs.items[known], ratings[known]).predict(test.items)
        ordered = (first[test.first] > first[test.second]) == truth
        second = LinearBradleyTerry().fit(pairs, y).score(test, truth)
        scores.append([both.score(test, truth), ordered.mean(), second])
    both_stages, ratings_alone, pairs_alone = np.mean(scores, axis=0)
    assert both_stages > ratings_alone + 0.01
    assert both_stages > pairs_alone + 0.01


def test_the_first_stage_is_kept_where_pairs_say_nothing():
    """Coin flips: the second stage declines to move from the scaled ridge."""
    pairs, _, ratings, _, _ = planted(n_pairs=300)
    y = np.random.default_rng(5).integers(0, 2, 300)
    head = TwoStageReward().fit(pairs, y, ratings=ratings)
    assert head.alpha_ == np.inf
    np.testing.assert_array_equal(head.coef_, head.start_)
    known = ~np.isnan(ratings)
    ridge = Ridge(alpha=head.rating_alpha_).fit(pairs.items[known], ratings[known])
    np.testing.assert_allclose(head.start_, head.scale_ * ridge.coef_, atol=1e-9)
    assert head.scale_ > 0


def test_ties_leave_the_order_of_the_ratings():
    """They say that rewards are alike, not which way they differ."""
    pairs, _, ratings, test, _ = planted(n_pairs=300)
    head = TwoStageReward().fit(pairs, np.full(300, 0.5), ratings=ratings)
    known = ~np.isnan(ratings)
    ridge = Ridge().fit(pairs.items[known], ratings[known]).predict(test.items)
    assert np.corrcoef(head.reward(test.items), ridge)[0, 1] > 0.95


def test_the_second_stage_is_the_minimum_of_its_objective():
    """As scipy finds it, with strengths, margins and a prior at the first stage."""
    pairs, y, ratings, _, _ = planted(n_pairs=80, d=4)
    rng = np.random.default_rng(0)
    strength, margin = rng.integers(1, 4, 80), rng.random(80)
    head = TwoStageReward(alpha=3.0, rating_alpha=1.0, extrapolation=1.0)
    head.fit(pairs, y, ratings=ratings, sample_weight=strength, margin=margin)
    step = pairs.items[pairs.first] - pairs.items[pairs.second]
    step[y == 0] *= -1

    def objective(w):
        loss = strength @ np.logaddexp(0, -(step @ w - margin))
        return loss + 1.5 * np.sum((w - head.start_) ** 2)

    wanted = minimize(objective, head.start_, tol=1e-10).x
    np.testing.assert_allclose(head.coef_, wanted, atol=1e-5)


def test_more_dimensions_than_items_are_taken():
    """The step lies in the span of the items, the start need not."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(30, 50))
    pairs = Pairs(items, np.arange(20).reshape(10, 2))
    head = TwoStageReward(alpha=2.0, extrapolation=1.0)
    head.fit(pairs, ratings=items[:, 0])
    step = items[pairs.first] - items[pairs.second]

    def objective(w):
        loss = np.logaddexp(0, -(step @ w)).sum()
        return loss + np.sum((w - head.start_) ** 2)

    wanted = minimize(objective, head.start_, tol=1e-10).x
    np.testing.assert_allclose(head.coef_, wanted, atol=1e-5)


def test_extrapolation_goes_along_the_step():
    """w0 + a (w2 - w0), also for an a of one's own."""
    pairs, y, ratings, _, _ = planted(n_pairs=120)
    for a in ("auto", 1.5, 0.0):
        head = TwoStageReward(extrapolation=a).fit(pairs, y, ratings=ratings)
        step = head.second_ - head.start_
        wanted = head.start_ + head.extrapolation_ * step
        np.testing.assert_allclose(head.coef_, wanted, atol=1e-12)
        assert a in ("auto", head.extrapolation_)
    assert 1.0 <= TwoStageReward().fit(pairs, y).extrapolation_ <= 2.0


def test_without_ratings_it_is_the_linear_head():
    """With the same penalty and no extrapolation."""
    pairs, y, _, test, _ = planted(n_pairs=120)
    head = TwoStageReward(alpha=20.0, extrapolation=1.0).fit(pairs, y)
    wanted = LinearBradleyTerry(alpha=20.0).fit(pairs, y)
    np.testing.assert_allclose(
        head.decision_function(test), wanted.decision_function(test), atol=1e-7
    )


def test_order_orientation_and_copies_do_not_matter_with_ratings():
    """Weight k is k copies; items may be passed in any order."""
    pairs, y, ratings, test, _ = planted(n_pairs=90)
    weight = 1.0 + np.arange(90) % 3
    one = TwoStageReward().fit(pairs, y, ratings=ratings, sample_weight=weight)
    rng = np.random.default_rng(0)
    copies = rng.permutation(np.repeat(np.arange(90), weight.astype(int)))
    order = rng.permutation(1600)
    shuffled = Pairs(
        pairs.items[order],
        np.argsort(order)[pairs.ids[copies]][:, ::-1],
        1000 - np.asarray(pairs.prompt_ids)[order],
    )
    two = TwoStageReward().fit(shuffled, 1 - y[copies], ratings=ratings[order])
    np.testing.assert_allclose(
        two.decision_function(test), one.decision_function(test), atol=1e-6
    )


def test_the_preprocessor_sees_rated_and_compared_items():
    """Once each; scores go through it."""
    pairs, y, ratings, _, _ = planted(n_pairs=90)
    # Folds follow the canonical order of items, which scaling changes.
    head = TwoStageReward(alpha=3.0, rating_alpha=1.0, extrapolation=1.2)
    direct = clone(head)
    head.set_params(preprocessor=StandardScaler())
    head.fit(pairs, y, ratings=ratings)
    np.testing.assert_allclose(
        head.preprocessor_.mean_, pairs.items[:1200].mean(axis=0), atol=1e-9
    )
    scaled = head.preprocessor_.transform(pairs.items)
    direct.fit(Pairs(scaled, pairs.ids, pairs.prompt_ids), y, ratings=ratings)
    np.testing.assert_allclose(
        direct.reward(scaled), head.reward(pairs.items), atol=1e-7
    )


@pytest.mark.parametrize("informative", [True, False])
def test_a_stored_head_scores_the_same_bits(informative):
    """Through JSON and bytes, an infinite penalty included."""
    pairs, y, ratings, test, _ = planted(n_pairs=120)
    labels = y if informative else np.full(120, 0.5)
    head = TwoStageReward().fit(pairs, labels, ratings=ratings)
    state = head.get_state()
    travelled = HeadState(
        {name: np.array(array, order="C") for name, array in state.arrays.items()},
        json.loads(json.dumps(dict(state.values), allow_nan=False)),
    )
    again = clone(head).set_state(travelled)
    np.testing.assert_array_equal(again.reward(test.items), head.reward(test.items))
    assert again.alpha_ == head.alpha_
    broken = state | HeadState({"numbers": np.zeros(2)})
    with pytest.raises(IntegrityError, match="5 numbers in 'numbers'"):
        TwoStageReward().set_state(broken)


@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_the_scale_of_items_and_ratings_does_not_matter(scale):
    """Rewards are in nats in any case."""
    pairs, y, ratings, test, _ = planted(n_pairs=90)
    one = TwoStageReward().fit(pairs, y, ratings=ratings).decision_function(test)
    scaled = Pairs(scale * pairs.items, pairs.ids, pairs.prompt_ids)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        two = TwoStageReward().fit(scaled, y, ratings=ratings / scale)
    delta = two.decision_function(Pairs(scale * test.items, test.ids))
    assert np.corrcoef(delta, one)[0, 1] > 0.99
    assert delta.std() == pytest.approx(one.std(), rel=0.2)


def test_constant_ratings_leave_it_to_the_pairs():
    """A start of zero."""
    pairs, y, _, _, _ = planted(n_pairs=90)
    head = TwoStageReward().fit(pairs, y, ratings=np.full(1600, 2.0))
    np.testing.assert_allclose(head.start_, 0.0, atol=1e-12)


def test_one_pair_and_one_rating_are_taken():
    """Finite rewards, the winner not behind."""
    items = np.random.default_rng(0).normal(size=(5, 3))
    head = TwoStageReward().fit(
        Pairs(items, [[0, 1]]), ratings=[np.nan, np.nan, 1.0, np.nan, np.nan]
    )
    assert np.isfinite(head.reward(items)).all()
    assert head.decision_function(Pairs(items, [[0, 1]]))[0] > 0


def test_too_few_iterations_warn():
    """The message says which parameter to change."""
    pairs, y, ratings, _, _ = planted(n_pairs=90)
    with pytest.warns(ConvergenceWarning, match="in 1 steps; raise max_iter"):
        TwoStageReward(alpha=0.01, extrapolation=1.0, max_iter=1).fit(
            pairs, y, ratings=ratings
        )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": "best"}, "alpha: a finite number >= 0 or 'auto'"),
        ({"rating_alpha": -1}, "rating_alpha: a finite number"),
        ({"extrapolation": -0.1}, "extrapolation: a finite number >= 0"),
        ({"tol": 0.0}, "tol: a finite number"),
        ({"max_iter": 0}, "max_iter: an integer >= 1"),
    ],
)
def test_parameters_out_of_range_are_refused(params, message):
    """At fit, as scikit-learn wants it."""
    with pytest.raises(InvalidInputError, match=message):
        TwoStageReward(**params).fit(Pairs(np.eye(2), [[0, 1]]), ratings=[1, 0])


def test_ratings_sliced_with_the_pairs_are_refused():
    """They belong to items, so a fold of pairs needs all of them."""
    pairs, y, ratings, _, _ = planted(n_pairs=90)
    with pytest.raises(InvalidInputError, match=r"ratings of shape \(1600,\)"):
        TwoStageReward().fit(pairs[:10], y[:10], ratings=ratings[:10])
