"""Cells of a pair row: labels, margins and weights, and columns carried along."""

import math
from collections.abc import Collection

from embrm.datasets.formats.base import Row, refusal
from embrm.datasets.formats.ratings import number

_RESERVED = frozenset({"first", "second", "y", "source_row"})


def label_of(row: Row) -> float:
    """Read `y`, the probability that chosen is preferred: 1 where there is no `y`.

    Raises
    ------
    DataError
        If a row has a `y` that is missing, not a number, or not in [0, 1].

    Examples
    --------
    >>> label_of({"prompt": "Hi", "y": "0.5"})
    0.5
    """
    if "y" not in row:
        return 1.0
    y = number(row["y"], "y")
    if not 0 <= y <= 1:
        raise refusal(
            expected="a label y in [0, 1]: 1 if chosen is preferred, 0.5 for a tie",
            got=f"{y:g}",
            cure="map the labels, e.g. -1/+1 by (y + 1) / 2, and drop missing ones",
            reason="y out of range",
        )
    return y


def margin_and_weight(row: Row) -> dict[str, float]:
    """Read `margin` and `weight` where a row has them.

    Raises
    ------
    DataError
        If one is not a number, infinite, or negative.
    """
    read = {
        name: number(row[name], name) for name in ("margin", "weight") if name in row
    }
    for name, value in read.items():
        if value < 0:
            raise refusal(
                expected=f"{name} >= 0",
                got=f"{value:g}",
                cure="swap chosen and rejected and drop the sign",
                reason=f"{name} out of range",
            )
    return {name: value for name, value in read.items() if not math.isnan(value)}


def carried(row: Row, used: Collection[str]) -> dict[str, str | int | float | bool]:
    """Return the columns beyond those `used` that hold one string or number.

    What the pair table names itself is carried under another name: `source_row`
    becomes `source_source_row`.
    """
    return {
        f"source_{name}" if name in _RESERVED else name: value
        for name, value in row.items()
        if name not in used and isinstance(value, str | int | float)
    }
