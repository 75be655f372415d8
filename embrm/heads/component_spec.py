"""Specs: parameters, and the estimators among them, as JSON and back.

A spec is `{"class": id, "params": {...}}`. The ids form a closed list: a spec that
comes from outside can name nothing else, so reading one runs no foreign code.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from embrm._optional import import_optional
from embrm.exceptions import IntegrityError, invalid_input

_PIPELINE = "sklearn.pipeline.Pipeline"
_MAPPING = "mapping"

# id -> the extra of embrm that installs it; scikit-learn is always there.
_EXTRA_OF = {
    "sklearn.preprocessing.StandardScaler": "",
    "sklearn.preprocessing.MaxAbsScaler": "",
    "sklearn.preprocessing.Normalizer": "",
    "sklearn.decomposition.PCA": "",
    "sklearn.decomposition.TruncatedSVD": "",
    _PIPELINE: "",
    "sklearn.linear_model.LogisticRegression": "",
    "sklearn.neural_network.MLPClassifier": "",
    "lightgbm.LGBMClassifier": "lightgbm",
    "xgboost.XGBClassifier": "xgboost",
}


def component_id(component: Any) -> str | None:
    """Return the id of a transformer or classifier, None if it is not on the list.

    Examples
    --------
    >>> from sklearn.preprocessing import Normalizer
    >>> component_id(Normalizer())
    'sklearn.preprocessing.Normalizer'
    """
    cls = type(component)
    package = cls.__module__.partition(".")[0]
    for name in _EXTRA_OF:
        same_name = name.rpartition(".")[2] == cls.__name__
        if same_name and name.startswith(f"{package}.") and _class_of(name) is cls:
            return name
    return None


def component_spec(component: Any) -> dict[str, Any]:
    """Write a transformer or classifier, unfitted, as JSON.

    Parameters
    ----------
    component : estimator
        One of the classes on the closed list, or a `Pipeline` of them.

    Returns
    -------
    dict
        `{"class": id, "params": {...}}` with the parameters that differ from their
        defaults.

    Raises
    ------
    InvalidInputError
        If the class is not on the list, or a parameter is not plain data.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> component_spec(PCA(8, whiten=True))
    {'class': 'sklearn.decomposition.PCA', 'params': {'n_components': 8, 'whiten': True}}
    """  # noqa: E501
    name = component_id(component)
    if name is None:
        raise invalid_input(
            expected="an estimator that can be saved: "
            + ", ".join(n.rpartition(".")[2] for n in _EXTRA_OF),
            got=type(component).__name__,
            fix="use one of these, or keep the fitted head in memory",
        )
    if name == _PIPELINE:
        return {
            "class": name,
            "params": {"steps": encode(list(component.steps), "steps")},
        }
    defaults = type(component)().get_params(deep=False)
    params = component.get_params(deep=False)
    changed = {
        key: encode(value, key)
        for key, value in params.items()
        if key not in defaults or not _equal(value, defaults[key])
    }
    return {"class": name, "params": changed}


def component_from_spec(spec: Mapping[str, Any]) -> Any:
    """Build the unfitted transformer or classifier that a spec describes.

    Raises
    ------
    IntegrityError
        If the class is not on the closed list, or does not take the parameters.

    Examples
    --------
    >>> component_from_spec({"class": "sklearn.decomposition.PCA", "params": {}})
    PCA()
    """
    name, params = spec.get("class"), spec.get("params")
    if not isinstance(name, str) or name not in _EXTRA_OF:
        raise _unreadable("one of " + ", ".join(_EXTRA_OF), f"class {str(name)[:60]!r}")
    if not isinstance(params, Mapping):
        raise _unreadable(f"'params' of {name}", type(params).__name__)
    decoded = {key: decode(value) for key, value in params.items()}
    if name == _PIPELINE:
        decoded = {"steps": list(decoded.get("steps", ()))}
    try:
        return _class_of(name)(**decoded)
    except TypeError as error:
        raise _unreadable(f"parameters of {name}", ", ".join(decoded)[:80]) from error


def encode(value: Any, name: str) -> Any:
    """Write a parameter as JSON; estimators become specs, tuples lists.

    Examples
    --------
    >>> encode({"sizes": (64, 32)}, "params")
    {'mapping': {'sizes': [64, 32]}}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [encode(part, name) for part in value]
    if hasattr(value, "get_params"):
        return component_spec(value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {_MAPPING: {key: encode(part, name) for key, part in value.items()}}
    raise invalid_input(
        expected=f"parameter '{name}' that is plain data (None, bool, int, finite "
        "float, str, a list or dict of these, or an estimator)",
        got=type(value).__name__ if not isinstance(value, float) else str(value),
        fix="give it as plain data, e.g. an integer seed for random_state",
    )


def decode(value: Any) -> Any:
    """Read what `encode` wrote; lists become tuples.

    Examples
    --------
    >>> decode({"mapping": {"sizes": [64, 32]}})
    {'sizes': (64, 32)}
    """
    if isinstance(value, list):
        return tuple(decode(part) for part in value)
    if isinstance(value, Mapping):
        if isinstance(value.get(_MAPPING), Mapping):
            return {key: decode(part) for key, part in value[_MAPPING].items()}
        return component_from_spec(value)
    return value


def _class_of(name: str) -> Any:
    module, _, cls = name.rpartition(".")
    return getattr(import_optional(module, extra=_EXTRA_OF[name]), cls)


def _equal(value: Any, default: Any) -> bool:
    both_nan = value != value and default != default
    return type(value) is type(default) and bool(value == default or both_nan)


def _unreadable(expected: str, got: str) -> IntegrityError:
    return IntegrityError.of(
        expected=expected,
        got=got,
        fix="check where the file comes from, or upgrade embrm",
    )
