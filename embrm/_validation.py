"""The one place where arrays from outside are checked.

Below this line the maths is branch-free: arrays have the right shape, dtype and
range, or an `InvalidInputError` has already said what was expected, what was got and
what to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, BoolArray, FloatArray, IntArray, RandomState
from embrm.exceptions import invalid_input


def check_items(
    items: Any, *, n_features: int | None = None, finite: bool = True
) -> FloatArray:
    """Check an item matrix.

    Parameters
    ----------
    items : array-like of shape (n_items, d)
        float16, float32 or float64; integers and lists are converted to float64.
        Memory maps stay memory maps.
    n_features : int, optional
        The d that is required.
    finite : bool, default=True
        Whether NaN and infinity are refused. Off for a large memory map that will be
        checked where it is used.

    Returns
    -------
    ndarray of shape (n_items, d), not copied when already floating point.
    """
    if isinstance(items, str | bytes) or not hasattr(items, "__len__"):
        raise invalid_input(
            "items of shape (n_items, d)", type(items).__name__, _TO_ITEMS
        )
    try:
        array = items if isinstance(items, np.ndarray) else np.asarray(items)
    except ValueError as error:
        raise invalid_input(
            "items of shape (n_items, d)", "ragged rows", _TO_ITEMS
        ) from error
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise invalid_input(
            "items of dtype float16, float32 or float64", str(array.dtype), _TO_ITEMS
        )
    if array.ndim != 2:
        raise invalid_input(
            "items of shape (n_items, d)", f"shape {array.shape}", _TO_ITEMS
        )
    if array.shape[1] == 0:
        raise invalid_input("items with at least one column", "d = 0", _TO_ITEMS)
    if n_features is not None and array.shape[1] != n_features:
        raise invalid_input(
            f"items with d = {n_features}, as in fit",
            f"d = {array.shape[1]}",
            "embed these items with the encoder that embedded the training items",
        )
    if finite:
        _check_finite(array, "items", "re-embed or drop the items that are not finite")
    return array


def widened(items: FloatArray) -> FloatArray:
    """Widen float16: its 10 bits are fine to store, too coarse to compute with.

    Examples
    --------
    >>> widened(np.ones((1, 1), dtype=np.float16)).dtype
    dtype('float32')
    """
    return items.astype(np.float32) if items.dtype == np.float16 else np.asarray(items)


def check_pair_ids(ids: Any, *, n_items: int) -> IntArray:
    """Check pair ids: integers of shape (n_pairs, 2) in [0, n_items)."""
    array = np.asarray(ids)
    if array.size == 0 and array.ndim <= 2 and array.dtype.kind == "f":
        array = np.empty((0, 2), dtype=np.intp)
    if array.ndim != 2 or array.shape[1] != 2:
        raise invalid_input(
            "ids of shape (n_pairs, 2)",
            f"shape {array.shape}",
            "pass two columns of item rows: first and second",
        )
    if array.dtype.kind not in "iu":
        raise invalid_input(
            "integer ids", f"dtype {array.dtype}", "convert them with .astype(int)"
        )
    bad = (array < 0) | (array >= n_items)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise invalid_input(
            f"ids in [0, {n_items}), the rows of items",
            f"{int(array[row, column])} at pair {row}",
            "index into the items you pass; negative ids are not counted from the end",
        )
    return array


def check_prompt_ids(prompt_ids: Any, *, n_items: int) -> AnyArray:
    """Check prompt ids: one per item, integers or strings, none missing."""
    array = np.asarray(prompt_ids)
    if array.shape != (n_items,):
        raise invalid_input(
            f"prompt_ids of shape ({n_items},), one per item",
            f"shape {array.shape}",
            "say for each row of items which prompt it answers",
        )
    missing = find_missing(array)
    if missing.any():
        raise invalid_input(
            "a prompt id for every item",
            f"a missing id at item {int(np.argmax(missing))}",
            "give unknown prompts an id of their own",
        )
    return array


def find_missing(array: AnyArray) -> BoolArray:
    """Mark None, NaN and pandas' NA in an array of any shape."""
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind != "O":
        return np.zeros(array.shape, dtype=bool)
    # NaN and pandas' NA are the values of which v == v is not True.
    missing = [v is None or (v == v) is not True for v in array.ravel()]
    return np.array(missing, dtype=bool).reshape(array.shape)


