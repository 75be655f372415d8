"""Write vectors to a store in slices, while the next ones are being embedded."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from embrm._typing import FloatArray
from embrm.embed.cache.store import Store
from embrm.embed.keys import Keys


class Slices:
    """Collects vectors, and commits them by number and by time.

    A slice is written by a thread of its own. One at most is in flight: the next
    waits for it, so that slices are committed in order, memory is bounded, and a
    store that fails is noticed by the next slice.

    Parameters
    ----------
    store : Store
    n_items : int
        Vectors after which a slice is committed.
    seconds : float
        Seconds after which a slice is committed, however small.

    Examples
    --------
    >>> from embrm.embed.base import Fingerprint
    >>> from embrm.embed.cache.store import MemoryStore
    >>> from embrm.embed.keys import item_keys
    >>> store = MemoryStore(Fingerprint({"kind": "example"}, dim=1, dtype="float32"))
    >>> slices = Slices(store, n_items=2, seconds=60)
    >>> slices.add(item_keys([("Hi", "Hello")]), np.ones((1, 1), "float32"))
    >>> slices.close()
    >>> store.contains(item_keys([("Hi", "Hello")])).tolist()
    [True]
    """

    def __init__(self, store: Store, n_items: int, seconds: float) -> None:
        self.n_items, self.seconds = n_items, seconds
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embrm-slices")
        self._in_flight: Future[None] | None = None
        self._clear()

    def add(self, keys: Keys, vectors: FloatArray) -> None:
        """Take vectors, and commit if it is time.

        Raises
        ------
        EmbrmError
            If the slice before could not be written; what waits is given up.
        """
        self._parts.append((keys, vectors))
        n_waiting = sum(len(part) for part, _ in self._parts)
        waited = time.monotonic() - self._since
        if n_waiting >= self.n_items or waited >= self.seconds:
            self._commit()

    def close(self) -> None:
        """Commit what is waiting, and wait until all is written.

        Raises
        ------
        EmbrmError
            If it cannot be written.
        """
        try:
            self._commit()
            self._land()
        finally:
            self._thread.shutdown()

    def _commit(self) -> None:
        """Hand what is waiting to the thread, once it is free."""
        self._land()
        if not self._parts:
            return
        keys, vectors = (
            np.concatenate(column) for column in zip(*self._parts, strict=True)
        )
        self._in_flight = self._thread.submit(self._store.append, keys, vectors)
        self._clear()

    def _land(self) -> None:
        """Wait for the slice in flight; its error is raised here, once."""
        if self._in_flight is None:
            return
        try:
            self._in_flight.result()
        except Exception:
            self._in_flight = None
            self._clear()  # once is enough: the error says what to do
            raise
        self._in_flight = None

    def _clear(self) -> None:
        self._parts: list[tuple[Keys, FloatArray]] = []
        self._since = time.monotonic()
