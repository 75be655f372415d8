"""One segment of a store: write it, map it, compare it with its digest."""

import hashlib
import mmap
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from embrm._typing import FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.cache._layout import (
    DAMAGED,
    LAYOUT,
    NotASegmentError,
    arrow_schema,
    check_layout,
    encode,
    keys_of,
    open_batch,
    segment_name,
    split_name,
    vectors_of,
)
from embrm.embed.cache.durable import Place, RemotePath, is_plain, write_durably
from embrm.embed.keys import Keys
from embrm.exceptions import (
    DamagedSegmentWarning,
    FingerprintMismatchError,
    IntegrityError,
    warn,
)

_COPY_BYTES = 8 * 2**20


class SegmentDamageError(IntegrityError):
    """The bytes of a segment are not those that were written."""


@dataclass(eq=False)
class Segment:
    """One segment, mapped into memory.

    Attributes
    ----------
    path : Path or RemotePath
    fingerprint : Fingerprint
        Of its store.
    keys : ndarray of shape (n,), dtype V16, read-only
    n_bytes : int
        Size of the file.
    mapped : ndarray of shape (n, d) or None
        None for a segment elsewhere of which only the keys were read.
    stamp : (int, int, int) or None
        Size, time of change and inode of a local file when it was mapped.
    """

    path: Place
    fingerprint: Fingerprint
    keys: Keys
    n_bytes: int
    mapped: FloatArray | None
    stamp: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        """File name, which decides the order."""
        return self.path.name

    @property
    def vectors(self) -> FloatArray:
        """Vectors, shape (n, d), a read-only view of the file, fetched if need be."""
        return self._fetched() if self.mapped is None else self.mapped

    def check(self) -> None:
        """Compare all bytes with the digest in the name, at 1-2 GB/s.

        A segment elsewhere is fetched for it, once.

        Raises
        ------
        SegmentDamageError
            If they are not what was written.
        OSError
            If they cannot be read; FileNotFoundError if the file is gone.
        """
        if isinstance(self.path, Path):
            stamp = _stamp(self.path)
            check_digest(self.path)
            self.stamp = stamp
        elif self.mapped is None:
            self._fetched()

    def is_changed(self) -> bool:
        """Say whether a local file was written into since it was mapped or checked.

        Reading beyond the end of a file that was cut would end the process. One that
        was deleted or replaced stays mapped. What is written between this look and
        the read is beyond what can be promised: segments are never written into.
        """
        if self.stamp is None or not isinstance(self.path, Path):
            return False
        try:
            now = _stamp(self.path)
        except FileNotFoundError:
            return False
        is_same_file = now[-1] == self.stamp[-1]
        return is_same_file and now != self.stamp

    def _fetched(self) -> FloatArray:
        """Fetch the whole segment, checked."""
        whole = _view(self.path, _fetch(self.path), self.fingerprint)
        self.keys, self.mapped = whole.keys, whole.vectors
        return whole.vectors

    def __len__(self) -> int:
        return len(self.keys)


def write_segment(
    directory: Place, keys: Keys, vectors: FloatArray, store: Fingerprint, prefix: str
) -> Place:
    """Write one segment durably and return its path.

    Parameters
    ----------
    directory : Path or RemotePath
        Must exist.
    keys : ndarray of shape (n,), dtype V16
    vectors : ndarray of shape (n, d)
        In the fingerprint's dtype; both are checked by the caller.
    store : Fingerprint
    prefix : str
        From `new_prefix`, or the prefix of the segment whose place this one takes.
    """
    data = encode(keys, vectors, store)
    digest = hashlib.sha256(data).hexdigest()[:32]
    path = directory / segment_name(prefix, digest)
    write_durably(path, data)
    return path


