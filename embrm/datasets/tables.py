"""Rows of tables: data frames, iterables of dicts, Parquet files."""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from embrm.datasets.formats.base import Row, refusal
from embrm.datasets.json_rows import as_row, too_deep, too_long_number
from embrm.datasets.rows import NumberedRows, Source, in_rows
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
            cure="rename or drop one of them",
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
            cure="write or download it again, and compare its checksum",
            reason="damaged file",
        ) from error
