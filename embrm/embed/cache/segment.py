"""Segments: immutable Arrow files of keys and vectors.

Layout 1
--------
A segment is one file named `<utc>-<host>-<pid>-<random>-<digest>.arrow`.

- The file MUST be an Arrow IPC file, uncompressed, with exactly one record batch and
  two columns without nulls: `key`, fixed_size_binary(16), and `vector`,
  fixed_size_list<float16 or float32>[d].
- Its schema metadata MUST hold `embrm.layout` ("1"), `embrm.fingerprint` (digest of
  the encoder's fingerprint) and `embrm.rows`.
- `<digest>` MUST be the first 32 hexadecimal digits of the SHA-256 of the whole file,
  so that it covers rows, schema and metadata alike, needs no second file, and can be
  checked by hand with `sha256sum`.
- `<utc>` MUST be 20 digits of date and time to the microsecond as in
  `20260131T235959000000Z`. Segments are ordered by name, rows by place: of rows with
  the same key the FIRST counts.
- A key MUST be unique within a segment and MAY be in several segments.
- A reader MUST ignore names of any other form: `*.tmp` is being written or was left
  by a killed writer, `*.damaged` failed its digest. It MUST refuse another layout.
- A writer MUST make a segment appear under its name by one rename of a synced file,
  and MUST NOT change it afterwards. Any number of writers MAY write at once.
- A maintainer MAY delete a segment once all its rows that count are in others. A
  reader that meets a segment gone MUST list the directory again.
"""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from embrm._typing import FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.cache.durable import write_durably
from embrm.embed.cache.names import DAMAGED, segment_name, split_name
from embrm.embed.keys import KEY_DTYPE, Keys
from embrm.exceptions import (
    DamagedSegmentWarning,
    FingerprintMismatchError,
    IntegrityError,
    three_parts,
)

LAYOUT = "1"
"""Version of the layout that this module writes and reads."""

_ARROW_DTYPES = {"float16": pa.float16(), "float32": pa.float32()}


class SegmentDamageError(IntegrityError):
    """The bytes of a segment are not those that were written."""


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment, mapped into memory.

    Attributes
    ----------
    path : Path
    keys : ndarray of shape (n,), dtype V16
    vectors : ndarray of shape (n, d), float16 or float32
        Both are read-only views of the file.
    n_bytes : int
        Size of the file.
    """

    path: Path
    keys: Keys
    vectors: FloatArray
    n_bytes: int

    @property
    def name(self) -> str:
        """File name, which decides the order."""
        return self.path.name

    def __len__(self) -> int:
        return len(self.keys)


def write_segment(
    directory: Path, keys: Keys, vectors: FloatArray, store: Fingerprint, prefix: str
) -> Path:
    """Write one segment durably and return its path.

    Parameters
    ----------
    directory : Path
        Must exist.
    keys : ndarray of shape (n,), dtype V16
    vectors : ndarray of shape (n, d)
        In the fingerprint's dtype; both are checked by the caller.
    store : Fingerprint
    prefix : str
        From `new_prefix`, or the prefix of the segment whose place this one takes.
    """
    data = _encode(keys, vectors, store)
    digest = hashlib.sha256(data).hexdigest()[:32]
    path = directory / segment_name(prefix, digest)
    write_durably(path, data)
    return path


def read_segment(path: Path, fingerprint: Fingerprint, *, verify: bool) -> Segment:
    """Map a segment into memory.

    Parameters
    ----------
    path : Path
        Its name has the form of a segment's.
    fingerprint : Fingerprint
        Of the store that it should belong to.
    verify : bool
        Whether to compare the file with the digest in its name, at 1-2 GB/s.

    Raises
    ------
    SegmentDamageError
        If the digest does not match, or the file cannot be parsed.
    IntegrityError
        If the file is whole but of an unknown layout.
    FingerprintMismatchError
        If the file is whole but belongs to another store.
    OSError
        If it cannot be read; FileNotFoundError if it is gone.
    """
    if verify:
        check_digest(path)
    with pa.memory_map(str(path)) as file:
        data = file.read_buffer()  # stays mapped when the file is closed
    batch = _parse(path, data)
    _check_metadata(path, batch.schema.metadata or {}, fingerprint)
    if batch.schema != arrow_schema(fingerprint, 0):
        raise _damaged(path, "other columns than key and vector")
    try:
        return Segment(path, _keys(batch), _vectors(batch, fingerprint), data.size)
    except (TypeError, ValueError) as error:
        raise _damaged(path, "missing or short buffers") from error


def count_rows(path: Path) -> int:
    """Count the rows of a segment without reading them or checking its digest."""
    with pa.memory_map(str(path)) as file:
        return int(_parse(path, file.read_buffer()).num_rows)


def check_digest(path: Path) -> None:
    """Compare a segment's bytes with the digest in its name."""
    parts = split_name(path.name)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    if parts is None or parts[1] != digest:
        raise _damaged(path, f"digest {digest}")


