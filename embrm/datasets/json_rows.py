"""Rows of JSON files: one object per line, or one list of objects."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from embrm.datasets.formats.base import Row, refusal
from embrm.datasets.lines import decoded, opened, text_lines, whole
from embrm.datasets.rows import NumberedRows, Source, in_lines, in_rows
from embrm.exceptions import DataError

_HEAD_LINES = 1000


def jsonl_source(path: Path, max_line_bytes: int) -> Source:
    """Read a file of one JSON object per line, as a stream."""
    return Source(path.name, _file_rows(path, max_line_bytes), in_lines(path.name))


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
            cure="write rows with a JSON library, one object per line in .jsonl",
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
        cure="drop the row, or flatten it",
        reason="nested too deeply",
    )


def too_long_number() -> DataError:
    """Write the error for an integer that Python will not turn into text."""
    return refusal(
        expected="numbers of ordinary size",
        got="an integer of hundreds of digits or more",
        cure="write it as a string",
        reason="number too long",
    )


def as_row(value: Any) -> Row | DataError:
    """Return `value` if it is an object (a mapping), else the error that says so."""
    if isinstance(value, Mapping):
        return value
    return refusal(
        expected="rows that are objects with named columns",
        got=f"a {type(value).__name__}",
        cure='write each row as {"prompt": ..., "chosen": ..., "rejected": ...}',
        reason="not an object",
    )


def _refuse_constant(literal: str) -> None:
    raise refusal(
        expected="JSON, which has no literal for it",
        got=f"the literal {literal}",
        cure="write null for what is missing",
        reason="NaN or Infinity literal",
    )


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _file_rows(path: Path, max_line_bytes: int) -> NumberedRows:
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
        cure="write one object per line as .jsonl, or a list of objects (in pandas, "
        "orient='records')",
        reason="not a list of rows",
    )
