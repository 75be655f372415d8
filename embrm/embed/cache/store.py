"""One encoder's vectors on disk: look up, take, append."""

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm.embed.base import Fingerprint
from embrm.embed.cache._layout import (
    META,
    UnreadableMetaError,
    list_segments,
    new_prefix,
    read_meta,
    repair_meta,
    write_meta,
)
from embrm.embed.cache._segment import Segment, write_segment
from embrm.embed.cache._snapshot import ATTEMPTS, Loader, Snapshot, too_many_retries
from embrm.embed.cache.durable import (
    Place,
    make_directory,
    remove_leftovers,
    storage_errors,
)
from embrm.embed.keys import KEY_DTYPE, KeyIndex, Keys, check_keys
from embrm.exceptions import FingerprintMismatchError, invalid_input

SEGMENTS = "segments"
Verify = Literal["use", "open", "never"]


class VectorStore:
    """The vectors of one encoder, by key.

    Readers and writers need no lock: each append is a new immutable file. A store
    sees the segments that were there when it was opened, what it appended itself,
    and, after `refresh`, what others appended since. Methods may be called from
    several threads.

    Parameters
    ----------
    directory : Path or RemotePath
        Of this store: the cache's directory plus the fingerprint's digest. It is
        created by the first append.
    fingerprint : Fingerprint
    verify : {"use", "open", "never"}, default="use"
        When a segment is compared with its digest (1-2 GB/s): before the first use of
        its rows, when this store first sees it, or not at all. With "never" damage may
        pass unseen.

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
        self, directory: Place, fingerprint: Fingerprint, *, verify: Verify = "use"
    ) -> None:
        if verify not in get_args(Verify):
            raise invalid_input(
                expected=f"verify to be one of {get_args(Verify)}",
                got=f"{str(verify)[:20]!r}",
                fix="leave it at 'use'",
            )
        self.directory = directory
        self.fingerprint = fingerprint
        self.verify = verify
        self._loader = Loader(directory / SEGMENTS, fingerprint)
        self._lock = threading.Lock()
        self._tidied = False
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
        self._reload()
        while self.verify == "open" and not self._check(self.segments):
            pass

    def contains(self, keys: Keys, *, check: bool = True) -> BoolArray:
        """Say for each key whether its vector is here.

        Parameters
        ----------
        keys : ndarray of shape (n,), dtype V16
        check : bool, default=True
            Whether the segments that hold the keys are compared with their digests,
            if they have not been yet, so that True means: here and undamaged. Without
            it only keys are looked up, at millions per second: enough to plan what is
            to be embedded.

        Returns
        -------
        ndarray of shape (n,), bool

        Warns
        -----
        DamagedSegmentWarning
            For each damaged segment; its rows count as missing.
        """
        return self._find(keys, check=check)[1] >= 0

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
            If keys are missing, or turn out to be in damaged segments only.
        EmbrmError
            If a segment cannot be read.

        Warns
        -----
        DamagedSegmentWarning
            For each damaged segment that is met.
        """
        snapshot, rows = self._find(keys, check=True)
        n_missing = int(np.count_nonzero(rows < 0))
        if n_missing:
            raise invalid_input(
                expected=f"keys that are in the store {self.directory}",
                got=f"{n_missing} of {len(keys)} keys missing",
                fix="call contains(keys) first and embed what is missing",
            )
        with storage_errors("read the store", self.directory):
            out = np.empty((len(rows), self.dim), self.dtype)
            vectors = snapshot.gather(rows, out)
        vectors.flags.writeable = False
        return vectors

    def counting_rows(self) -> list[tuple[Segment, NDArray[np.int64]]]:
        """List the segments in order, each with those of its rows that count.

        Returns
        -------
        list of (Segment, ndarray)
            Row numbers within the segment, ascending. A row counts unless an earlier
            one has its key. All segments are compared with their digests first.
        """
        while not self._check(self.segments):
            pass
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
            raise invalid_input(
                expected="keys that are all different",
                got=f"{n_distinct} different among {len(keys)}",
                fix="append each key once",
            )
        if len(keys):
            with storage_errors("write a segment", self.directory):
                self._append(keys, vectors)

    def _append(self, keys: Keys, vectors: FloatArray) -> None:
        """Write and map one segment."""
        directory = self.directory / SEGMENTS
        make_directory(directory)
        if not self._tidied:
            remove_leftovers(directory)
            self._tidied = True
        if not (self.directory / META).exists():
            write_meta(self.directory, self.fingerprint)
        names = [path.name for path in list_segments(directory)]
        prefix = new_prefix(names[-1] if names else None)
        path = write_segment(directory, keys, vectors, self.fingerprint, prefix)
        added = self._loader.add(path)
        with self._lock:
            segments = sorted((*self.segments, added), key=lambda one: one.name)
            self._snapshot = Snapshot(tuple(segments))

    def _find(self, keys: Keys, *, check: bool) -> tuple[Snapshot, NDArray[np.int64]]:
        """Find the rows of keys, in segments that are whole if `check`."""
        for _ in range(ATTEMPTS):
            snapshot = self._snapshot
            rows = snapshot.find(check_keys(keys))
            if not check or self._check(snapshot.holding(rows)):
                return snapshot, rows
        raise too_many_retries(self.directory)

    def _check(self, segments: Iterable[Segment]) -> bool:
        """Check segments once; return False and load again if some cannot be used."""
        if self.verify == "never":
            return True
        with storage_errors("read the store", self.directory):
            whole = self._loader.check(segments)
        if not whole:
            self._reload()
        return whole

    def _reload(self) -> None:
        """List the segments, map the new ones, and drop those that are gone."""
        with self._lock, storage_errors("read the store", self.directory):
            try:
                read_meta(self.directory)
            except UnreadableMetaError:
                repair_meta(self.directory, self.fingerprint)
            segments = self._loader.load(self.segments)
            # An unchanged snapshot keeps its index.
            if segments != self._snapshot.segments:
                self._snapshot = Snapshot(segments)


