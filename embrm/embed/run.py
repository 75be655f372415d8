"""Embed items: look up, embed what is missing, keep it, gather in order."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from embrm._typing import FloatArray, IntArray, Text
from embrm.embed.account import EmbeddingAccount, add_reports, warn_if_truncated
from embrm.embed.base import BatchReport, Encoder
from embrm.embed.cache.store import MemoryStore, Store, check_vectors
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.keys import KeyIndex, Keys, item_keys
from embrm.embed.progress import EmbeddingProgress
from embrm.embed.slices import Slices
from embrm.exceptions import InvalidInputError, three_parts

# The first slice; the next are twice as long, up to a commit's length, so that a GPU or
# a server seldom waits. With some encoders the last bits depend on which texts are
# embedded together, so lengths follow the clock only where an encoder is slow.
_ENCODE_ITEMS = 512


@dataclass(frozen=True)
class Embedded(EmbeddingAccount):
    """Vectors of items, and the account of how they came about.

    Attributes
    ----------
    vectors : ndarray of shape (n_items, d), read-only
        In the order of the texts, in the encoder's dtype. A view of the cache where
        its rows lie together, else a copy.
    n_items, n_unique, n_hits, n_embedded, n_truncated, n_response_truncated : int
    n_tokens : int
    seconds : float
        See `embrm.embed.account.EmbeddingAccount`.
    """

    vectors: FloatArray

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict of the account, without the vectors."""
        return {name: n for name, n in vars(self).items() if name != "vectors"}


def embed_items(
    texts: Sequence[Text],
    encoder: Encoder,
    cache: VectorCache | str | os.PathLike[str] | None = None,
    *,
    progress: bool | None = None,
    commit_items: int = 4096,
    commit_seconds: float = 60.0,
) -> Embedded:
    """Embed items, each different text once, and keep the vectors.

    Texts are embedded in the order of first appearance and committed to the cache in
    slices, each written while the next is embedded. Killed at any moment, a run loses
    at most these two, and the next run goes on from there. When all is in the cache,
    `encoder.encode` is never called.

    Parameters
    ----------
    texts : sequence of (prompt, response)
    encoder : Encoder
    cache : VectorCache, str or path, optional
        Without one the result is the same, and nothing is kept.
    progress : bool, optional
        False silences the bar. Otherwise it shows where stderr is a terminal.
    commit_items : int, default=4096
        Texts after which a slice is committed, >= 1.
    commit_seconds : float, default=60
        Seconds after which a slice is committed, however small.

    Returns
    -------
    Embedded

    Raises
    ------
    InvalidInputError
        If a text is no (prompt, response), or the encoder returns vectors that are
        not finite; the message names the item.
    IntegrityError
        If the cache is of an unknown layout, or the encoder's vectors do not fit its
        fingerprint.
    EmbrmError
        If the disk refuses. Slices committed before are kept.
    KeyboardInterrupt
        Passed on with a message that says how to resume.

    Warns
    -----
    TruncationWarning
        Once, with the share of texts embedded now that were too long.
    DamagedSegmentWarning
        For each damaged part of the cache; its rows are embedded again.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.embed.base import BatchReport, Fingerprint
    >>> class Lengths:
    ...     fingerprint = Fingerprint({"kind": "lengths"}, dim=2, dtype="float32")
    ...
    ...     def encode(self, texts, *, on_batch=None):
    ...         return np.array([[len(p), len(r)] for p, r in texts], dtype="float32")
    >>> done = embed_items([("Hi", "Hello"), ("Hi", "Hello")], Lengths())
    >>> done.vectors.tolist(), done.n_unique
    ([[2.0, 5.0], [2.0, 5.0]], 1)
    """
    _check_limits(commit_items, commit_seconds)
    started = time.monotonic()
    keys = item_keys(texts)
    first = KeyIndex(keys).rows
    store = _open(encoder, cache)
    missing = first[~store.contains(keys[first])]
    n_hits = len(first) - len(missing)
    sums = BatchReport(n_texts=0)
    if len(missing):
        with EmbeddingProgress(len(first), n_hits=n_hits, show=progress) as bar:
            slices, tally = Slices(store, commit_items, commit_seconds), _Tally(bar)
            _embed(texts, keys, missing, encoder, slices, tally)
            sums = tally.sum
        # Others may have embedded the same texts meanwhile: the first vectors count.
        store.refresh()
        warn_if_truncated(sums, len(missing), encoder.fingerprint, stacklevel=2)
    return Embedded(
        vectors=store.take(keys),
        n_items=len(keys),
        n_unique=len(first),
        n_hits=n_hits,
        n_embedded=len(missing),
        n_truncated=sums.n_truncated,
        n_response_truncated=sums.n_response_truncated,
        n_tokens=sums.n_tokens,
        seconds=time.monotonic() - started,
    )


def _open(
    encoder: Encoder, cache: VectorCache | str | os.PathLike[str] | None
) -> Store:
    """Open the store of an encoder, or one in memory."""
    if cache is None:
        return MemoryStore(encoder.fingerprint)
    opened = cache if isinstance(cache, VectorCache) else VectorCache(cache)
    return opened.open_for(encoder)


def _check_limits(commit_items: int, commit_seconds: float) -> None:
    if commit_items < 1 or not commit_seconds > 0:
        raise InvalidInputError(
            three_parts(
                expected="commit_items >= 1 and commit_seconds > 0",
                got=f"{commit_items} and {commit_seconds}",
                cure="leave them at their defaults of 4096 and 60",
            )
        )


class _Tally:
    """Sums what the encoder reports, and passes it on to the bar."""

    def __init__(self, bar: EmbeddingProgress) -> None:
        self.sum = BatchReport(n_texts=0)
        self._bar = bar

    def __call__(self, report: BatchReport) -> None:
        self.sum = add_reports(self.sum, report)
        self._bar.update(report)


def _embed(
    texts: Sequence[Text],
    keys: Keys,
    missing: IntArray,
    encoder: Encoder,
    slices: Slices,
    tally: _Tally,
) -> None:
    """Embed the missing items; whatever happens, commit what is embedded."""
    size, done = min(slices.n_items, _ENCODE_ITEMS), 0
    try:
        while done < len(missing):
            part, started = missing[done : done + size], time.monotonic()
            vectors = encoder.encode([texts[n] for n in part], on_batch=tally)
            check_vectors(vectors, len(part), encoder.fingerprint, items=part)
            slices.add(keys[part], vectors)
            done += len(part)
            seconds = time.monotonic() - started
            if seconds > slices.seconds:
                size = max(1, size // 2)
            elif 2 * seconds <= slices.seconds:
                size = min(2 * size, slices.n_items)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"stopped after {done} of {len(missing)} texts that were to be embedded; "
            "with a cache they are kept: run the same again to go on from there"
        ) from interrupt
    finally:
        slices.close()
