"""Specs go through JSON and back, and construct nothing that is not on the list."""

import json

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.decomposition import PCA, KernelPCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, Normalizer, StandardScaler
from xgboost import XGBClassifier

from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads.component_spec import (
    component_from_spec,
    component_id,
    component_spec,
    decode,
    encode,
)

COMPONENTS = [
    StandardScaler(with_mean=False),
    MaxAbsScaler(),
    Normalizer(norm="l1"),
    PCA(3, whiten=True, random_state=1),
    TruncatedSVD(2),
    LogisticRegression(C=0.5),
    MLPClassifier((8, 4), alpha=2.0),
    LGBMClassifier(num_leaves=4, verbosity=-1),
    XGBClassifier(max_depth=2),
    make_pipeline(StandardScaler(), "passthrough", PCA(2)),
]


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: type(c).__name__)
def test_a_component_comes_back_from_json(component):
    """Same class, same parameters."""
    spec = json.loads(json.dumps(component_spec(component), allow_nan=False))
    rebuilt = component_from_spec(spec)
    assert type(rebuilt) is type(component)
    assert repr(rebuilt) == repr(component)


def test_defaults_are_not_written():
    """A spec holds what was chosen, and follows the library otherwise."""
    assert component_spec(PCA(3))["params"] == {"n_components": 3}


def test_a_class_of_the_same_name_is_not_on_the_list():
    """Names alone do not identify a class."""

    class StandardScaler:
        __module__ = "sklearn.preprocessing._data"

    assert component_id(StandardScaler()) is None


def test_a_class_that_is_not_on_the_list_is_refused():
    """The message lists what can be saved."""
    with pytest.raises(InvalidInputError, match=r"StandardScaler, .*got KernelPCA"):
        component_spec(KernelPCA())


def test_a_parameter_that_is_no_plain_data_is_refused():
    """A generator cannot be written down."""
    with pytest.raises(InvalidInputError, match=r"'random_state'.*got RandomState"):
        component_spec(PCA(random_state=np.random.RandomState(0)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_parameter_that_is_not_finite_is_refused(value):
    """JSON has no word for it."""
    with pytest.raises(InvalidInputError, match=f"finite float.*got {value}"):
        encode(value, "alpha")


def test_numpy_numbers_become_plain_numbers():
    """np.float64 is as good as float."""
    got = encode([np.float64(0.5), np.int32(3), np.bool_(True)], "x")
    assert got == [0.5, 3, True]
    assert [type(value) for value in got] == [float, int, bool]


def test_tuples_come_back_as_tuples():
    """Lists do too: JSON cannot tell them apart."""
    assert decode(encode({"a": (1, (2, 3)), "b": [4]}, "x")) == {
        "a": (1, (2, 3)),
        "b": (4,),
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"class": "os.system", "params": {}},
        {"class": "sklearn.preprocessing.FunctionTransformer", "params": {}},
        {"class": None, "params": {}},
        {"class": ["sklearn.decomposition.PCA"], "params": {}},
        {},
    ],
)
def test_a_class_outside_the_list_is_never_constructed(spec):
    """Whatever a spec from outside names."""
    with pytest.raises(IntegrityError, match="expected one of sklearn"):
        component_from_spec(spec)


def test_parameters_that_do_not_fit_are_refused():
    """A class of this version may not know them."""
    spec = {"class": "sklearn.decomposition.PCA", "params": {"n": 3}}
    with pytest.raises(IntegrityError, match=r"parameters of .*PCA; got n\."):
        component_from_spec(spec)


def test_missing_parameters_are_refused():
    """params has to be an object."""
    with pytest.raises(IntegrityError, match="'params' of"):
        component_from_spec({"class": "sklearn.decomposition.PCA", "params": [1]})


def test_a_foreign_class_inside_a_pipeline_is_refused():
    """Nesting opens no door."""
    steps = [["a", {"class": "subprocess.Popen", "params": {}}]]
    with pytest.raises(IntegrityError, match=r"subprocess\.Popen"):
        component_from_spec(
            {"class": "sklearn.pipeline.Pipeline", "params": {"steps": steps}}
        )


def test_the_steps_of_a_pipeline_keep_their_names():
    """They are how parameters are reached."""
    pipeline = Pipeline([("one", StandardScaler()), ("two", PCA(2))])
    rebuilt = component_from_spec(component_spec(pipeline))
    assert [name for name, _ in rebuilt.steps] == ["one", "two"]
