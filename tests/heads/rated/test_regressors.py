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
from embrm.heads.rated._regressors import fit_model, model_from_state
from embrm.heads.state import HeadState


@pytest.fixture(scope="module")
def data():
    """Ratings with a product in them, weights, and held-out rows."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(500, 4))
    rating = 3 + 2 * items[:, 0] + items[:, 1] * items[:, 2]
    return items, rating, rng.uniform(0.5, 2, 500)


@pytest.mark.parametrize("word", ["mlp", "lightgbm"])
def test_words_predict_held_out_ratings(data, word):
    """In units of the ratings."""
    items, rating, weight = data
    rng = np.random.default_rng(0)
    model = fit_model(word, items[:400], rating[:400], weight[:400], rng)
    residual = model(items[400:]) - rating[400:]
    assert np.var(residual) < 0.5 * np.var(rating[400:])


@pytest.mark.parametrize("word", ["mlp", "lightgbm"])
def test_a_stored_model_predicts_the_same_bits(data, word):
    """State and back."""
    items, rating, weight = data
    model = fit_model(word, items, rating, weight, np.random.default_rng(0))
    again = model_from_state(model.get_state())
    np.testing.assert_array_equal(again(items), model(items))


def test_the_network_is_that_of_scikit_learn(data):
    """Plain arrays compute what MLPRegressor predicts."""
    items, rating, _ = data
    model = fit_model("mlp", items, rating, np.ones(500), np.random.default_rng(0))
    seed = int(np.random.default_rng(0).integers(2**31))
    scaler = StandardScaler()
    mlp = MLPRegressor(hidden_layer_sizes=(64,), alpha=10.0, max_iter=50)
    mlp.set_params(random_state=seed)
    centre, spread = rating.mean(), rating.std()
    with pytest.warns(ConvergenceWarning):
        mlp.fit(scaler.fit_transform(items), (rating - centre) / spread)
    wanted = mlp.predict(scaler.transform(items)) * spread + centre
    np.testing.assert_allclose(model(items), wanted, atol=1e-6)


def test_any_regressor_serves_but_cannot_be_stored(data):
    """A clone of it is fitted with the weights."""
    items, rating, weight = data
    given = make_pipeline(StandardScaler(), Lasso(0.1))
    model = fit_model(given, items, rating, weight, np.random.default_rng(0))
    wanted = given.fit(items, rating, lasso__sample_weight=weight).predict(items)
    np.testing.assert_allclose(model(items), wanted)
    with pytest.raises(InvalidInputError, match="can be saved: ridge, mlp, lightgbm"):
        model.get_state()


def test_a_regressor_without_weights_needs_equal_ones(data):
    """Silence would be wrong."""
    items, rating, weight = data
    rng = np.random.default_rng(0)
    fit_model(KNeighborsRegressor(), items, rating, np.full(500, 2.0), rng)
    with pytest.raises(InvalidInputError, match=r"takes sample_weight.*KNeighbors"):
        fit_model(KNeighborsRegressor(), items, rating, weight, rng)


@pytest.mark.parametrize("estimator", ["forest", StandardScaler(), None])
def test_what_is_no_regressor_is_refused(data, estimator):
    """The words are listed."""
    items, rating, weight = data
    with pytest.raises(InvalidInputError, match="one of ridge, mlp, lightgbm"):
        fit_model(estimator, items, rating, weight, np.random.default_rng(0))


def test_a_constant_column_and_a_constant_rating_are_taken():
    """No division by zero in the network."""
    items = np.column_stack([np.ones(30), np.arange(30.0)])
    model = fit_model(
        "mlp", items, np.full(30, 4.0), np.ones(30), np.random.default_rng(0)
    )
    assert np.isfinite(model(items)).all()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (HeadState({}, {"kind": "code"}), "kind network or lightgbm; got 'code'"),
        (
            HeadState({}, {"kind": "lightgbm"}, {"model": b"\xff"}),
            "LightGBM model text",
        ),
        (
            HeadState(
                {
                    "mean": np.zeros(3),
                    "scale": np.ones(3),
                    "weight0": np.ones((2, 1)),
                    "bias0": np.zeros(1),
                },
                {"kind": "network", "n_layers": 1},
            ),
            "layers that fit each other",
        ),
    ],
)
def test_a_damaged_state_is_refused(state, message):
    """Before anything is scored."""
    with pytest.raises(IntegrityError, match=message):
        model_from_state(state)
