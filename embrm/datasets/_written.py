"""Lists and records that CSV holds as text: JSON, or Python as pandas writes it."""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from embrm.datasets._rows import NumberedRows, Source
from embrm.datasets.formats import TEXT_COLUMNS
from embrm.datasets.formats._texts import RESPONSES
from embrm.datasets.formats._two_responses import SIDES
from embrm.datasets.formats.base import Row
from embrm.exceptions import DataError

_HEAD_ROWS = 100
_MOST_LETTERS = 1_000_000
_MOST_PYTHON = 500_000
"""Letters of Python's form that are parsed, at 2 microseconds each."""

_ANSWERS = frozenset((*RESPONSES, *chain(*SIDES)))
"""Columns of one text each, which may be a list or a record by what was asked."""

_KEYS_OF_TEXTS = frozenset(
    {
        *("role", "from", "parts", "messages", "answer", "text", "response"),
        *("completion", "content", "full_text", "problem", "replies", "choices"),
    }
)
"""Keys by which a record in a column of texts holds a text, and is none."""

_PARTED = re.compile(
    # A string, and white space where an array has no comma before the next entry; ...
    r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?:\s+(?=['"\[{]))?"""
    # ... white space between two records, lists or numbers; nan; an array within.
    r"""|(?<=[\]}])\s+(?=[\[{'"])|(?<=[\d.])\s+(?=[-+\d.])|\bnan\b"""
    r"""|\barray\(|(?:,\s*dtype=[\w.]+)?\)""",
    re.DOTALL,
)


def with_structures(source: Source) -> Source:
    """Parse the columns of a CSV file that hold lists or records in every row.

    A column is known by its first rows. In columns of texts, only what cannot be an
    answer is parsed: messages, and lists of texts where there may be several.
    """
    said = source.said
    return replace(source, rows=_parsed_rows(source.rows, said))


def _parsed_rows(rows: NumberedRows, said: list[str]) -> NumberedRows:
    head = _head_of(rows)
    good = [row for _, row in head if not isinstance(row, DataError)]
    names = dict.fromkeys(name for row in good for name in row)
    columns = [name for name in names if _is_structure(name, good)]
    if columns:
        shown = ", ".join(name[:40] for name in columns[:8])
        said.append(f"lists or records were written as text, and parsed: {shown}")
    for number, row in chain(head, rows):
        if columns and not isinstance(row, DataError):
            row = dict(row)  # noqa: PLW2901
            for name in columns:
                value = written_value(row.get(name))
                row[name] = row.get(name) if value is None else value
        yield number, row


def _head_of(rows: NumberedRows) -> list[tuple[int, Row | DataError]]:
    """Take the first rows, of a bounded length together."""
    head, letters = [], 0
    for number, row in rows:
        head.append((number, row))
        if not isinstance(row, DataError):
            letters += sum(len(cell) for cell in row.values() if isinstance(cell, str))
        if len(head) == _HEAD_ROWS or letters > _MOST_LETTERS:
            break
    return head


def _is_structure(name: str, rows: Iterable[Mapping[str, Any]]) -> bool:
    cells = [row[name] for row in rows if row.get(name)]
    return bool(cells) and all(_structured(name, cell) for cell in cells)


def _structured(name: str, cell: Any) -> bool:
    value = written_value(cell)
    if value is None or name not in TEXT_COLUMNS:
        return value is not None
    entries = value if isinstance(value, list) else [value]
    records = [each for each in entries if isinstance(each, Mapping)]
    if records:
        return all(_KEYS_OF_TEXTS & record.keys() for record in records)
    texts = bool(entries) and all(isinstance(each, str | list) for each in entries)
    return texts and name not in _ANSWERS


def written_value(cell: Any) -> Any:
    r"""Read a list or a record that is written as JSON or Python; None of a text.

    pandas writes lists into CSV as Python does, and arrays without commas.

    Examples
    --------
    >>> written_value("[1, null]"), written_value("['a' 'b']"), written_value("[a]")
    ([1, None], ['a', 'b'], None)
    """
    if not isinstance(cell, str) or cell.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        value = _parsed_python(cell)
    return value if isinstance(value, list | dict) else None


def _parsed_python(text: str) -> Any:
    if len(text) > _MOST_PYTHON:
        return None
    try:
        return ast.literal_eval(_PARTED.sub(_with_comma, text.strip()))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _with_comma(found: "re.Match[str]") -> str:
    """Keep a string; put a comma where white space alone parts two entries."""
    string, whole = found[1], found[0]
    if string is not None:
        return string if len(whole) == len(string) else f"{string}, "
    if whole == "nan":
        return "None"
    return ", " if whole.isspace() else ""
