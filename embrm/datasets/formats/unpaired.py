"""Unpaired: one response in each row, labelled good or bad by itself (KTO).

`response_of` reads a response that is text or, in conversational data, a list of one
assistant message.

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

from collections.abc import Mapping
from typing import Any

import numpy as np

from embrm.datasets.formats.base import Format, Row, RowReader, refusal
from embrm.datasets.formats.ratings import is_missing, is_number, prompt_of
from embrm.datasets.formats.rewardbench import is_list
from embrm.exceptions import DataError, NoPreferenceError

_WORDS = {"true": True, "false": False, "1": True, "0": False}


def response_of(value: Any) -> Any:
    """Read a response; a list must hold one message of the assistant.

    Raises
    ------
    DataError
        If a list holds anything else.
    """
    if not is_list(value):
        return value
    message = value[0] if len(value) == 1 else None
    if isinstance(message, Mapping) and message.get("role") == "assistant":
        return message.get("content")
    raise refusal(
        expected="a completion that is text or one message of the assistant",
        got=f"a list of {len(value)}",
        cure="move the turns before the last answer into the prompt",
        reason="completion is not one message",
    )


def _label(value: Any) -> bool:
    """Read true or false, also as 1 and 0 and as words."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return _WORDS[value.strip().lower()]
    if is_number(value) and value in (0, 1):
        return bool(value)
    missing = is_missing(value)
    raise refusal(
        expected="a label that is true or false",
        got="none" if missing else repr(value)[:20],
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
    prompt = prompt_of(row)
    response = row["completion"] if "completion" in row else row["response"]
    label = _label(row["label"])
    reader.item(prompt, response_of(response), label=label)


FORMATS = (
    Format(
        name="unpaired",
        columns="prompt, completion (or response), label (true or false)",
        detect=_detect,
        read=_read,
    ),
)
