"""What a pair row may hold beside its texts: label, margin, weight, other columns."""

import math
from typing import Any

from embrm.datasets.formats.base import Row, is_missing, refusal
from embrm.datasets.formats.fields import number
from embrm.exceptions import DataError, NoPreferenceError

_OWN = frozenset({"y", "margin", "weight"})
_RESERVED = frozenset({"first", "second", "source_row"})


def extras_of(row: Row, *texts: str) -> dict[str, Any]:
    """Read the columns of a pair row beside its `texts`, as columns of the pair.

    Parameters
    ----------
    row : mapping
    texts : str
        Names of the columns that the format reads itself.

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
    read = {"y": _label(row)}
    for name in ("margin", "weight"):
        value = _not_negative(row[name], name) if name in row else math.nan
        if not math.isnan(value):
            read[name] = value
    return read | _carried(row, _OWN.union(texts))


def texts_among(row: Row, *columns: str) -> dict[str, str]:
    """Carry those columns that hold text in this row."""
    return {name: row[name] for name in columns if isinstance(row.get(name), str)}


def _label(row: Row) -> float:
    """Read `y`; without one, chosen is preferred for certain."""
    value = row.get("y", 1.0)
    y = float(value) if isinstance(value, bool) else number(value, "y")
    if 0 <= y <= 1:
        return y
    missing = math.isnan(y)
    raise refusal(
        expected="a label y in [0, 1]: 1 if chosen is preferred, 0.5 for a tie",
        got="none" if missing else f"{y:g}",
        cure="drop the row or fill it in"
        if missing
        else "map the labels, e.g. -1/+1 by (y + 1) / 2",
        reason="missing y" if missing else "y out of range",
        kind=NoPreferenceError if missing else DataError,
    )


def _not_negative(value: Any, what: str) -> float:
    """Read a margin or a weight; NaN where there is none."""
    read = number(value, what)
    if read < 0:
        raise refusal(
            expected=f"{what} >= 0",
            got=f"{read:g}",
            cure="swap chosen and rejected and drop the sign"
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
