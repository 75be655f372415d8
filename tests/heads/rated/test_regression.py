"""RegressionReward: predicted ratings, mixtures of them, and their use on pairs."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Lasso, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import HeadState, RegressionReward

WORDING = "our message has three parts and its own words"
LISTS = "vectors are arrays: no wrapper types, no objects"
EXPECTED = {
    "check_n_features_in_after_fitting": WORDING,
    "check_complex_data": WORDING,
    "check_estimators_empty_data_messages": WORDING,
    "check_estimators_nan_inf": WORDING,
    "check_estimator_sparse_tag": WORDING,
    "check_estimator_sparse_array": WORDING,
    "check_estimator_sparse_matrix": WORDING,
    "check_fit2d_predict1d": WORDING,
    "check_requires_y_none": WORDING,
    "check_sample_weights_not_an_array": LISTS,
    "check_regressor_data_not_an_array": LISTS,
    "check_dtype_object": LISTS,
}


class OnItems(RegressionReward):
    """The half that knows items, with `y` for ratings and no methods for pairs.

    On the whole head a dozen of scikit-learn's checks end at decision_function, which
    takes pairs; on this half they check what they are meant to.
    """

    decision_function = property()
    predict_proba = property()

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y, sample_weight=sample_weight)


def checks_of_scikit_learn():
    """All of them by name, but the one for arrays that are not numpy's."""
    for _, check in estimator_checks_generator(OnItems()):
        name = check.func.__name__
        reason = EXPECTED.get(name)
        marks = [pytest.mark.xfail(reason=reason)] if reason else []
        if name != "check_array_api_input":
            yield pytest.param(check, marks=marks, id=name)


@pytest.mark.parametrize("check", list(checks_of_scikit_learn()))
def test_it_is_a_regressor_of_scikit_learn(check):
    """Of items; what is expected to fail is named with its reason."""
    check(OnItems())


