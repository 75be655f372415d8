"""State of fitted classifiers: a closed list, in native formats without code.

LightGBM is stored as its model text, XGBoost as UBJSON. The parsers of both libraries
can crash the process on damaged bytes, so the checksum of a stored state must be
verified before.
"""

from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer, LabelEncoder
from sklearn.utils.validation import check_is_fitted

from embrm._optional import import_optional
from embrm._typing import AnyArray
from embrm.exceptions import IntegrityError, invalid_input
from embrm.heads.component_spec import component_from_spec, component_id, component_spec
from embrm.heads.state import HeadState
from embrm.heads.transformer_state import (
    attribute_state,
    get_transformer_state,
    pipeline_state,
    restore_attributes,
    restore_pipeline,
    set_transformer_state,
)

_LOGISTIC = "sklearn.linear_model.LogisticRegression"
_MLP = "sklearn.neural_network.MLPClassifier"
_LIGHTGBM = "lightgbm.LGBMClassifier"
_XGBOOST = "xgboost.XGBClassifier"
_PIPELINE = "sklearn.pipeline.Pipeline"
_CLASSIFIERS = (_LOGISTIC, _MLP, _LIGHTGBM, _XGBOOST)

_LOGISTIC_FITTED = ("coef_", "intercept_", "n_iter_", "n_features_in_")
_MLP_FITTED = (
    *("n_features_in_", "n_layers_", "n_outputs_", "out_activation_", "n_iter_"),
    "loss_",
)
_BLOB = "model"


def get_estimator_state(estimator: Any) -> HeadState:
    """Return the state of a fitted binary classifier in storable form.

    Parameters
    ----------
    estimator : fitted LogisticRegression, MLPClassifier, LGBMClassifier, \
XGBClassifier, or a Pipeline of transformers and one of these
        Fitted on the classes 0 and 1.

    Returns
    -------
    HeadState

    Raises
    ------
    InvalidInputError
        If the estimator is of another class.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> items, won = np.array([[0.0], [1.0]]), np.array([0, 1])
    >>> state = get_estimator_state(LogisticRegression().fit(items, won))
    >>> set_estimator_state(state).predict(items)
    array([0, 1])
    """
    check_is_fitted(estimator)
    name = component_id(estimator)
    if name == _PIPELINE:
        return pipeline_state(estimator, _get_step_state)
    if name == _LOGISTIC:
        return attribute_state(estimator, _LOGISTIC_FITTED)
    if name == _MLP:
        return _mlp_state(estimator)
    spec = {"spec": component_spec(estimator)} if name in _CLASSIFIERS else {}
    if name == _LIGHTGBM:
        text = estimator.booster_.model_to_string()
        return HeadState(values=spec, blobs={_BLOB: text.encode()})
    if name == _XGBOOST:
        raw = bytes(estimator.get_booster().save_raw("ubj"))
        return HeadState(values=spec, blobs={_BLOB: raw})
    raise invalid_input(
        expected="a classifier that can be saved: "
        + ", ".join(n.rpartition(".")[2] for n in _CLASSIFIERS)
        + ", or a Pipeline that ends in one",
        got=type(estimator).__name__,
        fix="use one of these, or keep the fitted head in memory",
    )


def set_estimator_state(state: HeadState) -> Any:
    """Rebuild the fitted classifier that `get_estimator_state` described.

    Parameters
    ----------
    state : HeadState
        Its checksum must have been verified: native parsers crash on damage.

    Returns
    -------
    classifier
        Works as before, with bitwise equal probabilities.

    Raises
    ------
    IntegrityError
        If the state names another class, or lacks something.
    """
    estimator = component_from_spec(state.value("spec", dict))
    name = component_id(estimator)
    if name == _PIPELINE:
        return restore_pipeline(estimator, state, _set_step_state)
    if name == _LOGISTIC:
        estimator.classes_ = np.array([0, 1])
        return restore_attributes(estimator, state, _LOGISTIC_FITTED)
    if name == _MLP:
        return _restore_mlp(estimator, state)
    if name == _LIGHTGBM:
        return _restore_lightgbm(estimator, state.blob(_BLOB))
    if name == _XGBOOST:
        return _restore_xgboost(estimator, state.blob(_BLOB))
    raise IntegrityError.of(
        expected="a classifier: " + ", ".join(_CLASSIFIERS),
        got=str(name),
        fix="check where the file comes from",
    )


def _get_step_state(step: Any) -> HeadState:
    is_classifier = component_id(step) in _CLASSIFIERS
    return get_estimator_state(step) if is_classifier else get_transformer_state(step)


def _set_step_state(state: HeadState) -> Any:
    is_classifier = state.value("spec", dict).get("class") in _CLASSIFIERS
    return (set_estimator_state if is_classifier else set_transformer_state)(state)


def _mlp_state(estimator: Any) -> HeadState:
    arrays: dict[str, AnyArray] = {}
    for n, (coef, intercept) in enumerate(
        zip(estimator.coefs_, estimator.intercepts_, strict=True)
    ):
        arrays[f"coef{n}"] = np.ascontiguousarray(coef)
        arrays[f"intercept{n}"] = np.ascontiguousarray(intercept)
    return attribute_state(estimator, _MLP_FITTED) | HeadState(arrays)


def _restore_mlp(estimator: Any, state: HeadState) -> Any:
    restore_attributes(estimator, state, _MLP_FITTED)
    layers = range(state.value("n_layers_", int) - 1)
    estimator.coefs_ = [state.array(f"coef{n}", ndim=2) for n in layers]
    estimator.intercepts_ = [state.array(f"intercept{n}", ndim=1) for n in layers]
    estimator.classes_ = np.array([0, 1])
    estimator._label_binarizer = LabelBinarizer().fit(estimator.classes_)
    return estimator


def read_booster(blob: bytes) -> Any:
    """Read a LightGBM booster from its model text, whose checksum has been verified.

    Raises
    ------
    IntegrityError
        If LightGBM cannot read it.
    """
    lightgbm = import_optional("lightgbm", extra="lightgbm")
    try:
        return lightgbm.Booster(model_str=blob.decode("ascii"))
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        raise _unreadable("LightGBM model text") from error


def _restore_lightgbm(estimator: Any, blob: bytes) -> Any:
    """Set what the fit of an LGBMClassifier leaves behind."""
    booster = read_booster(blob)
    # LightGBM has no loader for its scikit-learn wrapper: this is what its fit sets.
    encoder = LabelEncoder().fit([0, 1])
    estimator._Booster = booster
    estimator._n_features = estimator._n_features_in = booster.num_feature()
    estimator._le, estimator._class_map = encoder, {0: 0, 1: 1}
    estimator._classes, estimator._n_classes = encoder.classes_, 2
    estimator._objective = estimator.objective or "binary"
    estimator.fitted_ = True
    return estimator


def _restore_xgboost(estimator: Any, blob: bytes) -> Any:
    xgboost = import_optional("xgboost", extra="xgboost")
    params = estimator.get_params()
    try:
        estimator.load_model(bytearray(blob))
    except (xgboost.core.XGBoostError, TypeError, ValueError) as error:
        raise _unreadable("XGBoost model in UBJSON") from error
    # Loading writes what was learned over some parameters; a clone needs the old ones.
    estimator.set_params(**params)
    return estimator


def _unreadable(what: str) -> IntegrityError:
    return IntegrityError.of(
        expected=f"a {what}",
        got="bytes that it cannot read",
        fix="restore the file from where it was saved",
    )
