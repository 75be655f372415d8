"""Columns of candidate-pool files under our names, read by the column if possible."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from embrm._typing import FloatArray
from embrm.datasets.formats.base import refusal
from embrm.datasets.frames import read_frame
from embrm.datasets.rows import naming
from embrm.datasets.sources import open_source
from embrm.exceptions import DataError, InvalidInputError, three_parts

COLUMNS = ("prompt_id", "gold", "prompt", "response", "length", "vector")
"""Columns that are read, by our name for them; all others are left alone."""


def read_columns(
    file: Path,
    named: Mapping[str, str],
    *,
    needed: Sequence[str] = (),
    with_vectors: bool = True,
) -> tuple[pd.DataFrame, FloatArray | None]:
    """Read the columns that are known, under our names; vectors by themselves.

    Parameters
    ----------
    file : Path
    named : mapping of str to str
        Our names to those of the file, where they differ.
    needed : sequence of str
        Our names of columns that must be there, besides `prompt_id` or `prompt`.
    with_vectors : bool, default=True

    Returns
    -------
    frame : DataFrame
        One row per item, all columns but the vectors.
    vectors : ndarray of shape (n_items, d) or None
    """
    # Opening says whether there is such a file, and of a kind that can be read.
    open_source(file, max_line_bytes=1, max_json_bytes=1)
    if file.suffix.lower() == ".parquet":
        with naming(file.name):
            return _from_parquet(file, named, needed, with_vectors=with_vectors)
    frame = read_frame(file)
    with naming(file.name):
        chosen = _choose([str(name) for name in frame.columns], named, needed)
        vector = chosen.pop("vector", None)
        rows = pd.DataFrame({ours: frame[theirs] for ours, theirs in chosen.items()})
        if vector is None or not with_vectors:
            return rows, None
        return rows, _stacked(frame[vector].tolist())


def _from_parquet(
    file: Path, named: Mapping[str, str], needed: Sequence[str], *, with_vectors: bool
) -> tuple[pd.DataFrame, FloatArray | None]:
    try:
        with pq.ParquetFile(file) as opened:
            chosen = _choose(opened.schema_arrow.names, named, needed)
            vector = chosen.pop("vector", None)
            table = opened.read(columns=list(dict.fromkeys(chosen.values())))
            rows = pd.DataFrame(
                {
                    ours: table.column(theirs).to_pandas()
                    for ours, theirs in chosen.items()
                }
            )
            if vector is None or not with_vectors:
                return rows, None
            return rows, _flattened(opened.read(columns=[vector]).column(vector))
    except (pa.ArrowException, OSError) as error:
        raise refusal(
            expected="a whole Parquet file",
            got=f"one that cannot be read ({type(error).__name__})",
            cure="write or download it again, and compare its checksum",
            reason="damaged file",
        ) from error


def check_columns(columns: Mapping[str, str]) -> Mapping[str, str]:
    """Refuse names for columns that are not read."""
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise InvalidInputError(
            three_parts(
                expected=f"columns of a candidate pool: {', '.join(COLUMNS)}",
                got=repr(unknown[0])[:60],
                cure="write our name first, e.g. {'gold': 'score'}",
            )
        )
    return columns


def _choose(
    present: Sequence[str], named: Mapping[str, str], needed: Sequence[str]
) -> dict[str, str]:
    """Map our names to the file's, of the columns that are there."""
    twice = [name for name in named.values() if present.count(name) > 1]
    twice += [name for name in COLUMNS if present.count(name) > 1]
    absent = [theirs for theirs in named.values() if theirs not in present]
    if twice or absent:
        raise _no_column((twice + absent)[0], present)
    chosen = {ours: named.get(ours, ours) for ours in COLUMNS}
    # A column that was given another of our names has lost its own.
    chosen = {
        ours: theirs
        for ours, theirs in chosen.items()
        if theirs in present and (ours in named or theirs not in named.values())
    }
    prompt = () if "prompt" in chosen else ("prompt_id",)
    missing = [name for name in (*prompt, *needed) if name not in chosen]
    if missing:
        raise _no_column(missing[0], present)
    return chosen


def _no_column(name: str, present: Sequence[str]) -> DataError:
    return refusal(
        expected=f"one column {name[:40]!r}",
        got=f"columns {', '.join(present)[:200] or 'none'}",
        cure=_CURES.get(name, "check the spelling of the column")
        + (
            f"; another one is named by --column {name}=YOURS, in Python by "
            f"columns={{{name!r}: 'yours'}}"
            if name in COLUMNS
            else ""
        ),
        reason=f"no column {name[:40]!r}",
    )


def _stacked(rows: list[Any]) -> FloatArray:
    """Stack lists of numbers, float32: JSON does not say how exact they are."""
    try:
        matrix = np.array(rows, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise _ragged() from error
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise _ragged()
    return matrix


def _flattened(column: pa.ChunkedArray) -> FloatArray:
    """Lay the lists of an Arrow column one after the other, in their own dtype."""
    try:
        flat = [chunk.flatten().to_numpy() for chunk in column.chunks]
        sizes = pc.list_value_length(column).to_numpy()
    except (pa.ArrowException, AttributeError) as error:
        raise _ragged() from error
    width = int(sizes[0]) if len(sizes) and np.isfinite(sizes[0]) else 0
    if width == 0 or (sizes != width).any():
        raise _ragged()
    dtype = flat[0].dtype
    if dtype.kind != "f":
        raise _ragged()
    return np.concatenate(flat).reshape(-1, width)


def _ragged() -> DataError:
    return refusal(
        expected="lists of numbers of one length in column 'vector'",
        got="others",
        cure="embed all items with one encoder, and write one list per row",
        reason="bad vector",
    )


_CURES = MappingProxyType(
    {
        "prompt_id": "say which prompt each item answers",
        "gold": "give each item its gold score",
    }
)
