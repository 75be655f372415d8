"""Rows of text files: JSON lines, JSON, and CSV with the types that it lacks."""

import csv
import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from embrm.datasets._rows import (
    NumberedRows,
    Source,
    decoded,
    in_lines,
    in_rows,
    opened,
    text_lines,
    too_long,
    whole,
)
from embrm.datasets.formats.base import Row, refusal
from embrm.exceptions import DataError

_HEAD_LINES = 1000

TEXT_COLUMNS = frozenset(
    {
        *("prompt", "question", "instruction", "input", "context"),
        *("chosen", "rejected", "response", "completion"),
        *("response1", "response2", "response_1", "response_2"),
        *("response_A", "response_B", "output_1", "output_2"),
    }
)
"""Columns of texts to compare: what stands in them is text, even if it is empty."""

NAME_COLUMNS = frozenset(
    {"subset", "domain", "source", "split", "language", "category", "model", "id"}
)
"""Columns of names, which may look like numbers; empty ones are missing."""

_NAME_ENDS = ("_id", "_model")
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_DIGITS = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def jsonl_source(path: Path, max_line_bytes: int) -> Source:
    """Read a file of one JSON object per line, as a stream."""
    return Source(path.name, _jsonl_rows(path, max_line_bytes), in_lines(path.name))


def stream_source(handle: BinaryIO, name: str, max_line_bytes: int) -> Source:
    """Read JSON lines from an open stream, which stays open."""
    return Source(name, _line_rows(handle, max_line_bytes), in_lines(name))


def json_source(path: Path, max_line_bytes: int, max_json_bytes: int) -> Source:
    """Read a file that holds a list of objects, or an object with one list.

    JSON lines under the name .json are read as the lines that they are. All else is
    held in memory, and refused beyond `max_json_bytes`.
    """
    if _holds_lines(path, max_line_bytes):
        return jsonl_source(path, max_line_bytes)
    return Source(path.name, _listed_rows(path, max_json_bytes), in_rows(path.name))


