"""Rows of CSV files: records of quoted fields, with the types that CSV lacks."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Generator, Iterator
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


def csv_source(path: Path, limits: ReadLimits) -> Source:
    """Read a CSV file with a header line, as a stream.

    Columns may be separated by commas, semicolons, tabs or bars: the one that divides
    the header into most names.
    """
    said: list[str] = []
    rows = _csv_rows(path, limits, said)
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