@pytest.fixture
def rated():
    """Items with three attributes, some not rated, and prompts."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(80, 6))
    ratings = items[:, :3] @ np.diag([1.0, 5.0, 0.2]) + rng.normal(size=(80, 3))
    ratings[rng.random((80, 3)) < 0.3] = np.nan
    return items, ratings, np.repeat(np.arange(20), 4)


def test_masked_ridge_is_ridge_on_rated_rows(rated):
    """With the masks of each attribute."""
    items, ratings, _ = rated
    head = RegressionReward(alpha=2.0).fit(items, ratings)
    for j, column in enumerate(ratings.T):
        known = ~np.isnan(column)
        wanted = Ridge(alpha=2.0).fit(items[known], column[known])
        np.testing.assert_allclose(
            head.attributes(items)[:, j], wanted.predict(items), atol=1e-9
        )


@settings(max_examples=25)
@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3))
def test_a_soup_of_parameters_is_a_mixture_of_predictions(weights):
    """For linear attributes, to 1e-10."""
    rng = np.random.default_rng(0)
    items, ratings = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    head = RegressionReward(preprocessor=StandardScaler()).fit(items, ratings)
    mixed = head.reward_with(items, weights)
    np.testing.assert_allclose(
        head.soup(weights).reward(items), mixed, rtol=1e-10, atol=1e-10
    )


def test_a_soup_is_a_head_of_its_own(rated):
    """It predicts, scores pairs, and is stored like any other."""
    items, ratings, _ = rated
    soup = RegressionReward().fit(items, ratings).soup([1, 0, 2])
    again = RegressionReward().set_state(soup.get_state())
    np.testing.assert_array_equal(again.predict(items), soup.reward(items))


def test_several_attributes_are_weighed_by_their_spread(rated):
    """Else the attribute with the widest scale would decide alone."""
    items, ratings, _ = rated
    head = RegressionReward().fit(items, ratings)
    np.testing.assert_allclose(head.weights_, 1 / (3 * np.nanstd(ratings, axis=0)))
    stretched = RegressionReward().fit(items, ratings * [1, 10, 100])
    np.testing.assert_allclose(
        stretched.reward(items), head.reward(items), rtol=1e-6, atol=1e-8
    )


def test_a_single_attribute_is_the_reward(rated):
    """In units of its ratings."""
    items, ratings, prompt = rated
    head = RegressionReward().fit(items, ratings[:, 0], groups=prompt)
    np.testing.assert_array_equal(head.reward(items), head.predict(items))
    assert head.predict(items).ndim == 1


def test_given_weights_are_used_as_they_are(rated):
    """nu . attributes."""
    items, ratings, _ = rated
    head = RegressionReward(weights=[1, 0, -2]).fit(items, ratings)
    wanted = head.attributes(items) @ [1, 0, -2]
    np.testing.assert_allclose(head.reward(items), wanted)


def test_groups_are_held_out_whole():
    """With an effect of each prompt, holding out items one by one flatters."""
    rng = np.random.default_rng(1)
    prompt = np.repeat(np.arange(15), 8)
    items = rng.normal(size=(15, 30))[prompt] + 0.1 * rng.normal(size=(120, 30))
    ratings = rng.normal(size=15)[prompt]
    alone = RegressionReward().fit(items, ratings).linear_.held_out_error
    grouped = RegressionReward().fit(items, ratings, groups=prompt).linear_
    assert grouped.held_out_error.min() > 10 * alone.min()


@pytest.mark.parametrize("estimator", ["ridge", "mlp", "lightgbm", Lasso(0.1)])
def test_every_estimator_orders_held_out_pairs(make_preferences, estimator):
    """From ratings with noise, by pairs of other prompts."""
    data = make_preferences(n_prompts=80)
    noise = np.random.default_rng(0).normal(size=len(data.gold))
    items, ratings = data.pairs.items, data.gold + 0.5 * noise
    head = RegressionReward(estimator, random_state=0).fit(items[:240], ratings[:240])
    held = (data.pairs.ids >= 240).all(axis=1)
    assert head.score(data.pairs[held], data.y[held]) > 0.8


@pytest.mark.parametrize("estimator", ["ridge", "mlp", "lightgbm"])
def test_a_stored_head_scores_the_same_bits(rated, estimator):
    """Through JSON and bytes, preprocessor included."""
    items, ratings, _ = rated
    head = RegressionReward(estimator, preprocessor=StandardScaler(), random_state=0)
    state = head.fit(items, ratings).get_state()
    travelled = HeadState(
        {name: np.array(array, order="C") for name, array in state.arrays.items()},
        json.loads(json.dumps(dict(state.values), allow_nan=False)),
        state.blobs,
    )
    again = clone(head).set_state(travelled)
    np.testing.assert_array_equal(again.reward(items), head.reward(items))
    np.testing.assert_array_equal(again.predict(items), head.predict(items))


def test_pairs_are_scored_by_the_difference_of_rewards(rated):
    """In orientation and as probabilities."""
    items, ratings, _ = rated
    head = RegressionReward().fit(items, ratings[:, 0])
    pairs = Pairs(items, [[0, 1], [2, 3]])
    delta = head.decision_function(pairs)
    np.testing.assert_allclose(
        delta, [np.diff(head.reward(items))[k] * -1 for k in (0, 2)]
    )
    np.testing.assert_array_equal(head.decision_function(pairs.swap()), -delta)
    assert head.predict_proba(np.asarray(pairs)).shape == (2, 2)


def test_the_score_of_items_is_r2_of_what_is_rated(rated):
    """Averaged over attributes."""
    items, ratings, _ = rated
    head = RegressionReward().fit(items, ratings)
    wanted = []
    for true, found in zip(ratings.T, head.predict(items).T, strict=True):
        known = ~np.isnan(true)
        wanted.append(r2_score(true[known], found[known]))
    assert head.score(items, ratings) == pytest.approx(np.mean(wanted))


def test_model_selection_works_on_items(rated):
    """cross_val_score and GridSearchCV, with weights that are sliced."""
    items, ratings, _ = rated
    target = np.nan_to_num(ratings[:, 0])
    params = {"sample_weight": np.arange(1.0, 81)}
    scores = cross_val_score(RegressionReward(), items, target, params=params, cv=3)
    search = GridSearchCV(RegressionReward(), {"alpha": [1e-3, 1e6]}, cv=3)
    assert np.isfinite(scores).all()
    assert search.fit(items, target).best_params_ == {"alpha": 1e-3}


def test_a_refit_with_another_estimator_forgets_the_first(rated):
    """No coefficients of a ridge that is no more."""
    items, ratings, _ = rated
    head = RegressionReward().fit(items, ratings)
    head.set_params(estimator="lightgbm").fit(items, ratings)
    assert not hasattr(head, "coef_")
    with pytest.raises(InvalidInputError, match=r"linear attributes.*reward_with"):
        head.soup([1, 1, 1])


def test_items_in_half_precision_on_disk_are_taken(rated, tmp_path):
    """A read-only memory map of float16."""
    items, ratings, _ = rated
    items.astype(np.float16).tofile(tmp_path / "items")
    mapped = np.memmap(tmp_path / "items", np.float16, "r", shape=items.shape)
    head = RegressionReward().fit(mapped, ratings)
    wanted = RegressionReward().fit(items, ratings).reward(items)
    np.testing.assert_allclose(head.reward(mapped), wanted, atol=0.02)


def test_ratings_on_a_large_scale_are_taken(rated):
    """1e4 times as large: rewards 1e4 times as large."""
    items, ratings, _ = rated
    near = RegressionReward().fit(items, ratings[:, 0]).reward(items)
    far = RegressionReward().fit(items, 1e4 * ratings[:, 0]).reward(items)
    np.testing.assert_allclose(far, 1e4 * near, rtol=1e-6, atol=1e-6)


def test_no_items_have_no_rewards(rated):
    """Of the right shape."""
    head = RegressionReward().fit(*rated[:2])
    assert head.reward(np.empty((0, 6))).shape == (0,)
    assert head.attributes(np.empty((0, 6))).shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda h, X, r: h.reward(X[:, :-1]), "d = 6, as in fit"),
        (lambda h, X, r: h.reward_with(X, [1, 2]), "weights: 3 finite numbers"),
        (lambda h, X, r: h.soup([1, 2, np.nan]), "weights: 3 finite numbers"),
        (lambda h, X, r: h.score(X, r[:, 0]), "ratings of 3 attributes"),
        (lambda h, X, r: h.decision_function(X), r"use reward\(X\)"),
        (lambda h, X, r: clone(h).set_params(alpha=-1).fit(X, r), "alpha: a finite"),
        (lambda h, X, r: clone(h).set_params(weights=[1]).fit(X, r), "3 finite"),
        (lambda h, X, r: clone(h).set_params(estimator="tree").fit(X, r), "'tree'"),
        (lambda h, X, r: clone(h).fit(X, r[:-1]), r"ratings of shape \(80,\)"),
        (
            lambda h, X, r: clone(h).fit(X, r, groups=[1]),
            r"prompt_ids of shape \(80,\)",
        ),
    ],
)
def test_bad_input_is_refused(rated, call, message):
    """In three parts."""
    items, ratings, _ = rated
    head = RegressionReward().fit(items, ratings)
    with pytest.raises(InvalidInputError, match=message):
        call(head, items, ratings)


@pytest.mark.parametrize("method", ["reward", "predict", "attributes", "get_state"])
def test_an_unfitted_head_says_so(method):
    """As scikit-learn wants it."""
    arguments = () if method == "get_state" else (np.eye(2),)
    with pytest.raises(NotFittedError):
        getattr(RegressionReward(), method)(*arguments)
