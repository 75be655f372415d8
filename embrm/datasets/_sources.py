"""Open whatever holds preference rows: a file, stdin, a frame, dicts, the hub."""

import math
import re
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from embrm._optional import import_optional
from embrm.datasets._rows import NumberedRows, Source, in_rows, naming
from embrm.datasets._text_rows import (
    as_row,
    csv_source,
    json_source,
    jsonl_source,
    stream_source,
    too_deep,
    too_long_number,
)
from embrm.datasets.formats.base import Row, refusal
from embrm.exceptions import DataError, InvalidInputError, format_error

_TEXTS = (".jsonl", ".json", ".csv")
EXTENSIONS = (*_TEXTS, *(f"{end}.gz" for end in _TEXTS), ".parquet")

_CHUNK_ROWS = 8192
_PLAIN = (str, bool, type(None))
_MAX_BITS = 2000  # 602 digits; Python's limit can be set no lower than 640.
PREFIX = "hf:"
_ID = re.compile(
    r"hf:(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<config>[^:@]+))?(@(?P<split>[^@]+))?"
)


def open_source(source: Any, *, max_line_bytes: int, max_json_bytes: int) -> Source:
    """Open a source of rows, without reading them yet.

    Parameters
    ----------
    source : str, Path, DataFrame or iterable of mappings
        A path with one of `EXTENSIONS`, `"-"` for JSON lines on standard input, or
        `"hf:owner/name[:config][@split]"`.
    max_line_bytes : int
        Longest line of a text file, in bytes.
    max_json_bytes : int
        Largest `.json` file that is not JSON lines, in bytes, unpacked.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        If there is no such file, or its kind is unknown.
    InvalidInputError
        If `source` is of a type that holds no rows.

    Examples
    --------
    >>> opened = open_source([{"prompt": "Hi"}], max_line_bytes=100, max_json_bytes=100)
    >>> list(opened.rows)
    [(1, {'prompt': 'Hi'})]
    """
    if isinstance(source, str) and source == "-":
        return stream_source(sys.stdin.buffer, "standard input", max_line_bytes)
    if isinstance(source, str) and source.startswith(PREFIX):
        return hub_source(source)
    if isinstance(source, str | Path):
        with naming((Path(source).name or str(source) or ".")[:80]):
            return _open_path(Path(source), max_line_bytes, max_json_bytes)
    if isinstance(source, pd.DataFrame):
        return frame_source(source)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return iterable_source(source)
    raise InvalidInputError(
        format_error(
            expected="a path, '-', 'hf:owner/name', a DataFrame or a list of dicts",
            got=type(source).__name__,
            fix="pass one of these; turn a dict of columns into pd.DataFrame(...)",
        )
    )


def _open_path(path: Path, max_line_bytes: int, max_json_bytes: int) -> Source:
    _check_file(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    gzipped = suffixes[-1:] == [".gz"]
    kind = suffixes[-2 if gzipped else -1] if len(suffixes) > gzipped else ""
    if kind == ".parquet" and not gzipped:
        return parquet_source(path)
    if kind == ".jsonl":
        return jsonl_source(path, max_line_bytes)
    if kind == ".json":
        return json_source(path, max_line_bytes, max_json_bytes)
    if kind == ".csv":
        return csv_source(path, max_line_bytes)
    raise refusal(
        expected=f"a file name that ends in one of {', '.join(EXTENSIONS)}",
        got=f"{''.join(suffixes[-2:])!r}" if suffixes else "no extension",
        fix="rename the file, or load it as a DataFrame and pass that",
        reason="unknown extension",
    )


def _check_file(path: Path) -> None:
    """Refuse a path at which there is no file."""
    try:
        kind = "directory" if path.is_dir() else "file" if path.exists() else "missing"
    except (OSError, ValueError):
        # Too long a name, one with a null byte, a folder that may not be entered.
        kind = "missing"
    if kind == "directory":
        raise refusal(
            expected="a file",
            got="a directory",
            fix="name one of the files in it",
            reason="directory",
        )
    if kind == "missing":
        raise refusal(
            expected="a file that exists",
            got="no such file",
            fix="check the path and the working directory",
            reason="missing file",
        )


def frame_source(frame: pd.DataFrame) -> Source:
    """Read a data frame; places name the row and its index label.

    Raises
    ------
    DataError
        If two columns have the same name.
    """
    names = [str(name) for name in frame.columns]
    _check_names(names)

    def place(number: int) -> str:
        return f"frame, row {number} (index {str(frame.index[number - 1])[:40]})"

    return Source("frame", _frame_rows(frame, names), place)


def iterable_source(rows: Iterable[Any], name: str = "rows") -> Source:
    """Read an iterable of mappings."""
    return Source(name, _iterable_rows(rows), in_rows(name))


def parquet_source(path: Path) -> Source:
    """Read a Parquet file by record batches."""
    return Source(path.name, _parquet_rows(path), in_rows(path.name))


def native(value: Any) -> Any:
    """Turn what pandas, numpy and Arrow hold into plain Python, missing into None.

    Examples
    --------
    >>> import numpy as np
    >>> native([np.int64(3), float("nan"), np.array(["a", "b"])])
    [3, None, ['a', 'b']]
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Decimal):
        value = math.nan if value.is_nan() else float(value)
    if isinstance(value, np.floating):
        value = float(value)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, int):
        return _bounded(value)
    if isinstance(value, np.ndarray | list | tuple):
        return [native(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(name): native(entry) for name, entry in value.items()}
    return None if value is pd.NA or value is pd.NaT else value


def _bounded(value: int) -> int:
    """Refuse a number so long that Python does not write it as text."""
    if value.bit_length() > _MAX_BITS:
        raise too_long_number()
    return value


def _check_names(names: list[str]) -> None:
    """Refuse columns of one name, of which a row could hold only the last."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise refusal(
            expected="columns with different names",
            got=f"{twice[0][:40]!r} twice",
            fix="rename or drop one of them",
            reason="bad header",
        )


