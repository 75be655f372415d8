"""Rows of tables: frames, Arrow and Parquet, as plain Python."""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from embrm.datasets._json_rows import as_row, too_deep, too_long_number
from embrm.datasets._rows import NumberedRows, Source, in_rows
from embrm.datasets.formats.base import Row
from embrm.exceptions import DataError

_CHUNK_ROWS = 8192
_PLAIN = (str, bool, type(None))
_MAX_BITS = 2000  # 602 digits; Python's limit can be set no lower than 640.


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


def file_source(path: Path) -> Source:
    """Read a file of Parquet, or of Arrow as `datasets` and Feather write it.

    By record batches; which of the two it is, its name says.
    """
    if path.suffix.lower() == ".parquet":
        rows = _guarding_table(_parquet_rows(path), "Parquet file")
    else:
        rows = _guarding_table(_arrow_rows(path), "Arrow file")
    return Source(path.name, rows, in_rows(path.name))


def table_source(table: "pa.Table | pa.RecordBatch", name: str) -> Source:
    """Read a table of pyarrow by record batches."""
    batches = [table] if isinstance(table, pa.RecordBatch) else table.to_batches(8192)
    _check_names(table.schema.names)
    rows = _guarding_table(_batch_rows(batches), "Arrow table")
    return Source(name, rows, in_rows(name))


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
    if isinstance(value, Decimal | np.floating):
        value = _as_float(value)
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, int):
        return _bounded(value)
    if isinstance(value, np.ndarray | list | tuple):
        return [native(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(name): native(entry) for name, entry in value.items()}
    return _as_text(value)


def _as_float(value: Any) -> float:
    """Write a number as a float; also the signalling NaN of decimals."""
    is_nan = isinstance(value, Decimal) and value.is_nan()
    return math.nan if is_nan else float(value)


def _as_text(value: Any) -> Any:
    """Write dates and durations as text; other objects stay as they are."""
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, datetime | date | time):
        return str(value)
    return str(value) if isinstance(value, timedelta) else value


def _bounded(value: int) -> int:
    """Refuse a number so long that Python does not write it as text."""
    if value.bit_length() > _MAX_BITS:
        raise too_long_number()
    return value


def _check_names(names: list[str]) -> None:
    """Refuse columns of one name, of which a row could hold only the last."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError.of(
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
    with pq.ParquetFile(path) as file:
        _check_names(file.schema_arrow.names)
        yield from _batch_rows(file.iter_batches(batch_size=_CHUNK_ROWS))


def _arrow_rows(path: Path) -> NumberedRows:
    with pa.OSFile(str(path)) as file:
        try:
            whole = pa.ipc.open_file(file)
            schema, numbers = whole.schema, range(whole.num_record_batches)
            batches = map(whole.get_batch, numbers)
        except pa.ArrowInvalid:
            file.seek(0)
            stream = pa.ipc.open_stream(file)
            schema, batches = stream.schema, iter(stream)
        _check_names(schema.names)
        yield from _batch_rows(_checked_slices(batches))


def _checked_slices(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
    """Check that offsets lie within their buffers, which Arrow does not by itself."""
    for batch in batches:
        batch.validate(full=True)
        for start in range(0, batch.num_rows, _CHUNK_ROWS):
            yield batch.slice(start, _CHUNK_ROWS)


def _batch_rows(batches: "Iterable[pa.RecordBatch]") -> NumberedRows:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield number, _native_row(row)


def _guarding_table(rows: NumberedRows, kind: str) -> NumberedRows:
    """Turn damage, and values that Python cannot hold, into a `DataError`."""
    number = 0
    try:
        for number, row in rows:
            yield number, row
    except OverflowError as error:
        raise DataError.of(
            expected="dates and durations of the years 1 to 9999",
            got=f"one beyond them after row {number}",
            fix="drop the column or the row, or write it as text",
            reason="date out of range",
        ) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError.of(
            expected=f"a whole {kind}",
            got=f"one that cannot be read beyond row {number} ({type(error).__name__})",
            fix="write or download it again, and compare its checksum",
            reason="damaged file",
        ) from error
