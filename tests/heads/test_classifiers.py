"""Classifiers by word have sound defaults, which parameters replace."""

import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads.classifiers import CLASSIFIERS, make_classifier


@pytest.mark.parametrize("word", CLASSIFIERS)
def test_every_word_makes_a_classifier(word):
    """With fit and predict_proba."""
    classifier = make_classifier(word, 8)
    assert hasattr(classifier, "fit")
    assert hasattr(classifier, "predict_proba")


@pytest.mark.parametrize("word", ["logistic", "mlp"])
def test_classifiers_of_sums_standardise(word):
    """A penalty means the same on every column then."""
    assert list(make_classifier(word, 8).named_steps) == ["scaler", "classifier"]


def test_the_penalty_of_logistic_follows_the_width():
    """The prior spread of a difference is 0.5 nats: 2 d C = 0.25."""
    strength = make_classifier("logistic", 50).named_steps["classifier"].C
    assert 2 * 50 * strength == pytest.approx(0.25)


@pytest.mark.parametrize("word", ["lightgbm", "xgboost"])
def test_parameters_replace_defaults(word):
    """The others stay as they are."""
    plain = make_classifier(word, 8).get_params()
    changed = make_classifier(word, 8, {"n_estimators": 7}).get_params()
    assert changed["n_estimators"] == 7
    assert changed["learning_rate"] == plain["learning_rate"]


@pytest.mark.parametrize("word", CLASSIFIERS)
def test_a_misspelt_parameter_is_refused(word):
    """LightGBM and XGBoost would swallow it."""
    with pytest.raises(InvalidInputError, match=f"parameters of '{word}'.*'n_estim'"):
        make_classifier(word, 8, {"n_estim": 7})


def test_an_unknown_word_is_refused():
    """The message lists the words."""
    with pytest.raises(InvalidInputError, match=r"logistic, mlp, lightgbm, xgb.*'svm'"):
        make_classifier("svm", 8)