def parse_json(text: str) -> Any:
    """Parse strict JSON.

    Raises
    ------
    DataError
        If the text is malformed, holds NaN or Infinity, or is nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except DataError:
        raise
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise refusal(
            expected="JSON",
            got=f"malformed JSON ({error.msg} at {where}column {error.colno})",
            fix="write rows with a JSON library, one object per line in .jsonl",
            reason="malformed JSON",
        ) from error
    except RecursionError as error:
        raise too_deep() from error
    except ValueError as error:
        # Python refuses to parse integers of thousands of digits.
        raise too_long_number() from error


def too_deep() -> DataError:
    """Write the error for a row that is nested too deeply."""
    return refusal(
        expected="rows nested a few levels deep",
        got="a row nested too deeply to read",
        fix="drop the row, or flatten it",
        reason="nested too deeply",
    )


def too_long_number() -> DataError:
    """Write the error for an integer that Python will not turn into text."""
    return refusal(
        expected="numbers of ordinary size",
        got="an integer of hundreds of digits or more",
        fix="write it as a string",
        reason="number too long",
    )


def as_row(value: Any) -> Row | DataError:
    """Return `value` if it is an object (a mapping), else the error that says so."""
    if isinstance(value, Mapping):
        return value
    return refusal(
        expected="rows that are objects with named columns",
        got=f"a {type(value).__name__}",
        fix='write each row as {"prompt": ..., "chosen": ..., "rejected": ...}',
        reason="not an object",
    )


def _refuse_constant(literal: str) -> None:
    raise refusal(
        expected="JSON, which has no literal for it",
        got=f"the literal {literal}",
        fix="write null for what is missing",
        reason="NaN or Infinity literal",
    )


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _jsonl_rows(path: Path, max_line_bytes: int) -> NumberedRows:
    with opened(path) as handle:
        yield from _line_rows(handle, max_line_bytes)


def _line_rows(handle: BinaryIO, max_line_bytes: int) -> NumberedRows:
    """Parse line by line; blank lines are no rows."""
    for number, line in text_lines(handle, max_line_bytes):
        if isinstance(line, DataError):
            yield number, line
        elif line.strip():
            yield number, _parsed(line)


def _parsed(line: str) -> Row | DataError:
    try:
        return as_row(parse_json(line))
    except DataError as error:
        return error


def _holds_lines(path: Path, max_line_bytes: int) -> bool:
    """Say whether the first line is an object by itself and another line follows."""
    with opened(path) as handle:
        head = islice(text_lines(handle, max_line_bytes), _HEAD_LINES)
        filled = (
            line for _, line in head if isinstance(line, DataError) or line.strip()
        )
        first = next(filled, None)
        # A line too long is read to its end when the next is asked for: do not ask.
        if not isinstance(first, str) or next(filled, None) is None:
            return False
    return first.lstrip().startswith("{") and isinstance(_parsed(first), Mapping)


def _listed_rows(path: Path, max_json_bytes: int) -> NumberedRows:
    with opened(path) as handle:
        text = decoded(whole(handle, max_json_bytes))
    if not text.strip():
        return
    for number, value in enumerate(_the_list(parse_json(text)), start=1):
        yield number, as_row(value)


def _the_list(value: Any) -> Iterable[Any]:
    """Find the list of rows: the value itself, or the one list in an object."""
    if isinstance(value, list):
        return value
    lists = (
        [entry for entry in value.values() if isinstance(entry, list)]
        if isinstance(value, dict)
        else []
    )
    if len(lists) == 1:
        return lists[0]
    raise refusal(
        expected="a list of objects, or an object with one list",
        got=f"an object with {len(lists)} lists"
        if isinstance(value, dict)
        else f"a {type(value).__name__}",
        fix="write one object per line as .jsonl, or a list of objects (in pandas, "
        "orient='records')",
        reason="not a list of rows",
    )


def csv_source(path: Path, max_line_bytes: int) -> Source:
    """Read a CSV file with a header line, as a stream."""
    rows = _csv_rows(path, max_line_bytes)
    return Source(path.name, rows, in_lines(path.name), untyped=True)


def typed(row: Row) -> Row:
    """Turn cells into numbers, truth values or None, except texts, names and ids.

    Examples
    --------
    >>> typed({"response": "42", "score": "42", "label": "true", "margin": ""})
    {'response': '42', 'score': 42, 'label': True, 'margin': None}
    """
    return {
        name: cell if name in TEXT_COLUMNS else _typed_cell(name, cell)
        for name, cell in row.items()
    }


def _typed_cell(name: str, cell: str) -> str | float | None:
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


def _csv_rows(path: Path, max_line_bytes: int) -> NumberedRows:
    with opened(path) as handle:
        records = _records(text_lines(handle, max_line_bytes), max_line_bytes)
        header: list[str] | None = None
        for number, record in records:
            if header is None:
                header = _checked_header(record)
            elif isinstance(record, DataError):
                yield number, record
            else:
                yield number, _csv_row(header, record)


def _records(
    lines: Iterator[tuple[int, str | DataError]], limit: int
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
    reader = csv.reader(strings(), strict=True)
    while True:
        begin, held = last + 1, 0
        record = _next_record(reader, limit)
        if broken:
            yield last, broken.pop()
            reader = csv.reader(strings(), strict=True)
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
        return refusal(
            expected="CSV with fields in double quotes, and quotes in them doubled",
            got=f"malformed CSV ({error})",
            fix="write the file with a CSV library",
            reason="malformed CSV",
        )
    finally:
        csv.field_size_limit(before)


def _checked_header(record: list[str] | DataError) -> list[str]:
    if isinstance(record, DataError):
        raise record
    names = [name.strip() for name in record]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        raise refusal(
            expected="a header line that names every column once",
            got=f"{twice[0][:40]!r} twice" if twice else "a column without a name",
            fix="fix the first line of the file",
            reason="bad header",
        )
    return names


def _csv_row(header: list[str], record: list[str]) -> Row | DataError:
    if len(record) != len(header):
        return refusal(
            expected=f"{len(header)} fields, as in the header",
            got=f"{len(record)}",
            fix="quote the fields that hold commas or line ends",
            reason="wrong number of fields",
        )
    return dict(zip(header, record, strict=True))
