"""Preprocessors come back from their state with the same bits."""

import json

import numpy as np
import pytest
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)

from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import HeadState
from embrm.heads.estimator_state import get_transformer_state, set_transformer_state

TRANSFORMERS = [
    StandardScaler(),
    StandardScaler(with_mean=False, with_std=False),
    MaxAbsScaler(),
    Normalizer(),
    PCA(3),
    PCA(0.9, whiten=True, svd_solver="full"),
    TruncatedSVD(3, random_state=0),
    make_pipeline(StandardScaler(), PCA(4), "passthrough", Normalizer()),
    make_pipeline(make_pipeline(MaxAbsScaler()), None, StandardScaler()),
]


@pytest.fixture
def items():
    return np.random.default_rng(0).normal(size=(60, 6)) + 3


def travelled(state):
    """The state as a bundle on disk would return it."""
    arrays = {name: np.array(array, order="C") for name, array in state.arrays.items()}
    values = json.loads(json.dumps(dict(state.values), allow_nan=False))
    return HeadState(arrays, values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=str)
def test_a_restored_transformer_gives_the_same_bits(transformer, dtype, items):
    """Also where the library keeps arrays in column-major order."""
    items = items.astype(dtype)
    fitted = transformer.fit(items)
    restored = set_transformer_state(travelled(get_transformer_state(fitted)))
    np.testing.assert_array_equal(restored.transform(items), fitted.transform(items))
    assert repr(restored) == repr(fitted)


def test_column_major_arrays_stay_column_major(items):
    """Their order in memory decides how sums are rounded."""
    fitted = StandardScaler().fit(items)
    fitted.mean_ = np.asfortranarray(np.ones((3, 2)))
    restored = set_transformer_state(travelled(get_transformer_state(fitted)))
    assert restored.mean_.flags.f_contiguous


def test_an_unfitted_transformer_has_no_state():
    """scikit-learn's own error says so."""
    with pytest.raises(NotFittedError):
        get_transformer_state(StandardScaler())


def test_a_transformer_outside_the_list_is_refused(items):
    """The message lists what can be saved."""
    with pytest.raises(InvalidInputError, match=r"StandardScaler.*got RobustScaler"):
        get_transformer_state(RobustScaler().fit(items))


def test_a_state_of_a_classifier_is_no_transformer():
    """A preprocessor that is on another list is refused."""
    spec = {"class": "sklearn.linear_model.LogisticRegression", "params": {}}
    with pytest.raises(IntegrityError, match="expected a preprocessor"):
        set_transformer_state(HeadState(values={"spec": spec}))


def test_a_missing_attribute_is_refused(items):
    """The message names it."""
    state = get_transformer_state(StandardScaler().fit(items))
    arrays = {name: a for name, a in state.arrays.items() if name != "scale_"}
    with pytest.raises(IntegrityError, match="'scale_'"):
        set_transformer_state(HeadState(arrays, state.values))


def test_a_state_without_a_spec_is_refused():
    """There is nothing to build."""
    with pytest.raises(IntegrityError, match="'spec' of type dict"):
        set_transformer_state(HeadState())
