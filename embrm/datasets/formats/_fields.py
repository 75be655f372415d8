"""Read the fields of a row: numbers, names, lists, labels, margins."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeGuard

from embrm.datasets.formats.base import Row, is_missing, lacking
from embrm.exceptions import DataError, NoPreferenceError

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_MISSING_WORDS = frozenset({"", "n/a", "na", "nan"})

_OWN = frozenset({"y", "margin", "weight"})
_RESERVED = frozenset({"first", "second", "source_row"})


def is_number(value: Any) -> TypeGuard[int | float]:
    """Say whether a field is a number (NaN is one, a boolean is not)."""
    return isinstance(value, Real) and not isinstance(value, bool)


def as_float(value: float) -> float:
    """Write a number as a float; an integer beyond all floats is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def says_missing(value: Any) -> bool:
    """Return whether a field is a text for a missing number, such as "N/A"."""
    return isinstance(value, str) and value.strip().lower() in _MISSING_WORDS


def in_short(value: Any) -> str:
    """Describe a field that is of the wrong kind, shortened."""
    if is_missing(value):
        return "none"
    shown = isinstance(value, str | int | float)
    try:
        return repr(value)[:30] if shown else type(value).__name__
    except ValueError:  # Python writes no integers of more than 4,300 digits.
        return type(value).__name__


def number(
    value: Any, what: str, *, low: float = -math.inf, high: float = math.inf
) -> float:
    """Read a number that is also written as text at times; NaN where missing.

    Parameters
    ----------
    value : object
        A number or a string; None, NaN, `""` and `"N/A"` are missing.
    what : str
        Name of the column, for the error.
    low, high : float
        Smallest and largest value allowed.

    Returns
    -------
    float
        Finite, in [low, high]; or NaN.

    Raises
    ------
    DataError
        If the value is no number, infinite, or out of range.

    Examples
    --------
    >>> number("4", "score", low=1, high=5), number("N/A", "score")
    (4.0, nan)
    """
    if is_missing(value) or says_missing(value):
        return math.nan
    try:
        read = float(value) if is_number(value) or isinstance(value, str) else math.nan
    except (ValueError, OverflowError):
        read = math.nan
    if not math.isfinite(read):
        raise DataError.of(
            expected=f"a finite number as {what}",
            got=in_short(value),
            fix=_fix_for(value, what),
            reason=f"{what} is not a number",
        )
    if not low <= read <= high:
        raise DataError.of(
            expected=f"{what} from {low:g} to {high:g}",
            got=f"{read:g}",
            fix="bring the values to that range",
            reason=f"{what} out of range",
        )
    return read


def _fix_for(value: Any, what: str) -> str:
    """Say what to do about a field that should hold a number."""
    if isinstance(value, bool) and what == "score":
        return "if true means a good response: columns={'label': 'score'}"
    if isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value.strip()):
        return (
            "write it with a point; pandas.read_csv(path, sep=';', decimal=',') reads "
            "such a file, and its frame can be passed"
        )
    return "write a number, or leave the field empty where it is unknown"


def whole_number(
    value: Any, what: str, *, low: float = -math.inf, high: float = math.inf
) -> int:
    """Read a whole number that must be there.

    Raises
    ------
    DataError
        If it is missing, not whole, or out of [low, high].
    """
    read = number(value, what, low=low, high=high)
    if math.isnan(read):
        raise lacking(
            f"a whole number as {what}",
            reason=f"missing {what}",
            fix="drop the row or fill it in",
        )
    if not read.is_integer():
        raise DataError.of(
            expected=f"a whole number as {what}",
            got=f"{read:g}",
            fix="round the values",
            reason=f"{what} is not whole",
        )
    return int(read)


def check_rated(ratings: Iterable[float]) -> None:
    """Refuse a row of which every rating is missing.

    Raises
    ------
    NoPreferenceError
        If all are NaN.
    """
    if all(math.isnan(rating) for rating in ratings):
        raise lacking(
            "a number as at least one rating",
            reason="no rating",
            fix="drop the row or fill it in",
        )


