"""Rows of JSON files: lines, lists, and what is wrong with them.

A line is parsed by orjson, and parsed again by Python's own parser where orjson refuses
it (NaN, half surrogates, long integers), or where it holds more keys than came out: a
key that stands twice. So the quick way never reads what the careful one refuses.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from embrm.datasets._rows import (
    NumberedRows,
    ReadLimits,
    Source,
    decoded,
    in_lines,
    in_rows,
    opened,
    raw_lines,
    whole,
)
from embrm.datasets.formats.base import Row
from embrm.exceptions import DataError

_HEAD_LINES = 1000
_NOT_SURE = object()
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}", re.IGNORECASE)

_KEY = re.compile(rb'"\s*:')
_ORIENTS = {
    "columns": "objects in one object, as pandas writes with orient='columns'",
    "index": "rows by number in one object, as pandas writes with orient='index'",
    "split": "columns and data apart, as pandas writes with orient='split'",
}


def jsonl_source(path: Path, limits: ReadLimits) -> Source:
    """Read a file of one JSON object per line, as a stream."""
    return Source(path.name, _jsonl_rows(path, limits), in_lines(path.name))


def stream_source(
    handle: BinaryIO, name: str, limits: ReadLimits | None = None
) -> Source:
    """Read JSON lines from an open stream, which stays open."""
    return Source(name, _line_rows(handle, limits or ReadLimits()), in_lines(name))


def json_source(path: Path, limits: ReadLimits) -> Source:
    """Read a file that holds a list of objects, or an object with one list.

    JSON lines under the name .json are read as the lines that they are. All else is
    held in memory, and refused beyond `max_json_bytes`.
    """
    if _holds_lines(path, limits):
        return jsonl_source(path, limits)
    return Source(path.name, _listed_rows(path, limits), in_rows(path.name))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; the literal NaN is None.

    Raises
    ------
    DataError
        If the text is malformed, names a key twice in one object, holds Infinity or a
        number of thousands of digits, or is nested too deeply.

    Examples
    --------
    >>> parse_json('{"score": NaN}')
    {'score': None}
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    quick = _parse_quickly(data)
    if quick is not _NOT_SURE:
        return quick
    return _parse_carefully(text if isinstance(text, str) else decoded(text))


def _parse_quickly(data: bytes) -> Any:
    """Parse by orjson, where both parsers would agree."""
    try:
        value = orjson.loads(data)
        sure = _n_keys(value) == len(_KEY.findall(data))
    except (orjson.JSONDecodeError, RecursionError):
        return _NOT_SURE
    return value if sure else _NOT_SURE


def _n_keys(value: Any) -> float:
    """Count the keys of all objects; NaN where a number may be a long integer's."""
    kind = type(value)
    if kind is dict:
        n: float = len(value)
        for inner in value.values():
            # Most cells are text, which is not worth a call.
            kind = type(inner)
            if kind is list:
                for entry in inner:
                    if type(entry) is not str:
                        n += _n_keys(entry)
            elif kind is not str:
                n += _n_keys(inner)
        return n
    if kind is list:
        return sum(map(_n_keys, value))
    return math.nan if kind is float and abs(value) >= 2**63 else 0


