"""Several kinds of vectors of the same texts, computed in one pass, each kept apart.

A column is an encoder: a layer and a pooling, with a fingerprint and so a store of its
own. What is computed together is no part of a vector's identity, and a store that was
filled by a single column is gone on with by several.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embrm._typing import BoolArray, FloatArray, Text
from embrm.embed.base import Fingerprint, OnBatch
from embrm.embed.cache.store import MemoryStore, Store
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.keys import Keys, item_keys
from embrm.embed.run import Embedded, embed_items
from embrm.exceptions import InvalidInputError, three_parts

if TYPE_CHECKING:
    from embrm.embed.causal.encoder import CausalLMEncoder


@dataclass(frozen=True)
class Columns(Sequence["CausalLMEncoder"]):
    """Encoders that differ in layer and pooling and share one loaded model.

    Made by `CausalLMEncoder.columns`.

    Parameters
    ----------
    encoders : tuple of CausalLMEncoder
    """

    encoders: tuple["CausalLMEncoder", ...]

    def __post_init__(self) -> None:
        if not self.encoders:
            raise InvalidInputError(
                three_parts(
                    expected="at least one layer and one pooling",
                    got="none",
                    cure="leave layers and poolings at their defaults",
                )
            )

    def __len__(self) -> int:
        return len(self.encoders)

    def __getitem__(self, index: Any) -> Any:
        return self.encoders[index]

    def __iter__(self) -> Iterator["CausalLMEncoder"]:
        return iter(self.encoders)

    def encode_columns(
        self, texts: Sequence[Text], *, on_batch: OnBatch | None = None
    ) -> dict[tuple[int, str], NDArray[np.floating[Any]]]:
        """Embed texts in one pass through the model.

        Parameters
        ----------
        texts : sequence of (prompt, response)
        on_batch : callable, optional
            Called with a `BatchReport` after each batch.

        Returns
        -------
        dict of (layer, pooling) to ndarray of shape (n_texts, d)
            What each encoder's own `encode` returns, up to rounding.

        Raises
        ------
        InvalidInputError, EmbrmError
            See `CausalLMEncoder.encode`.
        """
        lead = self.encoders[0]
        outputs = {
            (encoder.layer, encoder.pooling): np.empty(
                (len(texts), encoder.fingerprint.dim), encoder.store_dtype
            )
            for encoder in self.encoders
        }
        lead.encode_into(
            list(outputs.values()),
            texts,
            [encoder.column for encoder in self.encoders],
            on_batch=on_batch,
        )
        return outputs


def embed_columns(
    texts: Sequence[Text],
    columns: Columns,
    cache: VectorCache | str | os.PathLike[str] | None = None,
    **options: Any,
) -> dict[tuple[int, str], Embedded]:
    """Embed items for several columns in one pass, and keep the vectors of each.

    A text is embedded if any column lacks it, and stored where it is lacking.

    Parameters
    ----------
    texts : sequence of (prompt, response)
    columns : Columns
    cache : VectorCache, str or path, optional
    **options
        See `embrm.embed.run.embed_items`.

    Returns
    -------
    dict of (layer, pooling) to Embedded
        The accounts are of the pass, the vectors of the column.

    Raises
    ------
    InvalidInputError, IntegrityError, EmbrmError, KeyboardInterrupt
        See `embrm.embed.run.embed_items`.

    Warns
    -----
    TruncationWarning, DamagedSegmentWarning
        See `embrm.embed.run.embed_items`.
    """
    opened = None
    if cache is not None:
        opened = cache if isinstance(cache, VectorCache) else VectorCache(cache)
    stores: list[Store] = [
        MemoryStore(column.fingerprint)
        if opened is None
        else opened.open(column.fingerprint)
        for column in columns
    ]
    beside = _SideBySide(columns)
    split = _SplitCache(_SplitStore(stores, beside.widths))
    done = embed_items(texts, beside, split, **options)
    keys = item_keys(texts)
    return {
        (column.layer, column.pooling): replace(done, vectors=store.take(keys))
        for column, store in zip(columns, stores, strict=True)
    }


class _SideBySide:
    """Columns as one encoder, their vectors next to each other."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        known = [column.fingerprint for column in columns]
        self.widths = [fingerprint.dim for fingerprint in known]
        self.fingerprint = Fingerprint(
            {
                "kind": "columns",
                "columns": [fingerprint.digest for fingerprint in known],
                "max_tokens": known[0].fields.get("max_tokens"),
            },
            dim=sum(self.widths),
            dtype=known[0].dtype,
        )

    def encode(
        self, texts: Sequence[Text], *, on_batch: OnBatch | None = None
    ) -> NDArray[np.floating[Any]]:
        """Embed texts; see `Columns.encode_columns`."""
        found = self._columns.encode_columns(texts, on_batch=on_batch)
        return np.concatenate(list(found.values()), axis=1)


class _SplitStore:
    """One store that is several: each takes its columns of the vectors."""

    def __init__(self, stores: Sequence[Store], widths: Sequence[int]) -> None:
        self._stores = stores
        self._bounds = np.cumsum(widths)[:-1]

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
            lacking = ~store.contains(keys)
            if lacking.any():
                store.append(keys[lacking], np.ascontiguousarray(part[lacking]))

    def take(self, keys: Keys) -> FloatArray:
        """Return nothing: each store is asked for its own vectors."""
        return np.empty((len(keys), 0), dtype=np.float32)


class _SplitCache(VectorCache):
    """A cache that opens as the one store it was given."""

    def __init__(self, store: _SplitStore) -> None:
        self._store = store

    def open(self, fingerprint: Fingerprint) -> Any:
        """Return that store."""
        del fingerprint
        return self._store
