"""Regressors by word learn, can be stored, and say what they cannot do."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import HeadState, RegressionReward
from embrm.pairs import distinct_rows


@pytest.fixture(scope="module")
def data():
    """Ratings with a product in them, weights, and held-out rows."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(500, 4))
    rating = 3 + 2 * items[:, 0] + items[:, 1] * items[:, 2]
    return items, rating, rng.uniform(0.5, 2, 500)


def fit(estimator, items, rating, weight=None):
    head = RegressionReward(estimator, random_state=0)
    return head.fit(items, rating, sample_weight=weight)


@pytest.mark.parametrize("word", ["mlp", "lightgbm"])
def test_words_predict_held_out_ratings(data, word):
    """In units of the ratings."""
    items, rating, weight = data
    head = fit(word, items[:400], rating[:400], weight[:400])
    residual = head.predict(items[400:]) - rating[400:]
    assert np.var(residual) < 0.5 * np.var(rating[400:])


@pytest.mark.parametrize("word", ["mlp", "lightgbm"])
def test_a_stored_model_predicts_the_same_bits(data, word):
    """State and back."""
    items, rating, weight = data
    head = fit(word, items, rating, weight)
    again = RegressionReward().set_state(head.get_state())
    np.testing.assert_array_equal(again.predict(items), head.predict(items))


def test_the_network_is_that_of_scikit_learn(data):
    """Plain arrays compute what MLPRegressor predicts, of items in a fixed order."""
    items, rating, _ = data
    order, _ = distinct_rows(items)
    items, rating = items[order], rating[order]
    head = fit("mlp", items, rating)
    seed = int(np.random.default_rng(0).integers(2**31))
    scaler = StandardScaler()
    mlp = MLPRegressor(hidden_layer_sizes=(64,), alpha=10.0, max_iter=50)
    mlp.set_params(random_state=seed)
    centre, spread = rating.mean(), rating.std()
    with pytest.warns(ConvergenceWarning):
        mlp.fit(scaler.fit_transform(items), (rating - centre) / spread)
    wanted = mlp.predict(scaler.transform(items)) * spread + centre
    np.testing.assert_allclose(head.predict(items), wanted, atol=1e-6)


def test_any_regressor_serves_but_cannot_be_stored(data):
    """A clone of it is fitted with the weights."""
    items, rating, weight = data
    given = make_pipeline(StandardScaler(), Lasso(0.1))
    head = fit(given, items, rating, weight)
    wanted = given.fit(items, rating, lasso__sample_weight=weight).predict(items)
    np.testing.assert_allclose(head.predict(items), wanted)
    with pytest.raises(InvalidInputError, match="can be saved: ridge, mlp, lightgbm"):
        head.get_state()


def test_a_regressor_without_weights_needs_equal_ones(data):
    """Silence would be wrong."""
    items, rating, weight = data
    fit(KNeighborsRegressor(), items, rating, np.full(500, 2.0))
    with pytest.raises(InvalidInputError, match=r"takes sample_weight.*KNeighbors"):
        fit(KNeighborsRegressor(), items, rating, weight)


@pytest.mark.parametrize("estimator", ["forest", StandardScaler(), None])
def test_what_is_no_regressor_is_refused(data, estimator):
    """The words are listed."""
    items, rating, weight = data
    with pytest.raises(InvalidInputError, match="one of ridge, mlp, lightgbm"):
        fit(estimator, items, rating, weight)


def test_a_constant_column_and_a_constant_rating_are_taken():
    """No division by zero in the network."""
    items = np.column_stack([np.ones(30), np.arange(30.0)])
    assert np.isfinite(fit("mlp", items, np.full(30, 4.0)).predict(items)).all()


@pytest.mark.parametrize(
    ("word", "arrays", "values", "blobs", "message"),
    [
        ("mlp", {}, {"kind": "code"}, {}, "kind network or lightgbm; got 'code'"),
        ("lightgbm", {}, {}, {"model": b"\xff"}, "LightGBM model text"),
        ("mlp", {"weight0": np.ones((2, 64))}, {}, {}, "layers that fit each other"),
        ("mlp", {"weight1": np.ones((64, 2))}, {}, {}, "layers that fit each other"),
    ],
)
def test_a_damaged_state_is_refused(data, word, arrays, values, blobs, message):
    """Before anything is scored."""
    items, rating, _ = data
    state = fit(word, items[:40], rating[:40]).get_state()
    change = HeadState(arrays, values, blobs).with_prefix("model0__")
    with pytest.raises(IntegrityError, match=message):
        RegressionReward().set_state(state | change)