def set_aside(path: Path) -> None:
    """Rename a damaged segment and warn; where that is forbidden, only warn."""
    try:
        path.rename(path.with_name(path.name + DAMAGED))
        done = f"renamed to *{DAMAGED}"
    except FileNotFoundError:
        return  # another process was faster, and warned
    except OSError as error:
        done = f"skipped, as it cannot be renamed ({error.strerror})"
    warnings.warn(
        f"cache segment {path} is damaged and was {done}; its rows will be embedded "
        "again. The disk or a copy is at fault: run `embrm cache verify`.",
        DamagedSegmentWarning,
        stacklevel=2,
    )


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


def _encode(keys: Keys, vectors: FloatArray, store: Fingerprint) -> Any:
    """Write rows as an Arrow IPC file in memory."""
    schema = arrow_schema(store, len(keys))
    raw = pa.py_buffer(np.ascontiguousarray(keys).view(np.uint8))
    key_column = pa.Array.from_buffers(schema.field("key").type, len(keys), [None, raw])
    columns = [key_column, vectors_to_arrow(vectors, store)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    return sink.getvalue()


def _parse(path: Path, data: Any) -> Any:
    """Read the one record batch of a segment, without a copy."""
    try:
        reader = pa.ipc.open_file(data)
        batches = [reader.get_batch(n) for n in range(reader.num_record_batches)]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, "no Arrow file") from error
    if len(batches) != 1:
        raise _damaged(path, f"{len(batches)} record batches")
    return batches[0]


def _keys(batch: Any) -> Keys:
    """View the keys within the bounds of their buffer."""
    buffer = batch.column("key").buffers()[1]
    return np.frombuffer(buffer, dtype=KEY_DTYPE, count=batch.num_rows)


def _vectors(batch: Any, store: Fingerprint) -> FloatArray:
    """View the vectors within the bounds of their buffer."""
    buffer = batch.column("vector").values.buffers()[1]
    flat = np.frombuffer(buffer, dtype=store.dtype, count=batch.num_rows * store.dim)
    return flat.reshape(batch.num_rows, store.dim)


def _check_metadata(
    path: Path, metadata: dict[bytes, bytes], fingerprint: Fingerprint
) -> None:
    """Refuse a whole segment of another layout or another store."""
    layout = metadata.get(b"embrm.layout", b"none").decode("ascii", "replace")
    owner = metadata.get(b"embrm.fingerprint", b"none").decode("ascii", "replace")
    if (layout, owner) != (LAYOUT, fingerprint.digest):
        check_digest(path)  # a flipped bit is damage, not another layout
    if layout != LAYOUT:
        raise IntegrityError(
            three_parts(
                expected=f"segments of layout {LAYOUT}",
                got=f"layout {layout[:20]} in {path}",
                cure="upgrade embrm, or choose another cache directory",
            )
        )
    if owner != fingerprint.digest:
        raise FingerprintMismatchError(
            three_parts(
                expected=f"segments of fingerprint {fingerprint.digest}",
                got=f"fingerprint {owner[:32]} in {path}",
                cure=f"move the file to the directory {owner[:32]}/segments",
            )
        )


def _damaged(path: Path, got: str) -> SegmentDamageError:
    return SegmentDamageError(
        three_parts(
            expected=f"segment {path.name} as it was written",
            got=got,
            cure="run again: a damaged segment is set aside, its rows embedded again",
        )
    )
