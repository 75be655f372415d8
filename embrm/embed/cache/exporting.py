"""Write a store as one table that other tools read."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from embrm.embed.cache.durable import durable_file, storage_errors
from embrm.embed.cache.segment import arrow_schema, vectors_to_arrow
from embrm.embed.cache.store import VectorStore
from embrm.exceptions import InvalidInputError, three_parts

_BATCH_ROWS = 16_384


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote.

    Attributes
    ----------
    path : str
    n_rows, n_bytes : int
    """

    path: str
    n_rows: int
    n_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


def export(store: VectorStore, path: str | os.PathLike[str]) -> ExportReport:
    """Write the vectors of a store as one Parquet or Arrow file.

    The table has the columns `key` (32 hexadecimal digits) and `vector`
    (fixed-size list), one row for each key, and the fingerprint's digest in its
    schema metadata.

    Parameters
    ----------
    store : VectorStore
    path : str or path
        Ends in `.parquet` or `.arrow`. An existing file is replaced, at once.

    Returns
    -------
    ExportReport

    Raises
    ------
    InvalidInputError
        If the path has another ending.
    EmbrmError
        If the disk refuses; `path` then holds what it held before.
    """
    target = Path(path)
    if target.suffix not in (".parquet", ".arrow"):
        raise InvalidInputError(
            three_parts(
                expected="a path that ends in .parquet or .arrow",
                got=f"the ending {target.suffix[:20]!r}",
                cure="choose one of the two formats",
            )
        )
    key, vector = (
        pa.field("key", pa.string(), nullable=False),
        arrow_schema(store.fingerprint, 0).field("vector"),
    )
    schema = pa.schema(
        [key, vector], metadata={"embrm.fingerprint": store.fingerprint.digest}
    )
    n_rows = 0
    with storage_errors("export vectors to", target), durable_file(target) as file:
        make = pq.ParquetWriter if target.suffix == ".parquet" else pa.ipc.new_file
        with make(file, schema) as writer:
            for batch in _batches(store, schema):
                writer.write_batch(batch)
                n_rows += batch.num_rows
    return ExportReport(str(target), n_rows, target.stat().st_size)


def _batches(store: VectorStore, schema: Any) -> Iterator[Any]:
    """Yield the rows that count, in order."""
    for segment, rows in store.counting_rows():
        for start in range(0, len(rows), _BATCH_ROWS):
            some = rows[start : start + _BATCH_ROWS]
            keys = pa.array([bytes(key).hex() for key in segment.keys[some]])
            vectors = vectors_to_arrow(segment.vectors[some], store.fingerprint)
            yield pa.RecordBatch.from_arrays([keys, vectors], schema=schema)
