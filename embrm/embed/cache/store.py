"""One encoder's vectors on disk: look up, take, append."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from embrm._typing import BoolArray, FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.cache.checking import check_vectors
from embrm.embed.cache.durable import make_directory, storage_errors
from embrm.embed.cache.index import KeyIndex, check_keys
from embrm.embed.cache.meta import META, read_meta, write_meta
from embrm.embed.cache.names import list_segments, new_prefix
from embrm.embed.cache.segment import (
    Segment,
    SegmentDamageError,
    read_segment,
    set_aside,
    write_segment,
)
from embrm.embed.cache.snapshot import Snapshot
from embrm.embed.keys import Keys
from embrm.exceptions import (
    EmbrmError,
    InvalidInputError,
    three_parts,
)

SEGMENTS = "segments"
_ATTEMPTS = 10

Verify = Literal["open", "never"]


class VectorStore:
    """The vectors of one encoder, by key.

    Readers and writers need no lock: each append is a new immutable file. A store
    sees the segments that were there when it was opened, what it appended itself,
    and, after `refresh`, what others appended since. Methods may be called from
    several threads.

    Parameters
    ----------
    directory : Path
        Of this store: the cache's directory plus the fingerprint's digest. It is
        created by the first append.
    fingerprint : Fingerprint
    verify : {"open", "never"}, default="open"
        Whether a segment is compared with its digest when this store first opens it
        (1-2 GB/s). With "never" damage may pass unseen.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from embrm.embed.base import Fingerprint
    >>> from embrm.embed.keys import item_keys
    >>> who = Fingerprint({"kind": "example"}, dim=2, dtype="float32")
    >>> keys = item_keys([("Hi", "Hello"), ("Hi", "Bye")])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     store = VectorStore(Path(directory) / who.digest, who)
    ...     store.append(keys[:1], np.array([[1, 2]], dtype="float32"))
    ...     store.contains(keys).tolist(), store.take(keys[:1]).tolist()
    ([True, False], [[1.0, 2.0]])
    """

    def __init__(
        self, directory: Path, fingerprint: Fingerprint, *, verify: Verify = "open"
    ) -> None:
        if verify not in get_args(Verify):
            raise InvalidInputError(
                three_parts(
                    expected=f"verify to be one of {get_args(Verify)}",
                    got=f"{str(verify)[:20]!r}",
                    cure="leave it at 'open'",
                )
            )
        self.directory = directory
        self.fingerprint = fingerprint
        self.verify = verify
        self._skipped: set[str] = set()
        self._lock = threading.Lock()
        self._snapshot = Snapshot(())
        self.refresh()

    @property
    def dim(self) -> int:
        """Length d of the vectors."""
        return self.fingerprint.dim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype in which vectors are stored."""
        return np.dtype(self.fingerprint.dtype)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Segments as last seen, in order."""
        return self._snapshot.segments

    def __len__(self) -> int:
        return len(self._snapshot.index)

    def refresh(self) -> None:
        """See what other processes appended, compacted or set aside.

        Raises
        ------
        IntegrityError
            If the store is of an unknown layout, or a segment belongs elsewhere.
        EmbrmError
            If the directory cannot be read.

        Warns
        -----
        DamagedSegmentWarning
            For each damaged segment; its rows count as missing.
        """
        with self._lock, storage_errors("read the store", self.directory):
            read_meta(self.directory)
            segments = self._load_all()
            # An unchanged snapshot keeps its index.
            if segments != self._snapshot.segments:
                self._snapshot = Snapshot(segments)

    def contains(self, keys: Keys) -> BoolArray:
        """Say for each key whether its vector is here.

        Parameters
        ----------
        keys : ndarray of shape (n,), dtype V16

        Returns
        -------
        ndarray of shape (n,), bool
        """
        return self._snapshot.index.find(keys) >= 0

    def take(self, keys: Keys) -> FloatArray:
        """Return the vectors of keys.

        Parameters
        ----------
        keys : ndarray of shape (n,), dtype V16
            Each must be here; repetitions are fine.

        Returns
        -------
        ndarray of shape (n, d), read-only
            A view of the mapped file when the rows are consecutive in one segment,
            else a copy.

        Raises
        ------
        InvalidInputError
            If keys are missing.
        """
        snapshot = self._snapshot
        rows = snapshot.index.find(keys)
        n_missing = int(np.count_nonzero(rows < 0))
        if n_missing:
            raise InvalidInputError(
                three_parts(
                    expected=f"keys that are in the store {self.directory}",
                    got=f"{n_missing} of {len(keys)} keys missing",
                    cure="ask contains(keys) first and embed what is missing",
                )
            )
        vectors = snapshot.gather(rows, np.empty((len(rows), self.dim), self.dtype))
        vectors.flags.writeable = False
        return vectors

    def counting_rows(self) -> list[tuple[Segment, NDArray[np.int64]]]:
        """List the segments in order, each with those of its rows that count.

        Returns
        -------
        list of (Segment, ndarray)
            Row numbers within the segment, ascending. A row counts unless an earlier
            one has its key.
        """
        return self._snapshot.counting_rows()

    def append(self, keys: Keys, vectors: FloatArray) -> None:
        """Add vectors as one new segment, durable on return.

        Keys that are in the store already stay as they were: the first counts.

        Parameters
        ----------
        keys : ndarray of shape (n,), dtype V16
            All different.
        vectors : ndarray of shape (n, d)
            Finite, in the store's dtype.

        Raises
        ------
        InvalidInputError, FingerprintMismatchError
            If keys or vectors are not such.
        EmbrmError
            If the disk refuses; the store is as it was before.
        """
        check_vectors(vectors, len(check_keys(keys)), self.fingerprint)
        n_distinct = len(KeyIndex(keys))
        if n_distinct < len(keys):
            raise InvalidInputError(
                three_parts(
                    expected="keys that are all different",
                    got=f"{n_distinct} different among {len(keys)}",
                    cure="append each key once",
                )
            )
        if len(keys):
            with storage_errors("write a segment", self.directory):
                self._append(keys, vectors)

    def _append(self, keys: Keys, vectors: FloatArray) -> None:
        """Write and map one segment."""
        directory = self.directory / SEGMENTS
        make_directory(directory)
        if not (self.directory / META).exists():
            write_meta(self.directory, self.fingerprint)
        path = write_segment(directory, keys, vectors, self.fingerprint, new_prefix())
        with self._lock:
            # Bytes just written by this process need no check.
            added = read_segment(path, self.fingerprint, verify=False)
            segments = sorted((*self.segments, added), key=lambda one: one.name)
            self._snapshot = Snapshot(tuple(segments))

    def _load_all(self) -> tuple[Segment, ...]:
        """Map all segments, again if another process compacts them meanwhile."""
        known = {segment.name: segment for segment in self.segments}
        loaded = None
        for _ in range(_ATTEMPTS):
            paths = list_segments(self.directory / SEGMENTS)
            try:
                loaded = self._load(paths, known)
            except FileNotFoundError:
                continue
            if list_segments(self.directory / SEGMENTS) == paths:
                break
        if loaded is None:
            raise EmbrmError(
                three_parts(
                    expected="segments that stay while they are read",
                    got=f"some gone, {_ATTEMPTS} times, in {self.directory}",
                    cure="wait until no other process compacts this cache",
                )
            )
        return tuple(loaded)

    def _load(self, paths: Iterable[Path], known: dict[str, Segment]) -> list[Segment]:
        """Map segments that are not known yet; set damaged ones aside."""
        loaded = []
        for path in paths:
            if path.name in self._skipped:
                continue
            if path.name not in known:
                try:
                    known[path.name] = read_segment(
                        path, self.fingerprint, verify=self.verify == "open"
                    )
                except SegmentDamageError:
                    self._skipped.add(path.name)
                    set_aside(path)
                    continue
            loaded.append(known[path.name])
        return loaded
