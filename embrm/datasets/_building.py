"""Put the rows that were read together as `Preferences`: equal texts are one item."""

import json
from array import array
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import Prompt
from embrm.datasets.formats._plain import is_plain
from embrm.datasets.formats.base import RowReader, is_missing, lacking
from embrm.datasets.preferences import (
    ITEM_COLUMNS,
    PAIR_COLUMNS,
    Preferences,
    ReadReport,
)
from embrm.exceptions import DataError
from embrm.messages import as_messages, is_unicode, plain_turns_key, prompt_key

_ITEM_WORDS = frozenset({"key", *ITEM_COLUMNS, "source_row"})
_PAIR_WORDS = frozenset(PAIR_COLUMNS)
_INT64 = 2**63
_NOTHING: dict[str, Any] = {}


class PreferencesBuilder:
    """Collects rows; items are distinguished by prompt, response and attributes."""

    def __init__(self) -> None:
        self._prompt_ids: dict[str, int] = {}
        self._plain: dict[str, int] = {}
        self._prompts: list[Prompt] = []
        self._item_ids: dict[Hashable, int] = {}
        self._item_prompts = array("q")
        self._responses: list[str] = []
        self._item_source_rows = array("q")
        self._item_attributes: list[dict[str, Any]] = []
        self._firsts, self._seconds = array("q"), array("q")
        self._labels = array("d")
        self._pair_source_rows = array("q")
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
            attributes = _without(pair, _PAIR_WORDS)
            self._add_pair(first, second, float(pair["y"]), source_row, attributes)

    def text_prompt(self, prompt: str) -> int | None:
        """Find the number of a prompt that is text; None if it is not plain."""
        number = self._plain.get(prompt)
        if number is None:
            if not is_plain(prompt):
                return None
            number = self._numbered(prompt_key(prompt), prompt)
            self._plain[prompt] = number
        return number

    def turns_prompt(self, turns: list[Any]) -> int:
        """Find the number of a prompt of turns with a role and a text."""
        key = plain_turns_key(turns)
        number = self._prompt_ids.get(key)
        # The caller's messages stay the caller's.
        return self._numbered(key, _plain_prompt(turns)) if number is None else number

    def _numbered(self, key: str, prompt: Prompt) -> int:
        number = self._prompt_ids.setdefault(key, len(self._prompts))
        if number == len(self._prompts):
            self._prompts.append(prompt)
        return number

    def plain_pair(
        self,
        prompt: int,
        texts: tuple[str, str],
        y: float,
        attributes: dict[str, Any],
        source_row: int,
    ) -> None:
        """Add two items of a prompt and their pair."""
        first = self._item_number(prompt, texts[0], _NOTHING, source_row)
        second = self._item_number(prompt, texts[1], _NOTHING, source_row)
        self._add_pair(first, second, y, source_row, attributes)

    def plain_item(
        self, prompt: int, text: str, attributes: dict[str, Any], source_row: int
    ) -> None:
        """Add one item."""
        self._item_number(prompt, text, attributes, source_row)

    def build(self, read_report: ReadReport) -> Preferences:
        """Make the two tables."""
        items = {
            "prompt_id": pd.Series(np.array(self._item_prompts, dtype=np.int64)),
            "prompt": _series([self._prompts[n] for n in self._item_prompts]),
            "response": _series(self._responses),
            **_attribute_columns(
                self._item_attributes, lambda name: name not in ("rank", "label")
            ),
            "source_row": pd.Series(np.array(self._item_source_rows, dtype=np.int64)),
        }
        pairs = {
            "first": pd.Series(np.array(self._firsts, dtype=np.int64)),
            "second": pd.Series(np.array(self._seconds, dtype=np.int64)),
            "y": pd.Series(np.array(self._labels, dtype=np.float64)),
            "source_row": pd.Series(np.array(self._pair_source_rows, dtype=np.int64)),
            **_attribute_columns(
                self._pair_attributes, lambda name: name in ("margin", "weight")
            ),
        }
        return Preferences(pd.DataFrame(items), pd.DataFrame(pairs), read_report)

    def _check(self, row: RowReader) -> None:
        if not row.items and not row.is_context:
            raise lacking(
                "a row with at least one response",
                reason="no response",
                fix="drop the row or fill it in",
            )
        for record in (*row.items, *row.pairs):
            check_unicode(record)

    def _add_item(self, item: Mapping[str, Any], source_row: int) -> int:
        key, response = item["key"], item["response"]
        prompt_id = self._prompt_ids.get(key)
        if prompt_id is None:
            prompt_id = self._numbered(key, _plain_prompt(item["prompt"]))
        return self._item_number(
            prompt_id, response, _without(item, _ITEM_WORDS), source_row
        )

    def _add_pair(
        self,
        first: int,
        second: int,
        y: float,
        source_row: int,
        attributes: dict[str, Any],
    ) -> None:
        self._firsts.append(first)
        self._seconds.append(second)
        self._labels.append(y)
        self._pair_source_rows.append(source_row)
        self._pair_attributes.append(attributes)

    def _item_number(
        self,
        prompt_id: int,
        response: str,
        attributes: dict[str, Any],
        source_row: int,
    ) -> int:
        identity = (prompt_id, response, _identity(attributes) if attributes else "")
        number = self._item_ids.setdefault(identity, len(self._responses))
        if number == len(self._responses):
            self._item_prompts.append(prompt_id)
            self._responses.append(response)
            self._item_source_rows.append(source_row)
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


def _identity(attributes: Mapping[str, Any]) -> Hashable:
    try:
        return frozenset(attributes.items())
    except TypeError:
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
            if isinstance(text, str) and not is_unicode(text):
                raise DataError.of(
                    expected="text that is valid Unicode",
                    got="half of a surrogate pair",
                    fix="drop the row, or write the character whole",
                    reason="not Unicode",
                )


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


def _series(values: list[Any], *, as_float: bool = False) -> "pd.Series[Any]":
    """Make a column: numbers are float where some are missing or with `as_float`."""
    kinds = {type(value) for value in values}
    numeric = bool(kinds) and kinds <= {int, float, bool, type(None)}
    if kinds == {bool} or not numeric:
        return pd.Series(values, dtype=None if kinds else object)
    if as_float or len(kinds) > 1:
        return pd.Series(np.array(values, dtype=np.float64))
    return pd.Series(values)