def _native_row(row: Mapping[str, Any]) -> Row | DataError:
    try:
        return {str(name): native(value) for name, value in row.items()}
    except RecursionError:
        return too_deep()
    except DataError as error:
        return error


def _frame_rows(frame: pd.DataFrame, names: list[str]) -> NumberedRows:
    number = 0
    for start in range(0, len(frame), _CHUNK_ROWS):
        chunk = frame.iloc[start : start + _CHUNK_ROWS]
        columns = [chunk.iloc[:, column].tolist() for column in range(len(names))]
        for values in zip(*columns, strict=True):
            number += 1
            yield number, _native_row(dict(zip(names, values, strict=True)))


def _iterable_rows(rows: Iterable[Any]) -> NumberedRows:
    for number, value in enumerate(rows, start=1):
        row = as_row(value)
        yield number, row if isinstance(row, DataError) else _native_row(row)


def _parquet_rows(path: Path) -> NumberedRows:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            _check_names(file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=_CHUNK_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, _native_row(row)
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise refusal(
            expected="a whole Parquet file",
            got=f"one that cannot be read beyond row {number} ({type(error).__name__})",
            fix="write or download it again, and compare its checksum",
            reason="damaged file",
        ) from error


def hub_source(source: str) -> Source:
    """Open `hf:owner/name[:config][@split]`.

    The split may be left out where the dataset has only one.

    Raises
    ------
    DataError
        If the id is malformed, the hub cannot serve it, or a split must be named.
    MissingDependencyError
        If the package `datasets` is not installed (extra `hub`).
    """
    match = _ID.fullmatch(source)
    if match is None:
        raise refusal(
            expected="a dataset id hf:owner/name[:config][@split]",
            got=repr(source[:80]),
            fix="e.g. 'hf:Anthropic/hh-rlhf@train'",
            reason="bad dataset id",
        )
    datasets = import_optional("datasets", extra="hub")
    try:
        loaded = datasets.load_dataset(
            match["name"], match["config"], split=match["split"], streaming=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(error) from error
    inner = iterable_source(_one_split(loaded), source)
    return Source(source, _guarded(inner.rows), in_rows(source))


def _one_split(loaded: Any) -> Iterable[Any]:
    """Take the only split of what was loaded, or say which there are."""
    if not isinstance(loaded, Mapping):
        rows: Iterable[Any] = loaded
        return rows
    if len(loaded) == 1:
        only: Iterable[Any] = next(iter(loaded.values()))
        return only
    raise refusal(
        expected="the name of a split, as the dataset has several",
        got=f"none of {', '.join(map(str, loaded))}"[:200],
        fix="end the id with @ and the split, e.g. @train",
        reason="bad dataset id",
    )


def _guarded(rows: NumberedRows) -> NumberedRows:
    """Turn a connection lost on the way into a `DataError`."""
    try:
        yield from rows
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> DataError:
    return refusal(
        expected="a dataset that the hub serves",
        got=f"{type(error).__name__}: {str(error)[:160]}",
        fix="check owner, name, config and split, and the connection",
        reason="unreachable dataset",
    )