class Store(Protocol):
    """What a run needs of a store; see `VectorStore`."""

    def refresh(self) -> None:
        """See what others appended."""
        ...

    def contains(self, keys: Keys) -> BoolArray:
        """Say for each key whether its vector is here."""
        ...

    def append(self, keys: Keys, vectors: FloatArray) -> None:
        """Add vectors."""
        ...

    def take(self, keys: Keys) -> FloatArray:
        """Return the vectors of keys."""
        ...


class MemoryStore:
    """The vectors of one encoder, in memory, for one run.

    Parameters
    ----------
    fingerprint : Fingerprint

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.embed.base import Fingerprint
    >>> from embrm.embed.keys import item_keys
    >>> store = MemoryStore(Fingerprint({"kind": "example"}, dim=1, dtype="float32"))
    >>> keys = item_keys([("Hi", "Hello"), ("Hi", "Bye")])
    >>> store.append(keys, np.array([[1], [2]], dtype="float32"))
    >>> store.take(keys[[1, 0, 1]]).tolist()
    [[2.0], [1.0], [2.0]]
    """

    def __init__(self, fingerprint: Fingerprint) -> None:
        self._keys: list[Keys] = []
        self._vectors = [np.empty((0, fingerprint.dim), fingerprint.dtype)]

    def refresh(self) -> None:
        """Do nothing: there are no others."""

    def contains(self, keys: Keys) -> BoolArray:
        """Say for each key whether its vector is here."""
        return self._index().find(keys) >= 0

    def append(self, keys: Keys, vectors: FloatArray) -> None:
        """Add vectors; the caller has checked them."""
        self._keys.append(keys)
        self._vectors.append(vectors)

    def take(self, keys: Keys) -> FloatArray:
        """Return the vectors of keys, shape (n, d), read-only."""
        vectors: FloatArray = np.concatenate(self._vectors)[self._index().find(keys)]
        vectors.flags.writeable = False
        return vectors

    def _index(self) -> KeyIndex:
        return KeyIndex(np.concatenate([np.empty(0, KEY_DTYPE), *self._keys]))