def read_segment(path: Place, fingerprint: Fingerprint, *, verify: bool) -> Segment:
    """Map a segment into memory; of one elsewhere, read only the keys if unverified.

    Parameters
    ----------
    path : Path or RemotePath
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
    if isinstance(path, RemotePath):
        keys_only = None if verify else _read_keys(path, fingerprint)
        return keys_only or _view(path, _fetch(path), fingerprint)
    if verify:
        check_digest(path)
    stamp = _stamp(path)
    segment = _view(path, _map(path), fingerprint)
    segment.stamp = stamp
    return segment


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def count_rows(path: Place) -> int:
    """Count the rows of a segment without reading them or checking its digest."""
    if isinstance(path, RemotePath):
        with path.open() as file:
            return int(_batch(path, file, keys_only=True).num_rows)
    return int(_batch(path, _map(path)).num_rows)


def check_digest(path: Place) -> None:
    """Compare a segment's bytes with the digest in its name."""
    if not is_plain(path):
        raise _damaged(path, "something that is no regular file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
    _compare(path, digest)


def set_aside(path: Place) -> None:
    """Rename a damaged segment and warn; where that is forbidden, only warn."""
    try:
        path.rename(str(path.with_name(path.name + DAMAGED)))
        done = f"renamed to *{DAMAGED}"
    except FileNotFoundError:
        return  # another process was faster, and warned
    except OSError as error:
        done = f"skipped, as it cannot be renamed ({error.strerror})"
    warn(
        f"cache segment {path} is damaged and was {done}; its rows will be embedded "
        "again. The disk or a copy is at fault: run `embrm cache verify`.",
        DamagedSegmentWarning,
    )


def _map(path: Place) -> Any:
    """Map a file; it stays mapped when it is closed, and when it is deleted."""
    if not is_plain(path):
        raise _damaged(path, "something that is no regular file")
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def _fetch(path: Place) -> Any:
    """Copy a segment to a nameless local file, check its digest, and map the copy."""
    with tempfile.TemporaryFile() as copy:
        with path.open() as file:
            shutil.copyfileobj(file, copy, _COPY_BYTES)
        copy.seek(0)
        _compare(path, hashlib.file_digest(copy, "sha256").hexdigest()[:32])
        return pa.py_buffer(mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ))


def _read_keys(path: RemotePath, fingerprint: Fingerprint) -> Segment | None:
    """Read the column of keys; None where the whole file must be checked."""
    try:
        with path.open() as file:
            batch, n_bytes = open_batch(file, keys_only=True), file.seek(0, os.SEEK_END)
        _check_metadata(path, batch.schema.metadata or {}, fingerprint)
        if batch.schema.field(0) != arrow_schema(fingerprint, 0).field("key"):
            return None
        return Segment(path, fingerprint, keys_of(batch), n_bytes, None)
    except FileNotFoundError:
        raise
    except (OSError, TypeError, ValueError):
        return None


def _view(path: Place, data: Any, fingerprint: Fingerprint) -> Segment:
    """View the rows of a segment whose bytes are at hand."""
    batch = _batch(path, data)
    _check_metadata(path, batch.schema.metadata or {}, fingerprint)
    if batch.schema != arrow_schema(fingerprint, 0):
        raise _damaged(path, "other columns than key and vector")
    try:
        keys, vectors = keys_of(batch), vectors_of(batch, fingerprint)
    except (TypeError, ValueError) as error:
        raise _damaged(path, "missing or short buffers") from error
    return Segment(path, fingerprint, keys, data.size, vectors)


def _batch(path: Place, data: Any, *, keys_only: bool = False) -> Any:
    """Open the record batch of a segment, or raise that it is damaged."""
    try:
        return open_batch(data, keys_only=keys_only)
    except FileNotFoundError:
        raise
    except (NotASegmentError, OSError) as error:
        # Arrow raises OSError for some bytes that it cannot make sense of.
        words = str(error) if isinstance(error, NotASegmentError) else "no Arrow file"
        raise _damaged(path, words) from error


def _compare(path: Place, digest: str) -> None:
    """Compare the digest of what was read with the one in the name."""
    parts = split_name(path.name)
    if parts is None or parts[1] != digest:
        raise _damaged(path, f"digest {digest}")


def _check_metadata(
    path: Place, metadata: dict[bytes, bytes], fingerprint: Fingerprint
) -> None:
    """Refuse a whole segment of another layout or another store."""
    layout = metadata.get(b"embrm.layout", b"none").decode("ascii", "replace")
    owner = metadata.get(b"embrm.fingerprint", b"none").decode("ascii", "replace")
    if (layout, owner) != (LAYOUT, fingerprint.digest):
        check_digest(path)  # a flipped bit is damage, not another layout
    check_layout(layout, "segments", path)
    if owner != fingerprint.digest:
        raise FingerprintMismatchError.of(
            expected=f"segments of fingerprint {fingerprint.digest}",
            got=f"fingerprint {owner[:32]} in {path}",
            fix=f"move the file to the directory {owner[:32]}/segments",
        )


def _damaged(path: Place, got: str) -> SegmentDamageError:
    return SegmentDamageError.of(
        expected=f"segment {path.name} as it was written",
        got=got,
        fix="run again: a damaged segment is set aside, its rows embedded again",
    )
