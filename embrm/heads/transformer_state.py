"""State of fitted preprocessors: a closed list of scikit-learn transformers."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

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
_PIPELINE = "sklearn.pipeline.Pipeline"
_PASS = "passthrough"  # noqa: S105


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
