"""State of fitted preprocessors and classifiers: a closed list, without code.

LightGBM is stored as its model text, XGBoost as UBJSON. The parsers of both libraries
can crash the process on damaged bytes, so the checksum of a stored state must be
verified before.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer, LabelEncoder
from sklearn.utils.validation import check_is_fitted

from embrm._optional import import_optional
from embrm._typing import AnyArray
from embrm.exceptions import IntegrityError, invalid_input
from embrm.heads.component_spec import component_from_spec, component_id, component_spec
from embrm.heads.state import HeadState

_SVD = ("components_", "explained_variance_", "explained_variance_ratio_")
_FITTED = {
    "sklearn.preprocessing.StandardScaler": (
        *("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_"),
    ),
    "sklearn.preprocessing.MaxAbsScaler": (
        *("max_abs_", "scale_", "n_samples_seen_", "n_features_in_"),
    ),
    "sklearn.preprocessing.Normalizer": ("n_features_in_",),
    "sklearn.decomposition.PCA": (
        *(*_SVD, "singular_values_", "mean_", "n_components_", "n_samples_"),
        *("noise_variance_", "n_features_in_"),
    ),
    "sklearn.decomposition.TruncatedSVD": (
        *(*_SVD, "singular_values_", "n_features_in_"),
    ),
}
_PASS = "passthrough"  # noqa: S105

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


def get_transformer_state(transformer: Any) -> HeadState:
    """Return the state of a fitted transformer in storable form.

    Parameters
    ----------
    transformer : fitted StandardScaler, MaxAbsScaler, Normalizer, PCA, TruncatedSVD, \
or a Pipeline of these

    Returns
    -------
    HeadState
        Parameters under the value `spec`, fitted attributes by name.

    Raises
    ------
    InvalidInputError
        If the transformer is of another class.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> items = np.array([[0.0, 1.0], [2.0, 5.0]])
    >>> state = get_transformer_state(StandardScaler().fit(items))
    >>> set_transformer_state(state).transform(items)
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    check_is_fitted(transformer)
    name = component_id(transformer)
    if name == _PIPELINE:
        return pipeline_state(transformer, get_transformer_state)
    if name not in _FITTED:
        raise invalid_input(
            expected="a preprocessor that can be saved: "
            + ", ".join(n.rpartition(".")[2] for n in _FITTED)
            + ", or a Pipeline of these",
            got=type(transformer).__name__,
            fix="use one of these, or keep the fitted head in memory",
        )
    return attribute_state(transformer, _FITTED[name])


def set_transformer_state(state: HeadState) -> Any:
    """Rebuild the fitted transformer that `get_transformer_state` described.

    Raises
    ------
    IntegrityError
        If the state names another class, or an attribute is missing.
    """
    transformer = component_from_spec(state.value("spec", dict))
    name = component_id(transformer)
    if name == _PIPELINE:
        return restore_pipeline(transformer, state, set_transformer_state)
    if name not in _FITTED:
        raise IntegrityError.of(
            expected="a preprocessor: " + ", ".join(_FITTED),
            got=str(name),
            fix="check where the file comes from",
        )
    return restore_attributes(transformer, state, _FITTED[name])


def attribute_state(estimator: Any, names: Iterable[str]) -> HeadState:
    """Describe an estimator by its parameters and its fitted attributes."""
    arrays: dict[str, AnyArray] = {}
    values: dict[str, Any] = {"spec": component_spec(estimator)}
    column_major = []
    for name in names:
        attribute = getattr(estimator, name)
        if isinstance(attribute, np.ndarray):
            # The order in memory decides how sums are rounded: keep it, and scores
            # after reloading are the same bits.
            if attribute.ndim > 1 and not attribute.flags.c_contiguous:
                column_major.append(name)
            arrays[name] = np.ascontiguousarray(attribute)
        else:
            is_scalar = isinstance(attribute, np.generic)
            values[name] = attribute.item() if is_scalar else attribute
    values["column_major"] = column_major
    return HeadState(arrays, values)


def restore_attributes(estimator: Any, state: HeadState, names: Iterable[str]) -> Any:
    """Set the fitted attributes that `attribute_state` described."""
    column_major = state.value("column_major", list)
    for name in names:
        if name in state.arrays:
            array = state.arrays[name]
            attribute: Any = np.asfortranarray(array) if name in column_major else array
        else:
            attribute = state.value(name, object)
        setattr(estimator, name, attribute)
    return estimator


def pipeline_state(pipeline: Any, step_state: Any) -> HeadState:
    """Describe a fitted pipeline, each step by `step_state`."""
    state = HeadState(values={"spec": component_spec(pipeline)})
    for position, (_, step) in enumerate(pipeline.steps):
        if step is not None and step != _PASS:
            state |= step_state(step).with_prefix(f"step{position}__")
    return state


def restore_pipeline(pipeline: Any, state: HeadState, restore_step: Any) -> Any:
    """Fill the steps of an unfitted pipeline with what `pipeline_state` described."""
    pipeline.steps = [
        (
            name,
            step
            if step is None or step == _PASS
            else restore_step(state.without_prefix(f"step{position}__")),
        )
        for position, (name, step) in enumerate(pipeline.steps)
    ]
    return pipeline


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
        raise unreadable("a LightGBM model text") from error


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
        raise unreadable("a XGBoost model in UBJSON") from error
    # Loading writes what was learned over some parameters; a clone needs the old ones.
    estimator.set_params(**params)
    return estimator


def unreadable(what: str) -> IntegrityError:
    """Make the error of a model that its library cannot read."""
    return IntegrityError.of(
        expected=what,
        got="bytes that it cannot read",
        fix="restore the file from where it was saved",
    )