def check_vectors(
    vectors: Any, n: int, fingerprint: Fingerprint, *, items: IntArray | None = None
) -> None:
    """Check vectors against the fingerprint: shape, dtype, finite.

    Parameters
    ----------
    vectors : object
    n : int
        How many there should be.
    fingerprint : Fingerprint
    items : ndarray of shape (n,), optional
        Item number of each vector, for the message.

    Raises
    ------
    InvalidInputError, FingerprintMismatchError
    """
    shape, dtype = (n, fingerprint.dim), np.dtype(fingerprint.dtype)
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or len(vectors) != n:
        got = getattr(vectors, "shape", type(vectors).__name__)
        raise invalid_input(
            expected=f"vectors of shape {shape}",
            got=f"shape {got}",
            fix="pass one row per key",
        )
    if vectors.shape[1] != fingerprint.dim or vectors.dtype != dtype:
        raise FingerprintMismatchError.of(
            expected=f"vectors with d = {fingerprint.dim} and dtype {dtype}",
            got=f"d = {vectors.shape[1]} and dtype {vectors.dtype}",
            fix="use the encoder whose fingerprint the store was opened with",
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        where = f"row {row}" if items is None else f"item {items[row]}"
        raise invalid_input(
            expected="finite vectors",
            got=f"NaN or infinity at {where}",
            fix="compute in bfloat16 or float32 and cast to float16 at the end, "
            "or leave the text out",
        )


class SideBySideStore:
    """Several stores as one; each keeps its own columns of the vectors.

    A text is here if every store has it. A store that was filled by its encoder alone
    is continued with, and the other way round.

    Parameters
    ----------
    stores : sequence of VectorStore or MemoryStore
    fingerprints : sequence of Fingerprint
        Of their encoders, in the order of the columns.

    Examples
    --------
    >>> from embrm.embed.keys import item_keys
    >>> parts = [Fingerprint({"kind": k}, dim=1, dtype="float32") for k in "ab"]
    >>> store = SideBySideStore([MemoryStore(part) for part in parts], parts)
    >>> keys = item_keys([("Hi", "Hello")])
    >>> store.append(keys, np.array([[1, 2]], dtype="float32"))
    >>> store.take(keys).tolist()
    [[1.0, 2.0]]
    """

    def __init__(
        self, stores: Sequence[Any], fingerprints: Sequence[Fingerprint]
    ) -> None:
        self._stores = list(stores)
        self._bounds = np.cumsum([part.dim for part in fingerprints])[:-1]

    @property
    def segments(self) -> list[Any]:
        """The segments of all stores."""
        return [segment for store in self._stores for segment in store.segments]

    def refresh(self) -> None:
        """See what others appended."""
        for store in self._stores:
            store.refresh()

    def contains(self, keys: Keys) -> BoolArray:
        """Say for each key whether every store has it."""
        return np.asarray(np.all([s.contains(keys) for s in self._stores], axis=0))

    def append(self, keys: Keys, vectors: FloatArray) -> None:
        """Give each store its columns of the vectors that it lacks."""
        parts = np.split(vectors, self._bounds, axis=1)
        for store, part in zip(self._stores, parts, strict=True):
            missing = ~store.contains(keys)
            if missing.any():
                store.append(keys[missing], np.ascontiguousarray(part[missing]))

    def take(self, keys: Keys) -> FloatArray:
        """Return the vectors of keys, shape (n, d), read-only."""
        vectors: FloatArray = np.concatenate(
            [store.take(keys) for store in self._stores], axis=1
        )
        vectors.flags.writeable = False
        return vectors
