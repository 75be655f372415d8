"""Unpaired: one response in each row, labelled good or bad by itself (KTO).

A completion is text or, in conversational data, a list of one assistant message.

References
----------
Ethayarajh et al. 2024, arXiv:2402.01306; TRL's type "unpaired preference".

Examples
--------
>>> from embrm.datasets.formats.base import RowReader
>>> reader = RowReader()
>>> FORMATS[0].read({"prompt": "2 + 2?", "completion": "4", "label": True}, reader)
>>> reader.items[0]["label"]
True
"""

from typing import Any

from embrm.datasets.formats.base import Format, Row, RowReader, is_missing, refusal
from embrm.datasets.formats.fields import in_short, is_number, response_of
from embrm.exceptions import DataError, NoPreferenceError

_WORDS = {"true": True, "false": False, "1": True, "0": False}


def _label(value: Any) -> bool:
    """Read true or false, also as 1 and 0 and as words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    if is_number(value) and value in (0, 1):
        return bool(value)
    missing = is_missing(value)
    raise refusal(
        expected="a label that is true or false",
        got=in_short(value),
        cure="write true for a good response, false for a bad one; numbers with more "
        "than two values are ratings: name the column 'score'",
        reason="missing label" if missing else "label is not true or false",
        kind=NoPreferenceError if missing else DataError,
    )


def _detect(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "label"}
        and bool(row.keys() & {"completion", "response"})
        and "score" not in row
    )


def _read(row: Row, reader: RowReader) -> None:
    response = row["completion"] if "completion" in row else row["response"]
    label = _label(row["label"])
    reader.item(row["prompt"], response_of(response), label=label)


FORMATS = (
    Format(
        name="unpaired",
        columns="prompt, completion (or response), label (true or false)",
        detect=_detect,
        read=_read,
    ),
)
