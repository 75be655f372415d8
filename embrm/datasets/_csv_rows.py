"""Rows of CSV files: records of quoted fields, with the types that CSV lacks.

Lists and records stand there as text: JSON, or Python as pandas writes it.
"""

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from embrm.datasets._rows import (
    NumberedRows,
    ReadLimits,
    Source,
    in_lines,
    opened,
    text_lines,
    too_long,
)
from embrm.datasets.formats import TEXT_COLUMNS
from embrm.datasets.formats._texts import RESPONSES
from embrm.datasets.formats._two_responses import SIDES
from embrm.datasets.formats.base import Row
from embrm.exceptions import DataError

_SEPARATORS = ",;\t|"
_HEAD_LINES = 1000

NAME_COLUMNS = frozenset(
    {"subset", "domain", "source", "split", "language", "category", "model", "id"}
)
"""Columns of names, which may look like numbers; empty ones are missing."""

INDEX = "Unnamed: 0"
"""The name that pandas gives to a first column without one."""

_NAME_ENDS = ("_id", "_model")
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_DIGITS = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

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


def csv_source(path: Path, limits: ReadLimits) -> Source:
    """Read a CSV file with a header line, as a stream.

    Columns may be separated by commas, semicolons, tabs or bars: the one that divides
    the header into most names.
    """
    said: list[str] = []
    rows = _parsed_rows(_csv_rows(path, limits, said), said)
    return Source(path.name, rows, in_lines(path.name), untyped=True, said=said)


def typed(row: Row, texts: Collection[str]) -> Row:
    """Turn cells into numbers, truth values or None, except texts, names and ids.

    Parameters
    ----------
    row : mapping of str to str
    texts : collection of str
        Columns of texts to compare: their values are text, even if empty.

    Examples
    --------
    >>> typed({"response": "42", "score": "42", "margin": ""}, {"response"})
    {'response': '42', 'score': 42, 'margin': None}
    """
    return {
        name: cell if name in texts else _typed_cell(name, cell)
        for name, cell in row.items()
    }


def _typed_cell(name: str, cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell  # joined from several rows
    word = cell.strip()
    if not word:
        return None
    if name in NAME_COLUMNS or name.endswith(_NAME_ENDS):
        return cell
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if _INTEGER.fullmatch(word):
        return int(word)
    if _DIGITS.fullmatch(word):
        # A number with leading zeros, or too long for 64 bits, is a code.
        return cell
    return float(word) if _DECIMAL.fullmatch(word) else cell


def _csv_rows(path: Path, limits: ReadLimits, said: list[str]) -> NumberedRows:
    separator = _separator(path, limits)
    if separator != ",":
        word = {"\t": "tabs"}.get(separator, repr(separator))
        said.append(f"columns are separated by {word}")
    with opened(path, limits.encoding) as handle:
        lines = text_lines(handle, limits.max_line_bytes)
        records = _records(lines, limits.max_line_bytes, separator)
        header: list[str] | None = None
        for number, record in records:
            if header is None:
                header = _checked_header(record, said)
            elif isinstance(record, DataError):
                yield number, record
            else:
                yield number, _csv_row(header, record)


def _separator(path: Path, limits: ReadLimits) -> str:
    """Choose what divides the first line into most names, or what the ending says."""
    usual = "\t" if ".tsv" in path.suffixes else ","
    with opened(path, limits.encoding) as handle:
        for number, line in text_lines(handle, limits.max_line_bytes):
            if isinstance(line, DataError) or number > _HEAD_LINES:
                break
            if line.strip():
                counts = Counter({usual: _n_fields(line, usual)})
                counts |= Counter({mark: _n_fields(line, mark) for mark in _SEPARATORS})
                return counts.most_common(1)[0][0]
    return usual


def _n_fields(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 1


def _records(
    lines: Iterator[tuple[int, str | DataError]], limit: int, separator: str
) -> Generator[tuple[int, list[str] | DataError], None, None]:
    """Yield records with the line they begin on; quoted fields may span lines.

    The lines of a record together are as long as `limit` at most.
    """
    last = held = 0

    def strings() -> Generator[str, None, None]:
        nonlocal last, held
        for number, line in lines:
            last = number
            if isinstance(line, str):
                held += len(line)
                if held <= limit + len("\n"):
                    yield line
                    continue
            # A generator that raises is finished: the error travels beside it.
            broken.append(too_long(limit) if isinstance(line, str) else line)
            return

    broken: list[DataError] = []
    reader = csv.reader(strings(), delimiter=separator, strict=True)
    while True:
        begin, held = last + 1, 0
        record = _next_record(reader, limit)
        if broken:
            yield last, broken.pop()
            reader = csv.reader(strings(), delimiter=separator, strict=True)
        elif record is None:
            return
        elif record:
            yield begin, record


def _next_record(
    reader: "Iterator[list[str]]", field_limit: int
) -> list[str] | DataError | None:
    """Read one record; None at the end of the file."""
    # The limit is the process's: lift it for this record, then put it back.
    before = csv.field_size_limit(min(field_limit, 2**31 - 1))
    try:
        return next(reader, None)
    except csv.Error as error:
        return DataError.of(
            expected="CSV with fields in double quotes, and quotes in them doubled",
            got=f"malformed CSV ({error})",
            fix="write the file with a CSV library",
            reason="malformed CSV",
        )
    finally:
        csv.field_size_limit(before)


def _checked_header(record: list[str] | DataError, said: list[str]) -> list[str]:
    if isinstance(record, DataError):
        raise record
    names = [name.strip() for name in record]
    if len(names) > 1 and not names[0] and INDEX not in names:
        said.append(
            f"the first column has no name: row numbers of pandas, called {INDEX!r}"
        )
        names[0] = INDEX
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        raise DataError.of(
            expected="a header line that names every column once",
            got=f"{twice[0][:40]!r} twice" if twice else "a column without a name",
            fix="fix the first line of the file",
            reason="bad header",
        )
    return names


def _csv_row(header: list[str], record: list[str]) -> Row | DataError:
    if len(record) != len(header):
        return DataError.of(
            expected=f"{len(header)} fields, as in the header",
            got=f"{len(record)}",
            fix="quote the fields that hold commas or line ends",
            reason="wrong number of fields",
        )
    return dict(zip(header, record, strict=True))


def _parsed_rows(rows: NumberedRows, said: list[str]) -> NumberedRows:
    """Parse the columns that hold lists or records in every row.

    A column is known by its first rows. In columns of texts, only what cannot be an
    answer is parsed: messages, and lists of texts where there may be several.
    """
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
