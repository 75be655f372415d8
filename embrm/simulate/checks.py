"""Checks of the parameters of annotators and pairing designs."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.pool import CandidatePool


def wrong(expected: str, got: str, cure: str) -> InvalidInputError:
    """Make the three-part error of this room."""
    return InvalidInputError(three_parts(expected=expected, got=got, cure=cure))


def check_positive(value: Any, name: str, *, zero: bool = False) -> None:
    """Refuse what is not a finite number > 0 (or >= 0, where zero is allowed)."""
    sign = ">= 0" if zero else "> 0"
    if not _is_number(value) or value < 0 or (value == 0 and not zero):
        raise wrong(f"a finite {name} {sign}", _short(value), "pass a positive number")


def check_finite(value: Any, name: str) -> None:
    """Refuse what is not a finite number."""
    if not _is_number(value):
        raise wrong(f"a finite {name}", _short(value), "pass a number")


def check_share(value: Any, name: str, *, high: float = 1.0) -> None:
    """Refuse what is not a number in [0, high]."""
    if not _is_number(value) or not 0 <= value <= high:
        raise wrong(
            f"{name} in [0, {high:g}]",
            _short(value),
            "pass a share, e.g. 0.1 for one in ten",
        )


def check_count(value: Any, name: str, low: int = 1) -> int:
    """Take an integer >= low."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low:
        raise wrong(
            f"an integer {name} >= {low}", _short(value), "pass a larger integer"
        )
    return int(value)


def check_delta(delta: ArrayLike) -> FloatArray:
    """Take finite differences as float64."""
    array = np.asarray(delta, dtype=np.float64)
    if not np.isfinite(array).all():
        raise wrong(
            "finite deltas",
            f"{int((~np.isfinite(array)).sum())} that are not",
            "drop the pairs whose gold is unknown",
        )
    return array


def kind_of(value: Any) -> str:
    """Name the type of a value that should have been an annotator or a design."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return type(value).__name__


def require_gold(pool: CandidatePool, what: str) -> FloatArray:
    """Take the gold of a pool, for something that cannot do without it."""
    if pool.gold is None:
        raise wrong(
            f"a pool with gold scores, which {what} needs",
            "a pool without",
            "pass gold=..., one score per item, to CandidatePool",
        )
    return pool.gold


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float | np.integer | np.floating)
    return number and not isinstance(value, bool) and bool(np.isfinite(value))


def _short(value: Any) -> str:
    """Write a parameter into an error message; an array only by its shape."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return repr(value)[:60]
