"""The files of a store: their names, their bytes, and meta.json.

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
- A writer MUST choose a `<utc>` later than that of every segment it can list. So
  clocks do not decide between a vector that is there and one that comes later; they
  do between writers of the same key at the same moment, alike for every reader.
- A key MUST be unique within a segment and MAY be in several segments.
- A reader MUST ignore names of any other form: `*.tmp` is being written or was left
  by a killed writer, `*.damaged` failed its digest. It MUST refuse another layout.
- A writer MUST make a segment appear under its name by one rename of a synced file,
  or by one PUT to an object store, and MUST NOT change it afterwards. Any number of
  writers MAY write at once.
- A maintainer MAY delete a segment once all its rows that count are in others. A
  reader that meets a segment gone MUST list the directory again.
"""

import json
import os
import re
import secrets
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from embrm._typing import FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.cache.durable import Place, is_plain, write_durably
from embrm.embed.keys import KEY_DTYPE, Keys
from embrm.exceptions import (
    DamagedSegmentWarning,
    FingerprintMismatchError,
    IntegrityError,
    warn,
)

META = "meta.json"

DAMAGED = ".damaged"
"""Suffix of segments that were set aside."""

_NAME = re.compile(
    r"(?P<prefix>\d{8}T\d{12}Z-[\w.]+-\d+-[0-9a-f]{8})-(?P<digest>[0-9a-f]{32})\.arrow",
    re.ASCII,
)
LAYOUT = "1"
"""Version of the layout that this module writes and reads."""

_ARROW_DTYPES = {"float16": pa.float16(), "float32": pa.float32()}
_KEY_COLUMN = 0
_MAX_META_BYTES = 1_000_000


def write_meta(directory: Place, fingerprint: Fingerprint) -> None:
    """Write the meta.json of a store; writers that race write the same bytes."""
    values = {
        "layout": LAYOUT,
        "digest": fingerprint.digest,
        "fingerprint": fingerprint.to_json(),
    }
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_durably(directory / META, text.encode())


def read_meta(directory: Place) -> Fingerprint | None:
    """Read and check the meta.json of a store.

    Returns
    -------
    Fingerprint or None
        None where there is no file: the next append writes it.

    Raises
    ------
    IntegrityError
        If the file cannot be read as JSON, or is of an unknown layout.
    FingerprintMismatchError
        If its fingerprint is not the one that the directory is named after.
    """
    path = directory / META
    try:
        if not is_plain(path) or path.stat().st_size > _MAX_META_BYTES:
            raise _unreadable(path)
        values: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise _unreadable(path) from error
    layout = values.get("layout") if isinstance(values, dict) else None
    if not isinstance(layout, str):
        raise _unreadable(path)
    check_layout(layout, "a store", path)
    try:
        fingerprint = Fingerprint.from_json(values["fingerprint"])
        digest = fingerprint.digest
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path) from error
    if digest != directory.name:
        raise FingerprintMismatchError.of(
            expected=f"the fingerprint with digest {directory.name} in {path}",
            got=f"one with digest {digest}",
            fix="undo the change, or delete the file: the next run writes it",
        )
    return fingerprint


def check_layout(layout: str, of: str, path: Place) -> None:
    """Refuse what another version of embrm laid out in another way."""
    if layout != LAYOUT:
        raise IntegrityError.of(
            expected=f"{of} of layout {LAYOUT}",
            got=f"layout {layout[:20]} in {path}",
            fix="upgrade embrm, or choose another cache directory",
        )


class UnreadableMetaError(IntegrityError):
    """A meta.json holds nothing that can be understood; it can be written again."""


def repair_meta(directory: Place, fingerprint: Fingerprint) -> None:
    """Put a meta.json that cannot be read aside, warn, and write it again."""
    path = directory / META
    with suppress(FileNotFoundError):
        path.rename(str(path.with_name(META + DAMAGED)))
    write_meta(directory, fingerprint)
    warn(
        f"{path} could not be read: it was renamed to *{DAMAGED} and written again",
        DamagedSegmentWarning,
    )


def _unreadable(path: Place) -> IntegrityError:
    return UnreadableMetaError.of(
        expected=f"a readable layout and fingerprint in {path}",
        got="something else",
        fix="delete the file: the next run writes it again, vectors are kept",
    )


def new_prefix(last: str | None = None) -> str:
    """Make the first part of a name: unique, ordered by time, and after `last`.

    Parameters
    ----------
    last : str, optional
        Latest name there is. Where this machine's clock is behind it, the new name
        takes the next microsecond, so that it sorts behind in any case.

    Examples
    --------
    >>> new_prefix("29990101T000000000009Z-host-7-0123abcd-" + "f" * 32)[:23]
    '29990101T000000000010Z-'
    """
    utc = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    if last is not None and utc <= last[: len(utc)]:
        utc = _next_stamp(last[: len(utc)])
    host = re.sub(r"[^A-Za-z0-9_.]", "_", socket.gethostname())[:32] or "host"
    return f"{utc}-{host}-{os.getpid()}-{secrets.token_hex(4)}"


def segment_name(prefix: str, digest: str) -> str:
    """Join a prefix and a digest of 32 hexadecimal digits to a name."""
    return f"{prefix}-{digest}.arrow"


def split_name(name: str) -> tuple[str, str] | None:
    """Split a name into prefix and digest; None if it is not a segment's.

    Examples
    --------
    >>> split_name("20260131T235959000000Z-host-7-0123abcd-" + "f" * 32 + ".arrow")
    ('20260131T235959000000Z-host-7-0123abcd', 'ffffffffffffffffffffffffffffffff')
    >>> split_name("notes.txt")
    """
    match = _NAME.fullmatch(name)
    return (match["prefix"], match["digest"]) if match else None


def _next_stamp(utc: str) -> str:
    """Add a microsecond, as to one number: what counts is the order."""
    digits = utc[:8] + utc[9:21]
    digits = f"{min(int(digits) + 1, 10**20 - 1):020d}"
    return f"{digits[:8]}T{digits[8:]}Z"


def list_segments(directory: Place) -> list[Place]:
    """List the segments of a directory in order; none if there is no directory."""
    try:
        paths = [path for path in directory.iterdir() if split_name(path.name)]
    except FileNotFoundError:
        return []
    return sorted(paths, key=lambda path: path.name)


def names_in(directory: Place) -> list[str]:
    """List the names in a directory; none if there is no directory."""
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []


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
