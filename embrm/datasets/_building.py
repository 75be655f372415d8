"""Put the rows that were read together as `Preferences`: equal texts are one item."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import Prompt
from embrm.datasets.formats.base import RowReader, is_missing, refusal
from embrm.datasets.preferences import (
    ITEM_COLUMNS,
    PAIR_COLUMNS,
    Preferences,
    ReadReport,
)
from embrm.exceptions import NoPreferenceError
from embrm.messages import as_messages

_ITEM_WORDS = frozenset({"key", *ITEM_COLUMNS, "source_row"})
_PAIR_WORDS = frozenset(PAIR_COLUMNS)
_INT64 = 2**63


class PreferencesBuilder:
    """Collects rows; items are distinguished by prompt, response and attributes."""

    def __init__(self) -> None:
        self._prompt_ids: dict[str, int] = {}
        self._prompts: list[Prompt] = []
        self._item_ids: dict[Hashable, int] = {}
        self._item_rows: list[tuple[int, str, int]] = []
        self._item_attributes: list[dict[str, Any]] = []
        self._pair_rows: list[tuple[int, int, float, int]] = []
        self._pair_attributes: list[dict[str, Any]] = []

    def add(self, row: RowReader, source_row: int) -> None:
        """Add all items and pairs of a row, or none of them.

        Raises
        ------
        DataError
            If the row has no items, or a text in it is not Unicode.
        """
        self._check(row)
        numbers = [self._add_item(item, source_row) for item in row.items]
        for pair in row.pairs:
            first, second = numbers[pair["first"]], numbers[pair["second"]]
            self._pair_rows.append((first, second, float(pair["y"]), source_row))
            self._pair_attributes.append(_without(pair, _PAIR_WORDS))

    def build(self, read_report: ReadReport) -> Preferences:
        """Make the two tables."""
        prompt_id, response, item_source = _columns(self._item_rows, 3)
        items = {
            "prompt_id": pd.Series(prompt_id, dtype=np.int64),
            "prompt": _series([self._prompts[number] for number in prompt_id]),
            "response": _series(response),
            **_attribute_columns(self._item_attributes, _item_is_float),
            "source_row": pd.Series(item_source, dtype=np.int64),
        }
        first, second, y, pair_source = _columns(self._pair_rows, 4)
        pairs = {
            "first": pd.Series(first, dtype=np.int64),
            "second": pd.Series(second, dtype=np.int64),
            "y": pd.Series(y, dtype=np.float64),
            "source_row": pd.Series(pair_source, dtype=np.int64),
            **_attribute_columns(self._pair_attributes, _pair_is_float),
        }
        return Preferences(pd.DataFrame(items), pd.DataFrame(pairs), read_report)

    def _check(self, row: RowReader) -> None:
        if not row.items and not row.is_context:
            raise refusal(
                expected="a row with at least one response",
                got="none",
                fix="drop the row or fill it in",
                reason="no response",
                kind=NoPreferenceError,
            )
        for record in (*row.items, *row.pairs):
            check_unicode(record)

    def _add_item(self, item: Mapping[str, Any], source_row: int) -> int:
        key, response = item["key"], item["response"]
        prompt_id = self._prompt_ids.setdefault(key, len(self._prompts))
        if prompt_id == len(self._prompts):
            self._prompts.append(_plain_prompt(item["prompt"]))
        attributes = _without(item, _ITEM_WORDS)
        identity = (prompt_id, response, _identity(attributes))
        number = self._item_ids.setdefault(identity, len(self._item_rows))
        if number == len(self._item_rows):
            self._item_rows.append((prompt_id, response, source_row))
            self._item_attributes.append(attributes)
        return number


def _without(record: Mapping[str, Any], words: frozenset[str]) -> dict[str, Any]:
    """Leave out the words that are columns of their own, and what is missing.

    An integer that no integer column holds is kept as text.
    """
    return {
        name: str(value) if _is_huge(value) else value
        for name, value in record.items()
        if name not in words and not is_missing(value)
    }


def _identity(attributes: Mapping[str, Any]) -> str:
    if not attributes:
        return ""
    return json.dumps(attributes, sort_keys=True, default=str)


def _is_huge(value: Any) -> bool:
    return isinstance(value, int) and not -_INT64 <= value < _INT64


def _plain_prompt(prompt: Prompt) -> Prompt:
    if isinstance(prompt, str):
        return prompt
    return list(as_messages(prompt))


def check_unicode(record: Mapping[str, Any]) -> None:
    """Refuse half of a surrogate pair: no file, tokenizer or hash takes it."""
    for name, value in record.items():
        for text in (name, value):
            if isinstance(text, str) and not text.isascii() and _is_broken(text):
                raise refusal(
                    expected="text that is valid Unicode",
                    got="half of a surrogate pair",
                    fix="drop the row, or write the character whole",
                    reason="not Unicode",
                )


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _columns(records: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Turn rows into columns, also where there are no rows."""
    if not records:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*records, strict=True)]


def _attribute_columns(
    records: Sequence[Mapping[str, Any]],
    is_float: Callable[[str], bool],
) -> "dict[str, pd.Series[Any]]":
    """Make the columns of the attributes, in order of first appearance."""
    names = dict.fromkeys(name for record in records for name in record)
    return {
        name: _series([record.get(name) for record in records], as_float=is_float(name))
        for name in names
    }


def _item_is_float(name: str) -> bool:
    return name not in ("rank", "label")


def _pair_is_float(name: str) -> bool:
    return name in ("margin", "weight")


def _series(values: list[Any], *, as_float: bool = False) -> "pd.Series[Any]":
    """Make a column: numbers are float where some are missing or with `as_float`."""
    kinds = {type(value) for value in values}
    numeric = bool(kinds) and kinds <= {int, float, bool, type(None)}
    if kinds == {bool} or not numeric:
        return pd.Series(values, dtype=None if kinds else object)
    if as_float or len(kinds) > 1:
        return pd.Series(np.array(values, dtype=np.float64))
    return pd.Series(values)
