"""Stores of several encoders read as one: their vectors next to each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from embrm._typing import BoolArray, FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.keys import Keys


class SideBySideStore:
    """Several stores as one; each keeps its own columns of the vectors.

    A text is here if every store has it. A store that was filled by its encoder alone
    is gone on with, and the other way round.

    Parameters
    ----------
    stores : sequence of VectorStore or MemoryStore
    fingerprints : sequence of Fingerprint
        Of their encoders, in the order of the columns.

    Examples
    --------
    >>> from embrm.embed.cache.memory import MemoryStore
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
        found: BoolArray = np.all([s.contains(keys) for s in self._stores], axis=0)
        return found

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
