"""Classifiers come back from their state as working estimators with the same bits."""

import json

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import HeadState
from embrm.heads.estimator_state import get_estimator_state, set_estimator_state

LIGHTGBM = LGBMClassifier(n_estimators=5, min_child_samples=2, verbosity=-1)
XGBOOST = XGBClassifier(n_estimators=5, random_state=0)
ESTIMATORS = [
    LogisticRegression(C=0.5),
    MLPClassifier((6, 3), solver="lbfgs", max_iter=2000, random_state=0),
    LIGHTGBM,
    XGBOOST,
    make_pipeline(StandardScaler(), PCA(3), LogisticRegression()),
]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    items = rng.normal(size=(80, 4))
    return items, (items[:, 0] + rng.normal(size=80) > 0).astype(int)


def travelled(state):
    """The state as a bundle on disk would return it."""
    arrays = {name: np.array(array, order="C") for name, array in state.arrays.items()}
    values = json.loads(json.dumps(dict(state.values), allow_nan=False))
    return HeadState(arrays, values, dict(state.blobs))


def restore(estimator):
    return set_estimator_state(travelled(get_estimator_state(estimator)))


@pytest.fixture(params=ESTIMATORS, ids=lambda e: type(e).__name__)
def fitted(request, rows):
    return clone(request.param).fit(*rows)


# LightGBM's wrapper remembers column names that it made up itself.
quiet = pytest.mark.filterwarnings("ignore:X does not have valid feature names")


@quiet
def test_a_restored_classifier_gives_the_same_probabilities(fitted, rows):
    """Bit for bit."""
    np.testing.assert_array_equal(
        restore(fitted).predict_proba(rows[0]), fitted.predict_proba(rows[0])
    )


@quiet
def test_a_restored_classifier_is_a_working_estimator(fitted, rows):
    """It predicts classes, knows its width, and can be cloned and fitted again."""
    restored = restore(fitted)
    np.testing.assert_array_equal(restored.predict(rows[0]), fitted.predict(rows[0]))
    assert restored.classes_.tolist() == [0, 1]
    assert restored.n_features_in_ == 4
    assert repr(restored) == repr(fitted)
    again = clone(restored).fit(*rows)
    np.testing.assert_array_equal(
        again.predict_proba(rows[0]), fitted.predict_proba(rows[0])
    )


def test_the_state_of_a_restored_classifier_is_the_same(fitted):
    """A bundle can be written from a bundle."""
    one = get_estimator_state(fitted)
    other = get_estimator_state(restore(fitted))
    assert dict(one.values) == dict(other.values)
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])
    assert one.blobs.keys() == other.blobs.keys()


def test_an_unfitted_classifier_has_no_state():
    """scikit-learn's own error says so."""
    with pytest.raises(NotFittedError):
        get_estimator_state(LogisticRegression())


def test_a_classifier_outside_the_list_is_refused(rows):
    """The message lists what can be saved."""
    forest = RandomForestClassifier(2).fit(*rows)
    with pytest.raises(InvalidInputError, match=r"LogisticRegression, .*got RandomFor"):
        get_estimator_state(forest)


def test_a_state_of_a_transformer_is_no_classifier(rows):
    """A list is closed on both sides."""
    spec = {"class": "sklearn.decomposition.PCA", "params": {}}
    with pytest.raises(IntegrityError, match="expected a classifier"):
        set_estimator_state(HeadState(values={"spec": spec}))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [(LIGHTGBM, "LightGBM model text"), (XGBOOST, "XGBoost model in UBJSON")],
    ids=["lightgbm", "xgboost"],
)
def test_bytes_of_another_kind_are_refused(rows, estimator, message):
    """What the library refuses in Python is said in embrm's words."""
    state = get_estimator_state(clone(estimator).fit(*rows))
    with pytest.raises(IntegrityError, match=message):
        set_estimator_state(HeadState({}, state.values, {"model": b"\xff not a model"}))


@pytest.mark.parametrize("estimator", [LIGHTGBM, XGBOOST], ids=["lightgbm", "xgboost"])
def test_a_missing_model_file_is_refused(rows, estimator):
    """The message names it."""
    state = get_estimator_state(clone(estimator).fit(*rows))
    with pytest.raises(IntegrityError, match="model file 'model'"):
        set_estimator_state(HeadState({}, state.values))


def test_a_missing_layer_is_refused(rows):
    """A network that lacks a layer is damaged."""
    state = get_estimator_state(clone(ESTIMATORS[1]).fit(*rows))
    arrays = {name: a for name, a in state.arrays.items() if name != "coef1"}
    with pytest.raises(IntegrityError, match="'coef1'"):
        set_estimator_state(HeadState(arrays, state.values))
