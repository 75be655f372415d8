"""Keys and vectors as the bytes of an Arrow file, and back."""

from typing import Any

import numpy as np
import pyarrow as pa

from embrm._typing import FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.keys import KEY_DTYPE, Keys

LAYOUT = "1"
"""Version of the layout that this module writes and reads."""

_ARROW_DTYPES = {"float16": pa.float16(), "float32": pa.float32()}
_KEY_COLUMN = 0


class NotASegmentError(ValueError):
    """The bytes cannot be those of a segment."""


def arrow_schema(store: Fingerprint, n_rows: int) -> Any:
    """Return the Arrow schema of a store's segments."""
    number = pa.field("item", _ARROW_DTYPES[store.dtype], nullable=False)
    return pa.schema(
        [
            pa.field("key", pa.binary(KEY_DTYPE.itemsize), nullable=False),
            pa.field("vector", pa.list_(number, store.dim), nullable=False),
        ],
        metadata={
            "embrm.layout": LAYOUT,
            "embrm.fingerprint": store.digest,
            "embrm.rows": str(n_rows),
        },
    )


def vectors_to_arrow(vectors: FloatArray, store: Fingerprint) -> Any:
    """Wrap vectors of shape (n, d) as an Arrow array of fixed-size lists."""
    kind = arrow_schema(store, 0).field("vector").type
    flat = np.ascontiguousarray(vectors).reshape(-1)
    numbers = pa.Array.from_buffers(
        kind.value_type, flat.size, [None, pa.py_buffer(flat)]
    )
    return pa.Array.from_buffers(kind, len(vectors), [None], children=[numbers])


def encode(keys: Keys, vectors: FloatArray, store: Fingerprint) -> Any:
    """Write rows as an Arrow IPC file in memory."""
    schema = arrow_schema(store, len(keys))
    raw = pa.py_buffer(np.ascontiguousarray(keys).view(np.uint8))
    key_column = pa.Array.from_buffers(schema.field("key").type, len(keys), [None, raw])
    columns = [key_column, vectors_to_arrow(vectors, store)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    return sink.getvalue()


def open_batch(data: Any, *, keys_only: bool = False) -> Any:
    """Read the one record batch of a segment, without a copy.

    Parameters
    ----------
    data : buffer or file
    keys_only : bool, default=False
        Whether to read the column of keys alone; of a file, no more is read then.

    Raises
    ------
    NotASegmentError
        If there is no such batch.
    OSError
        If a file cannot be read.
    """
    fields = [_KEY_COLUMN] if keys_only else None
    options = pa.ipc.IpcReadOptions(included_fields=fields)
    try:
        reader = pa.ipc.open_file(data, options=options)
        batches = [reader.get_batch(n) for n in range(reader.num_record_batches)]
    except (pa.ArrowException, ValueError) as error:
        raise NotASegmentError("no Arrow file") from error
    if len(batches) != 1:
        raise NotASegmentError(f"{len(batches)} record batches")
    return batches[0]


def keys_of(batch: Any) -> Keys:
    """View the keys within the bounds of their buffer."""
    buffer = batch.column("key").buffers()[1]
    return np.frombuffer(buffer, dtype=KEY_DTYPE, count=batch.num_rows)


def vectors_of(batch: Any, store: Fingerprint) -> FloatArray:
    """View the vectors within the bounds of their buffer."""
    buffer = batch.column("vector").values.buffers()[1]
    flat = np.frombuffer(buffer, dtype=store.dtype, count=batch.num_rows * store.dim)
    return flat.reshape(batch.num_rows, store.dim)