def check_labels(y: ArrayLike | None, *, n_pairs: int) -> FloatArray:
    """Check labels; None means that first is always the preferred one.

    Returns
    -------
    ndarray of shape (n_pairs,), float64 in [0, 1]
        Probability that first is preferred; 0.5 is a tie.
    """
    if y is None:
        return np.ones(n_pairs)
    labels = _check_per_unit(y, "y", n_pairs)
    bad = (labels < 0) | (labels > 1)
    if bad.any():
        at = int(np.argmax(bad))
        raise invalid_input(
            "labels y in [0, 1]: 1 if first is preferred, 0 if second, 0.5 for a tie",
            f"{labels[at]:g} at pair {at}",
            "map the labels, e.g. -1/+1 by (y + 1) / 2",
        )
    return labels


def check_sample_weight(
    weight: ArrayLike | None, *, n_pairs: int, unit: str = "pair"
) -> FloatArray:
    """Check weights: one per pair (or other unit), >= 0, not all 0; None is all 1."""
    if weight is None:
        return np.ones(n_pairs)
    weights = _check_per_unit(weight, "sample_weight", n_pairs, unit)
    _check_not_negative(weights, "sample_weight", unit)
    if n_pairs and not weights.any():
        raise invalid_input(
            "at least one positive sample_weight",
            "all zero",
            f"drop sample_weight, or give weight to some {unit}s",
        )
    return weights


def check_margin(margin: ArrayLike | None, *, n_pairs: int) -> FloatArray:
    """Check margins: one per pair, >= 0, in nats; None means all zero."""
    if margin is None:
        return np.zeros(n_pairs)
    margins = _check_per_unit(margin, "margin", n_pairs)
    _check_not_negative(margins, "margin")
    return margins


def as_numbers(values: ArrayLike, name: str) -> FloatArray:
    """Take an array of numbers, of any shape, as a float64 copy."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise invalid_input(f"numeric {name}", "ragged rows", _TO_NUMBERS) from error
    if array.dtype.kind not in "iubf":
        raise invalid_input(f"numeric {name}", f"dtype {array.dtype}", _TO_NUMBERS)
    return array.astype(np.float64)


def check_deltas(delta: ArrayLike) -> FloatArray:
    """Take finite differences of gold, of any shape, as float64."""
    array = as_numbers(delta, "deltas")
    if not np.isfinite(array).all():
        raise invalid_input(
            "finite deltas",
            f"{int((~np.isfinite(array)).sum())} that are not",
            "drop the pairs whose gold is unknown",
        )
    return array


def check_number(value: Any, name: str) -> float:
    """Check a parameter that is any finite number."""
    if not Real(-np.inf, closed="neither").accepts(value):
        raise invalid_input(f"a finite {name}", shown(value), "pass a number")
    return float(value)


def check_positive(value: Any, name: str, *, zero: bool = False) -> float:
    """Check a parameter that is a finite number > 0, or >= 0 with `zero`."""
    sign = ">= 0" if zero else "> 0"
    if not Real(closed="left" if zero else "neither").accepts(value):
        raise invalid_input(
            f"a finite {name} {sign}", shown(value), "pass a positive number"
        )
    return float(value)


def check_share(value: Any, name: str, *, high: float = 1.0) -> float:
    """Check a parameter that is a number in [0, high]."""
    if not Real(0, high, closed="both").accepts(value):
        raise invalid_input(
            f"{name} in [0, {high:g}]",
            shown(value),
            "pass a share, e.g. 0.1 for one in ten",
        )
    return float(value)


def check_inner_share(value: Any, name: str, example: str) -> float:
    """Check a parameter that is a number in (0, 1), both ends left out."""
    if not Real(0, 1, closed="neither").accepts(value):
        raise invalid_input(f"{name} in (0, 1)", shown(value), f"pass {example}")
    return float(value)


def check_level(value: Any) -> float:
    """Check a confidence level: a number in (0, 1)."""
    return check_inner_share(value, "level", "0.95 for 95% intervals")


def check_count(value: Any, name: str, low: int = 1) -> int:
    """Check a parameter that is an integer >= low."""
    if not Integer(low).accepts(value):
        raise invalid_input(
            f"an integer {name} >= {low}", shown(value), f"pass e.g. {low}"
        )
    return int(value)


def check_choice(value: Any, name: str, choices: Sequence[str]) -> None:
    """Check a parameter that is one of a few names."""
    if not isinstance(value, str) or value not in choices:
        raise invalid_input(
            f"{name} one of {', '.join(choices)}", shown(value), "choose one of these"
        )


def shown(value: Any) -> str:
    """Write a parameter into an error message; an array only by its shape."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return repr(value)[:60]


