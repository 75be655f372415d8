"""Heads are made by name, and described by closed ids."""

import json

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import embrm.heads
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import (
    HEADS,
    ClassificationReward,
    LinearBradleyTerry,
    RewardEnsemble,
    RewardHead,
    SiameseBradleyTerry,
    head_from_spec,
    head_spec,
    known_heads,
    make_head,
)

NAMES = [
    "linear",
    "siamese",
    "logistic",
    "mlp",
    "lightgbm",
    "xgboost",
    "boosted",
    "boosted-xgboost",
    "general",
    "regression",
    "multi-objective",
    "two-stage",
    "kto",
    "plackett-luce",
    "ensemble",
    "stacked",
    "calibrated",
    "centered",
    "length-debiased",
]
LEARNS_FROM = {
    "regression": "ratings",
    "multi-objective": "ratings",
    "kto": "labels",
    "plackett-luce": "rankings",
}


def test_the_names_are_these():
    """In the order in which errors list them."""
    assert list(known_heads()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_a_head(name):
    """With its defaults; heads that are fitted on pairs have a base in common."""
    head = make_head(name)
    assert head.learns_from == LEARNS_FROM.get(name, "pairs")
    assert isinstance(head, RewardHead) == (head.learns_from == "pairs")
    assert {"reward", "decision_function", "score", "get_state"} <= set(dir(head))


def test_the_table_of_heads_says_everything_of_each():
    """One row for each name, nothing empty but the extra."""
    rows = [known.to_json() for known in HEADS]
    assert [row["name"] for row in rows] == NAMES
    assert all(row["class"] == type(make_head(row["name"])).__name__ for row in rows)
    assert all(value for row in rows for key, value in row.items() if key != "extra")


def test_every_public_head_is_in_the_table():
    """Only `ItemBradleyTerry` stands outside: it ranks entities."""
    public = {
        name
        for name in embrm.heads.__all__
        if hasattr(getattr(embrm.heads, name), "get_params")
    }
    named = {known.class_name for known in HEADS}
    assert public - named == {"RewardHead", "ItemBradleyTerry"}


def test_parameters_of_the_head_are_passed_on():
    """Also for heads that are classifiers."""
    assert make_head("siamese", hidden_sizes=(8,)).hidden_sizes == (8,)
    assert make_head("xgboost", random_state=3).random_state == 3


def test_parameters_of_the_classifier_are_passed_on():
    """Whatever is no parameter of the head is one of the classifier."""
    head = make_head("lightgbm", num_leaves=8, random_state=1)
    assert head.estimator_params == {"num_leaves": 8}
    assert head.random_state == 1


def test_an_unknown_name_is_refused():
    """The message lists the names."""
    with pytest.raises(
        InvalidInputError, match="unknown head 'bt'; known: linear, siamese, logistic"
    ):
        make_head("bt")


def test_an_unknown_parameter_is_refused():
    """The message lists the parameters."""
    with pytest.raises(InvalidInputError, match=r"'linear': alpha, .*got alfa"):
        make_head("linear", alfa=1.0)


@pytest.mark.parametrize(
    "head",
    [
        LinearBradleyTerry(alpha=0.5),
        LinearBradleyTerry(preprocessor=make_pipeline(StandardScaler(), PCA(2))),
        SiameseBradleyTerry((8, 4), dropout=0.1, random_state=3),
        SiameseBradleyTerry("auto", batch_size=16),
        ClassificationReward(),
        ClassificationReward("mlp", estimator_params={"hidden_layer_sizes": (4, 2)}),
        ClassificationReward(LogisticRegression(C=2.0)),
    ],
    ids=str,
)
def test_a_head_comes_back_from_json(head):
    """Same class, same parameters, and no fitted state."""
    spec = json.loads(json.dumps(head_spec(head), allow_nan=False))
    rebuilt = head_from_spec(spec)
    assert type(rebuilt) is type(head)
    assert repr(rebuilt) == repr(head)


def test_a_spec_holds_all_parameters():
    """Defaults may change between versions; a bundle's head does not."""
    spec = head_spec(LinearBradleyTerry())
    assert spec["head"] == "LinearBradleyTerry"
    assert set(spec["params"]) == set(LinearBradleyTerry().get_params())


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            SiameseBradleyTerry(random_state=np.random.default_rng(0)),
            r"'random_state' that is plain data.*got Generator.*integer seed",
        ),
        (
            LinearBradleyTerry(preprocessor=FunctionTransformer()),
            "estimator that can be saved.*got FunctionTransformer",
        ),
        (ClassificationReward(KMeans()), "can be saved.*got KMeans"),
    ],
    ids=["generator", "preprocessor", "estimator"],
)
def test_parameters_that_cannot_be_written_down_are_refused(head, message):
    """The message says what can be."""
    with pytest.raises(InvalidInputError, match=message):
        head_spec(head)


def test_a_foreign_head_is_refused():
    """A subclass may do anything; its name is no id."""

    class LinearBradleyTerry(SiameseBradleyTerry):
        pass

    with pytest.raises(InvalidInputError, match="a head that can be saved"):
        head_spec(LinearBradleyTerry())


@pytest.mark.parametrize("name", ["RewardHead", "os.system", "", None, ["x"]])
def test_an_unknown_id_is_an_integrity_error(name):
    """Nothing outside the list is constructed."""
    with pytest.raises(IntegrityError, match="one of the heads LinearBradleyTerry"):
        head_from_spec({"head": name, "params": {}})


@pytest.mark.parametrize("params", [{"alfa": 1}, [1], None])
def test_parameters_that_do_not_fit_are_an_integrity_error(params):
    """The message lists those that do."""
    with pytest.raises(IntegrityError, match="parameters of LinearBradleyTerry: alpha"):
        head_from_spec({"head": "LinearBradleyTerry", "params": params})


def test_a_foreign_class_among_the_parameters_is_an_integrity_error():
    """Nesting opens no door."""
    params = {"preprocessor": {"class": "builtins.eval", "params": {}}}
    with pytest.raises(IntegrityError, match=r"builtins\.eval"):
        head_from_spec({"head": "LinearBradleyTerry", "params": params})


def test_heads_inside_heads_are_specs_inside_specs():
    """A wrapper comes back with its heads, lists of them as tuples."""
    head = RewardEnsemble((LinearBradleyTerry(alpha=2.0), make_head("logistic")))
    again = head_from_spec(json.loads(json.dumps(head_spec(head))))
    assert repr(again) == repr(head)


def test_parameters_that_were_renamed_are_still_read():
    """A stored Siamese head knew its flip rate under another name."""
    spec = head_spec(make_head("siamese", noise=0.2))
    spec["params"]["flip_rate"] = spec["params"].pop("noise")
    assert head_from_spec(spec).noise == 0.2