def _parse_carefully(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except DataError:
        raise
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise DataError.of(
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
    return DataError.of(
        expected="rows nested a few levels deep",
        got="a row nested too deeply to read",
        fix="drop the row, or flatten it",
        reason="nested too deeply",
    )


def too_long_number() -> DataError:
    """Write the error for an integer that Python will not turn into text."""
    return DataError.of(
        expected="numbers of ordinary size",
        got="an integer of hundreds of digits or more",
        fix="write it as a string",
        reason="number too long",
    )


def as_row(value: Any) -> Row | DataError:
    """Return `value` if it is an object (a mapping), else the error."""
    # The exact type first: asking an abstract class costs as much as the parsing.
    if type(value) is dict or isinstance(value, Mapping):
        return value
    return DataError.of(
        expected="rows that are objects with named columns",
        got=f"a {type(value).__name__}",
        fix='write each row as {"prompt": ..., "chosen": ..., "rejected": ...}',
        reason="not an object",
    )


def _constant(literal: str) -> None:
    """Read NaN, by which pandas and numpy mark what is missing, as such."""
    if literal != "NaN":
        raise DataError.of(
            expected="JSON, which has no literal for it",
            got=f"the literal {literal}",
            fix="write null for what is missing",
            reason="Infinity literal",
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; of two values for one key, which is meant is not known."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError.of(
            expected="objects that name every key once",
            got=f"{twice[:40]!r} twice",
            fix="drop the row, or keep the value that is meant",
            reason="a key twice",
        )
    return made


_DECODER = json.JSONDecoder(parse_constant=_constant, object_pairs_hook=_once)


def _jsonl_rows(path: Path, limits: ReadLimits) -> NumberedRows:
    with opened(path, limits.encoding) as handle:
        yield from _line_rows(handle, limits)


def _line_rows(handle: BinaryIO, limits: ReadLimits) -> NumberedRows:
    """Parse line by line; blank lines are no rows."""
    blank = 0
    for number, offset, line in raw_lines(handle, limits.max_line_bytes):
        if isinstance(line, DataError):
            yield number, line
        elif not line.isspace():
            blank = 0
            yield number, _parsed(line, offset)
        else:
            blank += 1
            if blank > limits.max_blank_lines:
                raise DataError.of(
                    expected="one JSON object per line",
                    got=f"{blank:,} blank lines in a row, up to line {number:,}",
                    fix="drop the blank lines",
                    reason="blank lines",
                )


def _parsed(line: bytes, offset: int) -> Row | DataError:
    value = _parse_quickly(line)
    if type(value) is dict:
        return value
    try:
        if value is _NOT_SURE:
            value = _parse_carefully(decoded(line, offset))
        return as_row(value)
    except DataError as error:
        return error


def _holds_lines(path: Path, limits: ReadLimits) -> bool:
    """Say whether the first line is an object by itself and another line follows."""
    with opened(path, limits.encoding) as handle:
        head = islice(raw_lines(handle, limits.max_line_bytes), _HEAD_LINES)
        filled = (
            line for _, _, line in head if isinstance(line, DataError) or line.strip()
        )
        first = next(filled, None)
        # A line too long is read to its end when the next is asked for: do not ask.
        if not isinstance(first, bytes) or next(filled, None) is None:
            return False
    opens = first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    return opens and isinstance(_parsed(first, 0), Mapping)


def _listed_rows(path: Path, limits: ReadLimits) -> NumberedRows:
    with opened(path, limits.encoding) as handle:
        text = decoded(whole(handle, limits.max_json_bytes))
    if not text.strip():
        return
    for number, value in enumerate(_the_list(parse_json(text)), start=1):
        yield number, as_row(value)


def _the_list(value: Any) -> Iterable[Any]:
    """Find the list of rows: the value itself, the one list in an object, or columns.

    Argilla and `DataFrame.to_dict` write an object with a list for each column;
    Argilla, too, an object with a record for each of its ids, which are UUIDs.
    """
    if isinstance(value, list):
        return value
    orient = _orient(value)
    if orient is not None and all(map(_UUID.fullmatch, value)):
        return list(value.values())
    lists = (
        [entry for entry in value.values() if isinstance(entry, list)]
        if isinstance(value, dict) and orient is None
        else []
    )
    if len(lists) == 1 and not _is_one_column(value, lists[0]):
        return lists[0]
    columns = _columns_as_rows(value)
    if columns is not None:
        return columns
    raise DataError.of(
        expected="a list of objects, or an object with one list",
        got=(orient and _ORIENTS[orient]) or _no_list(value, len(lists)),
        fix="write one object per line as .jsonl, or a list of objects (in pandas, "
        "orient='records')",
        reason="not a list of rows",
    )


def _is_one_column(value: Any, entries: list[Any]) -> bool:
    """Say whether the one list of an object holds lists, such as conversations."""
    return len(value) == 1 and bool(entries) and isinstance(entries[0], list)


def _columns_as_rows(value: Any) -> list[Row] | None:
    """Turn a list for each column into rows; None where that is not what it is.

    Lists of objects alone are the splits of a data set, not its columns.
    """
    if not isinstance(value, Mapping):
        return None
    columns = list(value.values())
    if not all(isinstance(column, list | tuple) for column in columns):
        return None
    are_splits = all(
        isinstance(entry, Mapping) for column in columns for entry in column
    )
    if are_splits or len({len(column) for column in columns}) > 1:
        return None
    return [
        dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)
    ]


def _orient(value: Any) -> str | None:
    """Recognise how pandas wrote a frame, where it is no list of rows."""
    if not isinstance(value, dict) or not value:
        return None
    if value.keys() >= {"columns", "data"}:
        return "split"
    cells = list(value.values())
    keys = [list(cell) for cell in cells if isinstance(cell, dict)]
    same = len(keys) == len(cells) and all(key == keys[0] for key in keys)
    if not same or not keys[0]:
        return None
    # Rows are numbered, columns have names.
    by_row = all(map(str.isdigit, value)) and not all(map(str.isdigit, keys[0]))
    return "index" if by_row else "columns"


def _no_list(value: Any, n_lists: int) -> str:
    if isinstance(value, dict):
        return f"an object with {n_lists} lists"
    return f"a {type(value).__name__}"