def type_name(value: Any) -> str:
    """Name the type of a value; a class, which lacks its parentheses, as such.

    Examples
    --------
    >>> type_name(dict), type_name({})
    ('the class dict', 'dict')
    """
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return type(value).__name__


def check_random_state(random_state: RandomState) -> np.random.Generator:
    """Turn a seed, a generator or a legacy RandomState into one Generator.

    Examples
    --------
    >>> bool(check_random_state(0).integers(10) == check_random_state(0).integers(10))
    True
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    is_seed = isinstance(random_state, int | np.integer) and random_state >= 0
    if random_state is None or is_seed:
        return np.random.default_rng(random_state)
    raise invalid_input(
        "random_state that is None, an int >= 0 or a numpy Generator",
        shown(random_state),
        "pass an integer seed",
    )


@dataclass(frozen=True)
class Real:
    """Constraint of a parameter: a real number in an interval.

    Parameters
    ----------
    low, high : float
    closed : {"left", "right", "both", "neither"}, default="left"
        Which bounds belong to the interval.
    """

    low: float = 0.0
    high: float = np.inf
    closed: Literal["left", "right", "both", "neither"] = "left"

    def accepts(self, value: Any) -> bool:
        """Say whether a value is such a number; True and False are none."""
        is_real = isinstance(value, int | float | np.integer | np.floating)
        if not is_real or isinstance(value, bool):
            return False
        above = self.low < value or (value == self.low and self._has_low)
        return bool(
            above and (value < self.high or (value == self.high and self._has_high))
        )

    def __str__(self) -> str:
        if self.high == np.inf:
            kind = "number" if self._has_high else "finite number"
            return f"a {kind} {'>=' if self._has_low else '>'} {self.low:g}"
        left, right = "(["[self._has_low], ")]"[self._has_high]
        return f"a number in {left}{self.low:g}, {self.high:g}{right}"

    @property
    def _has_low(self) -> bool:
        return self.closed in ("left", "both")

    @property
    def _has_high(self) -> bool:
        return self.closed in ("right", "both")


@dataclass(frozen=True)
class Integer:
    """Constraint of a parameter: an integer in [low, high]."""

    low: int = 0
    high: float = np.inf

    def accepts(self, value: Any) -> bool:
        """Say whether a value is such an integer; True and False are none."""
        is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return bool(is_integer and self.low <= value <= self.high)

    def __str__(self) -> str:
        if self.high == np.inf:
            return f"an integer >= {self.low}"
        return f"an integer in [{self.low}, {self.high}]"


Constraint: TypeAlias = Real | Integer | str | type | None
"""A number, an exact name, a type, or None; `bool` takes numpy's booleans, too."""

