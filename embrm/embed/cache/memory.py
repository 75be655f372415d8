"""A store that keeps nothing: what a run without a cache writes to."""

from typing import Protocol

import numpy as np

from embrm._typing import BoolArray, FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.cache.index import KeyIndex
from embrm.embed.keys import KEY_DTYPE, Keys


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
