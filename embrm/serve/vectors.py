"""The vectors of a server: recent ones in memory, new ones committed in batches.

A cache on disk writes one segment for each append. A server embeds a few texts at a
time, so it appends here, where vectors can be found at once, and commits them together.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from os import devnull
from typing import Any

import numpy as np

from embrm._typing import BoolArray, FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.cache import VectorCache, VectorStore
from embrm.embed.cache.durable import as_place
from embrm.embed.keys import KEY_DTYPE, Keys
from embrm.exceptions import EmbrmError

_LEAST_RECENT = 4096
OnChange = Callable[[list[bytes]], None]


class ServingStore:
    """One encoder's vectors: recent ones, those to be committed, those on disk.

    Methods may be called from several threads. Where another process has committed a
    text first, its vector counts, here too.

    Parameters
    ----------
    fingerprint : Fingerprint
    disk : VectorStore, optional
        Where vectors are committed; without one, only recent ones are kept.
    max_bytes : int
        Of recent vectors in memory.
    refresh_seconds : float, default=1
        How often to look for what others committed.
    on_change : callable, optional
        Called with the keys whose vectors another process committed first.

    Examples
    --------
    >>> from embrm.embed.keys import item_keys
    >>> who = Fingerprint({"kind": "example"}, dim=1, dtype="float32")
    >>> store = ServingStore(who, max_bytes=100)
    >>> keys = item_keys([("Hi", "Hello"), ("Hi", "Bye")])
    >>> store.append(keys[:1], np.ones((1, 1), "float32"))
    >>> store.contains(keys).tolist(), store.take(keys[:1]).tolist()
    ([True, False], [[1.0]])
    """

    def __init__(
        self,
        fingerprint: Fingerprint,
        disk: VectorStore | None = None,
        *,
        max_bytes: int,
        refresh_seconds: float = 1.0,
        on_change: OnChange | None = None,
    ) -> None:
        self.fingerprint, self._disk = fingerprint, disk
        row_bytes = fingerprint.dim * np.dtype(fingerprint.dtype).itemsize
        # At least the texts of a few batches, which are taken after they were added.
        self._capacity = max(_LEAST_RECENT, max_bytes // row_bytes)
        self._refresh_seconds, self._refreshed = refresh_seconds, time.monotonic()
        self._on_change = on_change
        self._recent: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._pending: dict[bytes, FloatArray] = {}
        self._unsettled: dict[bytes, FloatArray] = {}
        self._lock = threading.RLock()

    @property
    def segments(self) -> tuple[Any, ...]:
        """Segments on disk as last seen."""
        return () if self._disk is None else self._disk.segments

    @property
    def n_pending(self) -> int:
        """Vectors that are not committed yet."""
        return len(self._pending)

    def refresh(self) -> None:
        """Drop what is no longer recent; from time to time look what others wrote."""
        with self._lock:
            while len(self._recent) > self._capacity:
                self._recent.popitem(last=False)
        now = time.monotonic()
        if self._disk is not None and now - self._refreshed >= self._refresh_seconds:
            self._refreshed = now
            self._disk.refresh()

    def contains(self, keys: Keys) -> BoolArray:
        """Say for each key whether its vector is here."""
        names = as_names(keys)
        with self._lock:
            found = np.array([self._find(name) is not None for name in names], bool)
        if self._disk is not None and not found.all():
            found[~found] = self._disk.contains(keys[~found])
        return found

    def append(self, keys: Keys, vectors: FloatArray) -> None:
        """Keep vectors, and let them wait for the next commit."""
        new = ~self.contains(keys)
        with self._lock:
            for name, vector in zip(
                as_names(keys[new]), vectors[new].copy(), strict=True
            ):
                if self._disk is None:
                    self._recent[name] = vector
                else:
                    self._pending[name] = vector

    def take(self, keys: Keys) -> FloatArray:
        """Return the vectors of keys, shape (n, d), read-only."""
        out = np.empty((len(keys), self.fingerprint.dim), self.fingerprint.dtype)
        elsewhere = []
        with self._lock:
            for row, name in enumerate(as_names(keys)):
                vector = self._find(name)
                if vector is None:
                    elsewhere.append(row)
                else:
                    out[row] = vector
        if elsewhere and self._disk is not None:
            out[elsewhere] = self._disk.take(keys[elsewhere])
        out.flags.writeable = False
        return out

    def commit(self) -> int:
        """Write what is pending as one segment, durable on return.

        Returns
        -------
        int
            Vectors written. After a failure they wait for the next try; if ever more
            wait than memory is granted, the oldest are given up.

        Raises
        ------
        EmbrmError
            If the disk refuses.
        """
        if self._disk is None:
            return 0
        with self._lock:
            batch, unsettled = dict(self._pending), self._unsettled
            if not batch and not unsettled:
                return 0
        n_written = 0
        try:
            self._disk.refresh()
            keys, vectors = _table(batch)
            missing = np.flatnonzero(~self._disk.contains(keys))
            if len(missing):
                self._disk.append(keys[missing], vectors[missing])
                n_written = len(missing)
        except EmbrmError:
            self._give_up()
            raise
        # A segment of another process may come to light after ours and yet sort before
        # it, so that what was written is looked at once more, a commit later.
        self._settle({**unsettled, **batch})
        with self._lock:
            self._unsettled = batch
            for name in batch:
                self._pending.pop(name, None)
        return n_written

    def _settle(self, vectors: dict[bytes, FloatArray]) -> None:
        """Take what is committed in place of what was served, where they differ."""
        if self._disk is None or not vectors:
            return
        self._disk.refresh()
        keys, served = _table(vectors)
        there = self._disk.contains(keys)
        committed = self._disk.take(keys[there])
        names = [name for name, yes in zip(vectors, there, strict=True) if yes]
        same = (committed == served[there]).all(axis=1)
        with self._lock:
            self._recent.update(zip(names, committed.copy(), strict=True))
        changed = [name for name, equal in zip(names, same, strict=True) if not equal]
        if changed and self._on_change is not None:
            self._on_change(changed)

    def _find(self, name: bytes) -> FloatArray | None:
        vector = self._recent.get(name)
        if vector is None:
            return self._pending.get(name)
        self._recent.move_to_end(name)
        return vector

    def _give_up(self) -> None:
        with self._lock:
            while len(self._pending) > self._capacity:
                self._pending.pop(next(iter(self._pending)))


class ServingCache(VectorCache):
    """A vector cache that appends to memory, and commits when it is asked to.

    Parameters
    ----------
    directory : path, URI or VectorCache, optional
        Without one nothing is kept on disk.
    max_bytes : int, default=256 MiB
        Of recent vectors of each encoder in memory.
    on_change : callable, optional
        See `ServingStore`.

    Examples
    --------
    >>> cache = ServingCache()
    >>> who = Fingerprint({"kind": "example"}, dim=1, dtype="float32")
    >>> cache.open(who) is cache.open(who), cache.commit()
    (True, 0)
    """

    def __init__(
        self,
        directory: Any = None,
        *,
        max_bytes: int = 256 * 2**20,
        on_change: OnChange | None = None,
    ) -> None:
        self._disk = (
            directory
            if directory is None or isinstance(directory, VectorCache)
            else VectorCache(directory)
        )
        place = as_place(devnull) if self._disk is None else self._disk.directory
        self.directory = place
        self._max_bytes, self.on_change = max_bytes, on_change
        self._serving: dict[str, ServingStore] = {}
        self._opening = threading.Lock()

    def open(self, fingerprint: Fingerprint) -> Any:
        """Open the store of an encoder; opened twice, it is the same."""
        with self._opening:
            store = self._serving.get(fingerprint.digest)
            if store is None:
                disk = None if self._disk is None else self._disk.open(fingerprint)
                store = ServingStore(
                    fingerprint,
                    disk,
                    max_bytes=self._max_bytes,
                    on_change=self._changed,
                )
                self._serving[fingerprint.digest] = store
        store.refresh()
        return store

    def _changed(self, names: list[bytes]) -> None:
        """Tell whoever asked by now: stores are opened before anyone listens."""
        if self.on_change is not None:
            self.on_change(names)

    def store_directories(self) -> list[Any]:
        """List the directories of the stores on disk, by digest."""
        return [] if self._disk is None else self._disk.store_directories()

    @property
    def n_pending(self) -> int:
        """Vectors that are not committed yet."""
        return sum(store.n_pending for store in self._serving.values())

    def commit(self) -> int:
        """Commit what is pending in all stores; return how many vectors."""
        return sum(store.commit() for store in list(self._serving.values()))


def as_names(keys: Keys) -> list[bytes]:
    """Turn keys into bytes, which a dict takes."""
    raw, size = keys.tobytes(), KEY_DTYPE.itemsize
    return [raw[start : start + size] for start in range(0, len(raw), size)]


def _table(vectors: dict[bytes, FloatArray]) -> tuple[Keys, FloatArray]:
    """Turn named vectors into keys and a matrix."""
    keys = np.frombuffer(b"".join(vectors), KEY_DTYPE)
    rows: Iterable[FloatArray] = vectors.values()
    return keys, np.stack(list(rows)) if vectors else np.empty((0, 0))