Constraints: TypeAlias = Mapping[str, Sequence[Constraint]]
"""What each parameter may be: one of the listed constraints."""


def check_parameters(params: Mapping[str, Any], constraints: Constraints) -> None:
    """Check the constructor parameters of an estimator, which is done in `fit`.

    Parameters
    ----------
    params : mapping of str to value
        As `get_params(deep=False)` returns them.
    constraints : mapping of str to sequence of Constraint
        Parameters that are not in it are not checked.

    Raises
    ------
    InvalidInputError
        If a parameter is none of what its constraints list.

    Examples
    --------
    >>> constraints = {"alpha": [Real(0), "auto"], "refit": [bool]}
    >>> check_parameters({"alpha": "auto", "refit": True}, constraints)
    """
    for name, allowed in constraints.items():
        value = params[name]
        if not any(_accepts(constraint, value) for constraint in allowed):
            *others, last = [part for one in allowed for part in _describe(one)]
            known = f"{', '.join(others)} or {last}" if others else last
            raise invalid_input(
                f"{name}: {known}",
                repr(value)[:40],
                f"set_params({name}=...), or leave {name} at its default",
            )


def unless_auto(value: Any) -> float | None:
    """Return a checked parameter as a number, None for "auto".

    Examples
    --------
    >>> unless_auto("auto"), unless_auto(2)
    (None, 2.0)
    """
    return None if isinstance(value, str) else float(value)


def _accepts(constraint: Constraint, value: Any) -> bool:
    if isinstance(constraint, Real | Integer):
        return constraint.accepts(value)
    if constraint is None:
        return value is None
    if isinstance(constraint, str):
        return isinstance(value, str) and value == constraint
    if constraint is bool:
        return isinstance(value, bool | np.bool_)
    return isinstance(value, constraint)


def _describe(constraint: Constraint) -> list[str]:
    if isinstance(constraint, Real | Integer):
        return [str(constraint)]
    if isinstance(constraint, type):
        is_switch = constraint is bool
        return ["True", "False"] if is_switch else [f"a {constraint.__name__}"]
    return [repr(constraint)]


_TO_ITEMS = "pass a numeric matrix with one row per item"


def _check_per_unit(
    values: ArrayLike, name: str, n: int, unit: str = "pair"
) -> FloatArray:
    raw = np.asarray(values)
    if raw.dtype.kind not in "iubf":
        raise invalid_input(
            f"numeric {name}",
            f"dtype {raw.dtype}",
            "convert it to numbers; labels are 1 where first is preferred, else 0",
        )
    array = raw.astype(np.float64)
    if array.shape != (n,):
        raise invalid_input(
            f"{name} of shape ({n},), one per {unit}",
            f"shape {array.shape}",
            f"pass one value per {unit}",
        )
    _check_finite(array, name, f"drop or fill the {unit}s whose {name} is missing")
    return array


def _check_not_negative(values: FloatArray, name: str, unit: str = "pair") -> None:
    bad: BoolArray = values < 0
    if bad.any():
        at = int(np.argmax(bad))
        raise invalid_input(
            f"{name} >= 0",
            f"{values[at]:g} at {unit} {at}",
            "swap the pair (or use y = 0) instead of a negative value"
            if unit == "pair"
            else f"give an unwanted {unit} weight 0",
        )


def _check_finite(array: FloatArray, name: str, fix: str) -> None:
    # A sum is finite unless some entry is not (or it overflows): one cheap pass.
    with np.errstate(over="ignore", invalid="ignore"):
        # Wider sums are several times slower; float16 alone overflows easily.
        total = array.sum(dtype=np.float64 if array.dtype == np.float16 else None)
    if np.isfinite(total):
        return
    bad = ~np.isfinite(array)
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise invalid_input(
            f"finite {name}", f"{array[at]} at index {at if at[1:] else at[0]}", fix
        )


_TO_NUMBERS = "convert it to numbers"
