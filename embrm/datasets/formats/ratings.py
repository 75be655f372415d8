"""Ratings: one rated response in each row.

Every numeric column is a rating, except those that number rows (`id`, `index`,
`..._id`). Text and boolean columns (`category`, `source`, `model`, ...) go along as
columns of the item. What the items table already names itself is carried under
another name: `prompt_id` becomes `source_prompt_id`.

Examples
--------
>>> from embrm.datasets.formats.base import RowReader
>>> reader = RowReader()
>>> row = {"prompt": "2 + 2?", "response": "4", "score": 5, "source": "sums"}
>>> FORMATS[0].read(row, reader)
>>> reader.items[0]["score"], reader.items[0]["source"]
(5.0, 'sums')
"""

from collections.abc import Mapping
from typing import Any

from embrm.datasets.formats.base import Format, Row, RowReader, is_missing
from embrm.datasets.formats.fields import check_rated, is_number, number, says_missing
from embrm.datasets.formats.helpsteer import ATTRIBUTES

_RESERVED = frozenset({"key", "prompt_id", "source_row"})


def _is_rating(column: str, value: Any) -> bool:
    """Say whether a column rates the response, rather than describes it."""
    if column == "score":
        return True
    if column in {"id", "index"} or column.endswith("_id") or column in _RESERVED:
        return False
    return is_number(value) or (says_missing(value) and value != "")


def _attributes(row: Row) -> tuple[dict[str, float], dict[str, Any]]:
    """Split the columns besides prompt and response into ratings and the rest."""
    ratings: dict[str, float] = {}
    others: dict[str, Any] = {}
    for column, value in _columns(row).items():
        if _is_rating(column, value):
            ratings[column] = number(value, column[:40])
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
    if row.keys() >= set(ATTRIBUTES):
        return False
    rated = any(_is_rating(name, value) for name, value in _columns(row).items())
    return "score" in row or (rated and "label" not in row)


def _read(row: Row, reader: RowReader) -> None:
    prompt, response = row["prompt"], row["response"]
    ratings, others = _attributes(row)
    check_rated(ratings.values())
    reader.item(prompt, response, **ratings, **others)


FORMATS = (
    Format(
        name="ratings",
        columns="prompt, response, score (or any numeric columns)",
        detect=_detect,
        read=_read,
    ),
)
