"""Ratings: one rated response in each row; and how numbers and prompts are read.

Every numeric column is a rating, except those that number rows (`id`, `index`,
`..._id`). Text and boolean columns (`category`, `source`, `model`, ...) go along as
columns of the item. What the items table already names itself is carried under
another name: `prompt_id` becomes `source_prompt_id`.

`prompt_of`, `number` and `whole_number` are the readers of single fields that the
other formats use too.

Examples
--------
>>> from embrm.datasets.formats.base import RowReader
>>> reader = RowReader()
>>> row = {"prompt": "2 + 2?", "response": "4", "score": 5, "source": "sums"}
>>> FORMATS[0].read(row, reader)
>>> reader.items[0]["score"], reader.items[0]["source"]
(5.0, 'sums')
"""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import pandas as pd

from embrm._typing import Prompt
from embrm.datasets.formats.base import Format, Row, RowReader, refusal
from embrm.exceptions import (
    DataError,
    InvalidInputError,
    NoPreferenceError,
)
from embrm.messages import as_messages

HELPSTEER_ATTRIBUTES = (
    "helpfulness",
    "correctness",
    "coherence",
    "complexity",
    "verbosity",
)

_RESERVED = frozenset({"key", "prompt_id", "source_row"})
_MISSING_WORDS = frozenset({"", "n/a", "na", "nan"})


def is_missing(value: Any) -> bool:
    """Say whether a field is None, NaN, NA or NaT."""
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def is_number(value: Any) -> bool:
    """Say whether a field is a number (NaN is one, a boolean is not)."""
    return isinstance(value, Real) and not isinstance(value, bool)


def prompt_of(row: Row, column: str = "prompt") -> Prompt:
    """Read a prompt: text, or a list of messages.

    Raises
    ------
    DataError
        If it is missing, empty, or neither.
    """
    value: Any = row[column]
    if is_missing(value):
        raise refusal(
            expected=f"text or messages as {column}",
            got="none",
            cure="drop the row or fill it in",
            reason=f"missing {column}",
            kind=NoPreferenceError,
        )
    try:
        messages = as_messages(value)
    except InvalidInputError as error:
        raise DataError(str(error), reason=f"{column} is not text") from error
    if not any(message["content"].strip() for message in messages):
        raise refusal(
            expected=f"text or messages as {column}",
            got="nothing but white space",
            cure="drop the row or fill it in",
            reason=f"empty {column}",
            kind=NoPreferenceError,
        )
    return value if isinstance(value, str) else list(messages)


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
    """
    if is_missing(value) or _says_missing(value):
        return math.nan
    try:
        read = float(value) if is_number(value) or isinstance(value, str) else None
    except (ValueError, OverflowError):
        read = None
    if read is None or not math.isfinite(read):
        raise refusal(
            expected=f"a finite number as {what}",
            got=_in_short(value),
            cure="write a number, or leave the field empty where it is unknown",
            reason=f"{what} is not a number",
        )
    if not low <= read <= high:
        raise refusal(
            expected=f"{what} from {low:g} to {high:g}",
            got=f"{read:g}",
            cure="bring the values to that range, or read the rows as 'ratings'",
            reason=f"{what} out of range",
        )
    return read


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
        raise refusal(
            expected=f"a whole number as {what}",
            got="none",
            cure="drop the row or fill it in",
            reason=f"missing {what}",
            kind=NoPreferenceError,
        )
    if read != int(read):
        raise refusal(
            expected=f"a whole number as {what}",
            got=f"{read:g}",
            cure="round the values, or read the rows as 'ratings'",
            reason=f"{what} is not whole",
        )
    return int(read)


def _says_missing(value: Any) -> bool:
    """Say whether a field is a word for a missing number."""
    return isinstance(value, str) and value.strip().lower() in _MISSING_WORDS


def _in_short(value: Any) -> str:
    """Show a field that should have been a number, never at length."""
    shown = isinstance(value, str | float | bool)
    return repr(value)[:30] if shown else type(value).__name__


def _is_rating(column: str, value: Any) -> bool:
    """Say whether a column rates the response, rather than describes it."""
    if column == "score":
        return True
    if column in {"id", "index"} or column.endswith("_id") or column in _RESERVED:
        return False
    return is_number(value) or (_says_missing(value) and value != "")


def _attributes(row: Row) -> tuple[dict[str, float], dict[str, Any]]:
    """Split the columns besides prompt and response into ratings and the rest."""
    ratings: dict[str, float] = {}
    others: dict[str, Any] = {}
    for column, value in _columns(row).items():
        if _is_rating(column, value):
            ratings[column] = number(value, column)
        elif isinstance(value, str | bool) or (
            is_number(value) and not is_missing(value)
        ):
            # Ids stay exact as text; a column of numbers would become float.
            kept = value if isinstance(value, bool) else str(value)
            others[f"source_{column}" if column in _RESERVED else column] = kept
    return ratings, others


def _columns(row: Row) -> Mapping[str, Any]:
    return {
        str(column): value
        for column, value in row.items()
        if column not in ("prompt", "response")
    }


def _detect(row: Row) -> bool:
    if not {"prompt", "response"} <= row.keys():
        return False
    if row.keys() >= set(HELPSTEER_ATTRIBUTES):
        return False
    rated = any(_is_rating(name, value) for name, value in _columns(row).items())
    return "score" in row or (rated and "label" not in row)


def _read(row: Row, reader: RowReader) -> None:
    prompt = prompt_of(row)
    ratings, others = _attributes(row)
    if all(math.isnan(rating) for rating in ratings.values()):
        raise refusal(
            expected="a score, or another numeric column",
            got="none in this row",
            cure="drop the row or fill in a rating",
            reason="no rating",
            kind=NoPreferenceError,
        )
    reader.item(prompt, row["response"], **ratings, **others)


FORMATS = (
    Format(
        name="ratings",
        columns="prompt, response, score (or any numeric columns)",
        detect=_detect,
        read=_read,
    ),
)