def name_of(value: Any, what: str) -> str:
    """Read an id or the name of a subset; numbers become text.

    Raises
    ------
    DataError
        If it is missing, empty, or a list.

    Examples
    --------
    >>> name_of("tied:3", "id"), name_of(7.0, "id")
    ('tied:3', '7')
    """
    # A frame holds whole numbers as floats where some are missing.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int) and str(value).strip():
        return str(value)
    blank = is_missing(value) or isinstance(value, str)
    raise DataError.of(
        expected=f"a name or number as {what}",
        got="none" if blank else f"a {type(value).__name__}",
        fix="fill it in: the benchmark is scored by it",
        reason=f"missing {what}" if blank else f"{what} is not a name",
    )


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Say whether a field is a list."""
    return isinstance(value, list | tuple)


def is_text_list(value: Any) -> bool:
    """Say whether a field is a list of texts (and not of messages)."""
    return is_list(value) and all(isinstance(text, str) for text in value)


def first_fields(value: Any) -> frozenset[str]:
    """List the fields of the first record, where a field is a list of records."""
    first = value[0] if is_list(value) and len(value) > 0 else None
    return frozenset(first) if isinstance(first, Mapping) else frozenset()


def list_of(value: Any, what: str, length: int | None = None) -> list[Any]:
    """Read a list; the caller checks its elements.

    Raises
    ------
    DataError
        If the field is no list, is empty, or is of the wrong length.
    """
    if is_list(value) and len(value) == (length or len(value)) > 0:
        return list(value)
    wrong = "has the wrong length" if is_list(value) else "is not a list"
    empty = is_missing(value) or (is_list(value) and len(value) == 0)
    error = NoPreferenceError if empty else DataError
    raise error.of(
        expected=f"a list of {length or 'one or more'} as {what}",
        got=f"a list of {len(value)}" if is_list(value) else type(value).__name__,
        fix="drop the row or fix the list",
        reason=f"{what} {wrong}",
    )


def record_of(value: Any, what: str) -> Mapping[str, Any]:
    """Read a record of named fields, such as a completion with its ratings.

    Raises
    ------
    DataError
        If it is anything else.
    """
    if isinstance(value, Mapping):
        return value
    raise DataError.of(
        expected=f"named fields as {what}",
        got="none" if is_missing(value) else type(value).__name__,
        fix="drop the row, or compare it with the dataset's own files",
        reason=f"{what} has no fields",
    )


def extras_of(row: Row, *texts: str, y: float | None = None) -> dict[str, Any]:
    """Read the columns of a pair row beside its `texts`, as columns of the pair.

    Parameters
    ----------
    row : mapping
    texts : str
        Names of the columns that the format reads itself.
    y : float, optional
        The label, where the format knows it; a column of that name is not read then.

    Returns
    -------
    dict
        `y`, the probability that chosen is preferred: 1 where the row has none. Then
        `margin` and `weight` where the row has them, and whatever other columns hold
        one string or number. What the pair table names itself is carried under another
        name: `source_row` becomes `source_source_row`.

    Raises
    ------
    DataError
        If `y` is there and missing, or not in [0, 1]; if a margin or weight is negative
        or infinite.

    Examples
    --------
    >>> row = {"chosen": "4", "rejected": "5", "y": "0.5", "margin": None, "votes": 8}
    >>> extras_of(row, "chosen", "rejected")
    {'y': 0.5, 'votes': 8}
    """
    read = {"y": pair_label(row) if y is None else y}
    for name in ("margin", "weight"):
        value = _not_negative(row[name], name) if name in row else math.nan
        if not math.isnan(value):
            read[name] = value
    return read | _carried(row, _OWN.union(texts))


def needs_a_look(columns: Iterable[str]) -> bool:
    """Say whether columns beside the texts say more of a pair than they carry."""
    return bool((_OWN | _RESERVED | {"tools"}).intersection(columns))


def texts_among(row: Row, *columns: str) -> dict[str, str]:
    """Carry those columns that hold text in this row."""
    return {name: row[name] for name in columns if isinstance(row.get(name), str)}


def pair_label(row: Row) -> float:
    """Read `y`; without one, chosen is preferred for certain.

    Raises
    ------
    DataError
        If it is missing or not in [0, 1].
    """
    value = row.get("y", 1.0)
    y = float(value) if isinstance(value, bool) else number(value, "y")
    if 0 <= y <= 1:
        return y
    missing = math.isnan(y)
    error = NoPreferenceError if missing else DataError
    raise error.of(
        expected="a label y in [0, 1]: 1 if chosen is preferred, 0.5 for a tie",
        got="none" if missing else f"{y:g}",
        fix="drop the row or fill it in"
        if missing
        else "map the labels, e.g. -1/+1 by (y + 1) / 2",
        reason="missing y" if missing else "y out of range",
    )


def _not_negative(value: Any, what: str) -> float:
    """Read a margin or a weight; NaN where there is none."""
    read = number(value, what)
    if read < 0:
        raise DataError.of(
            expected=f"{what} >= 0",
            got=f"{read:g}",
            fix="swap chosen and rejected and drop the sign"
            if what == "margin"
            else "drop the row, or write the weight it should have",
            reason=f"{what} out of range",
        )
    return read


def _carried(row: Row, used: frozenset[str]) -> dict[str, str | int | float | bool]:
    return {
        f"source_{name}" if name in _RESERVED else name: value
        for name, value in row.items()
        if name not in used
        and isinstance(value, str | int | float)
        and not is_missing(value)
    }


def common_prefix_length(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Count the leading entries that `a` and `b` share.

    Examples
    --------
    >>> common_prefix_length("The sky is blue.", "The sky is green.")
    11
    """
    low, high = 0, min(len(a), len(b))
    # Bisection compares slices, which is quicker than going letter by letter.
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
