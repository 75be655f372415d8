"""Embed items: look up, embed what is missing, keep it, gather in order."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embrm._typing import FloatArray, IntArray, Text
from embrm.embed.base import BatchReport, CombinedEncoder, Encoder, Fingerprint
from embrm.embed.cache.store import MemoryStore, Store, check_vectors
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.keys import KeyIndex, Keys, item_keys
from embrm.embed.progress import EmbeddingProgress
from embrm.exceptions import TruncationWarning, invalid_input, warn


class Slices:
    """Collects vectors, and commits them by number and by time.

    A slice is written by a thread of its own. One at most is in flight: the next
    waits for it, so that slices are committed in order, memory is bounded, and a
    store that fails raises at the next slice.

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
        """Pass pending vectors to the thread, once it is free."""
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


@dataclass(frozen=True)
class EmbeddingReport:
    """How the vectors of some items came about.

    Attributes
    ----------
    n_items, n_unique : int
        Texts, and different texts among them.
    n_hits, n_embedded : int
        Different texts found in the cache, and embedded now; together `n_unique`.
    n_truncated : int
        Texts embedded now whose prompt lost its beginning.
    n_response_truncated : int
        Texts embedded now whose response lost its beginning.
    n_tokens : int
        Tokens processed by the encoder now.
    seconds : float
        Wall time.

    Examples
    --------
    >>> print(EmbeddingReport(5, 4, 1, 3, 0, 0, 600, 2.0))
    5 items (4 different): 1 from the cache (25%), 3 embedded in 2.0 s (300 tokens/s)
    """

    n_items: int
    n_unique: int
    n_hits: int
    n_embedded: int
    n_truncated: int
    n_response_truncated: int
    n_tokens: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict of the counts."""
        return dict(vars(self))

    def __str__(self) -> str:
        repeated = self.n_items - self.n_unique
        words = f"{self.n_items} items"
        words += f" ({self.n_unique} different)" if repeated else ""
        if not self.n_embedded:
            return f"{words}: 100% from the cache, nothing embedded"
        share = self.n_hits / self.n_unique
        words += f": {self.n_hits} from the cache ({share:.0%}), "
        words += f"{self.n_embedded} embedded in {self.seconds:.1f} s"
        if self.n_tokens:
            words += f" ({self.n_tokens / self.seconds:,.0f} tokens/s)"
        if self.n_truncated or self.n_response_truncated:
            words += f", {self.n_truncated} prompts cut at the beginning"
            words += f", {self.n_response_truncated} responses too"
        return words


def add_reports(one: BatchReport, other: BatchReport) -> BatchReport:
    """Add up two reports, count by count.

    Examples
    --------
    >>> add_reports(BatchReport(2, n_tokens=10), BatchReport(1, n_truncated=1))
    BatchReport(n_texts=3, n_tokens=10, n_truncated=1, n_response_truncated=0)
    """
    counts = vars(other)
    return BatchReport(**{name: n + counts[name] for name, n in vars(one).items()})


def warn_if_truncated(
    sums: BatchReport, n_embedded: int, fingerprint: Fingerprint
) -> None:
    """Warn once, with shares, if texts were longer than the encoder's limit.

    Parameters
    ----------
    sums : BatchReport
        Of all texts embedded now.
    n_embedded : int
        How many they are.
    fingerprint : Fingerprint
        Of the encoder, which may know the limit.
    """
    if not sums.n_truncated and not sums.n_response_truncated:
        return
    tokens = fingerprint.fields.get("max_tokens")
    limit = f"the {tokens}-token limit" if tokens else "the encoder's length limit"
    share = sums.n_truncated / n_embedded
    message = (
        f"{sums.n_truncated} of {n_embedded} prompts ({share:.1%}) "
        f"lost their beginning to {limit}"
    )
    if sums.n_response_truncated:
        share = sums.n_response_truncated / n_embedded
        message += (
            f"; so did {sums.n_response_truncated} responses ({share:.1%}), "
            "which are longer than it by themselves"
        )
    warn(message, TruncationWarning)


# The first slice; the next are twice as long, up to a commit's length, so that a GPU or
# a server seldom waits. With some encoders the last bits depend on which texts are
# embedded together, so lengths follow the clock only where an encoder is slow.
_ENCODE_ITEMS = 512


@dataclass(frozen=True)
class Embedded(EmbeddingReport):
    """Vectors of items, and the report of how they were obtained.

    Attributes
    ----------
    vectors : ndarray of shape (n_items, d), read-only
        In the order of the texts, in the encoder's dtype. A view of the cache where
        its rows lie together, else a copy.
    n_items, n_unique, n_hits, n_embedded, n_truncated, n_response_truncated : int
    n_tokens : int
    seconds : float
        See `embrm.embed.run.EmbeddingReport`.
    """

    vectors: FloatArray

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict of the report, without the vectors."""
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

    Each encoder of a `CombinedEncoder` is run by itself, with a store of its own.
    Texts are embedded in the order of first appearance and committed to the cache in
    slices, each written while the next is embedded. Killed at any moment, a run loses
    at most these two, and the next run continues from there. When all is in the cache,
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
        Re-raised with a message on how to resume.

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
    if isinstance(encoder, CombinedEncoder):
        options: Any = {
            "progress": progress,
            "commit_items": commit_items,
            "commit_seconds": commit_seconds,
        }
        each = [embed_items(texts, one, cache, **options) for one in encoder.encoders]
        return _combined(each, encoder)
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
        warn_if_truncated(sums, len(missing), encoder.fingerprint)
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


def _combined(each: Sequence[Embedded], encoder: CombinedEncoder) -> Embedded:
    """Put the blocks of several encoders next to each other.

    A text counts as found where every block of it was; tokens and cut texts add up.
    """
    dtype = np.dtype(encoder.fingerprint.dtype)
    vectors = np.hstack([one.vectors.astype(dtype, copy=False) for one in each])
    return replace(
        each[0],
        vectors=vectors,
        n_hits=min(one.n_hits for one in each),
        n_embedded=max(one.n_embedded for one in each),
        n_truncated=sum(one.n_truncated for one in each),
        n_response_truncated=sum(one.n_response_truncated for one in each),
        n_tokens=sum(one.n_tokens for one in each),
        seconds=sum(one.seconds for one in each),
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
        raise invalid_input(
            expected="commit_items >= 1 and commit_seconds > 0",
            got=f"{commit_items} and {commit_seconds}",
            fix="leave them at their defaults of 4096 and 60",
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
    """Embed the missing items; in any case commit what is embedded."""
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
