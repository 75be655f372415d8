"""A canonical form of parameters, so that equal parameters have equal digests."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from embrm._typing import AnyArray
from embrm.exceptions import invalid_input


def canonical(value: Any, name: str) -> Any:
    """Write a parameter as JSON that is equal exactly where the parameter is.

    Parameters
    ----------
    value : object
        Plain data, arrays (of which the digest is kept), dataclasses such as designs
        and annotators, scikit-learn estimators such as heads, and lists, tuples and
        dicts of these.
    name : str
        What it is, for the error.

    Returns
    -------
    None, bool, int, float, str, list or dict

    Raises
    ------
    InvalidInputError
        If it is anything else: changes to it could not be detected.

    Examples
    --------
    >>> from embrm.simulate import SamePrompt
    >>> canonical(SamePrompt(), "design")
    {'class': 'embrm.simulate.pairing.SamePrompt', 'fields': {'replacement': False}}
    """
    if isinstance(value, np.generic) or (
        isinstance(value, np.ndarray) and value.ndim == 0
    ):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list | tuple):
        return [canonical(part, f"{name}[{n}]") for n, part in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        parts = {key: canonical(value[key], f"{name}[{key!r}]") for key in value}
        return {"mapping": parts}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufSU":
        return {"array": array_digest(value)}
    return _canonical_object(value, name)


def digest_of(value: Any) -> str:
    """Digest of canonical JSON: 32 hexadecimal digits, the same in every process.

    Examples
    --------
    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    True
    """
    return hashlib.blake2b(canonical_bytes(value), digest_size=16).hexdigest()


def canonical_bytes(value: Any) -> bytes:
    """Write canonical JSON: sorted keys, no spaces, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def array_digest(array: AnyArray) -> str:
    """Digest of the dtype, shape and content of an array, whatever its strides.

    Examples
    --------
    >>> columns = np.eye(2)[:, ::-1]
    >>> array_digest(columns) == array_digest(np.array([[0.0, 1.0], [1.0, 0.0]]))
    True
    """
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(canonical_bytes([array.dtype.str, list(array.shape)]))
    for start in range(0, len(array), step := rows_at_a_time(array)):
        hasher.update(np.ascontiguousarray(array[start : start + step]).data)
    return hasher.hexdigest()


def rows_at_a_time(array: AnyArray) -> int:
    """How many rows of an array are about 16 MB."""
    row = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:])))
    return max(1, _BLOCK_BYTES // row)


def _canonical_object(value: Any, name: str) -> dict[str, Any]:
    """Write a dataclass or an estimator by its class and parameters."""
    cls = type(value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        kind = "fields"
    elif hasattr(value, "get_params") and not isinstance(value, type):
        parts = value.get_params(deep=False)
        kind = "params"
    else:
        raise invalid_input(
            f"a {name} that can be written down: plain data, arrays, dataclasses and "
            "estimators of these",
            f"a {cls.__name__}",
            "replace it by plain data (an integer for random_state), a function by a "
            "dataclass with __call__ whose fields are its parameters",
        )
    return {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        kind: {key: canonical(part, f"{name}.{key}") for key, part in parts.items()},
    }


_BLOCK_BYTES = 1 << 24
