"""Checks of constructor parameters, which scikit-learn requires to be in `fit`."""

from typing import Any

import numpy as np

from embrm.exceptions import InvalidInputError, format_error


def check_real(
    value: Any, name: str, low: float, high: float = np.inf, *, open_at_low: bool
) -> float:
    """Check a real parameter in [low, high), or in (low, high) if `open_at_low`.

    Examples
    --------
    >>> check_real(1, "alpha", 0.0, open_at_low=True)
    1.0
    """
    is_real = isinstance(value, int | float | np.integer | np.floating)
    if is_real and not isinstance(value, bool):
        number = float(value)
        if low <= number < high and not (open_at_low and number == low):
            return number
    below = "<" if open_at_low else "<="
    above = "" if high == np.inf else f" < {high:g}"
    raise _wrong(f"{name}: a finite number, {low:g} {below} {name}{above}", value, name)


def check_count(value: Any, name: str, low: int) -> int:
    """Check an integer parameter >= low.

    Examples
    --------
    >>> check_count(3, "patience", 1)
    3
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        number = int(value)
        if number >= low:
            return number
    raise _wrong(f"{name}: an integer >= {low}", value, name)


def check_number_or(value: Any, name: str, word: str, high: float) -> float | None:
    """Return a number in [0, high), or None for the word.

    Examples
    --------
    >>> check_number_or(2, "alpha", "auto", np.inf)
    2.0
    """
    if isinstance(value, str) and value == word:
        return None
    if not isinstance(value, str):
        return check_real(value, name, 0.0, high, open_at_low=False)
    raise _wrong(f"{name} that is '{word}' or a finite number >= 0", value, name)


def _wrong(expected: str, value: Any, name: str) -> InvalidInputError:
    return InvalidInputError(
        format_error(
            expected=expected,
            got=repr(value)[:40],
            fix=f"set_params({name}=...), or leave {name} at its default",
        )
    )
