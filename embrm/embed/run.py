"""Embed items: look up, embed what is missing, keep it, gather in order."""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embrm._typing import FloatArray, IntArray, Text
from embrm.embed.base import BatchReport, Encoder, Fingerprint
from embrm.embed.cache.checking import check_vectors
from embrm.embed.cache.index import KeyIndex
from embrm.embed.cache.memory import MemoryStore, Store
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.keys import Keys, item_keys
from embrm.embed.progress import EmbeddingProgress
from embrm.exceptions import InvalidInputError, TruncationWarning, three_parts

# Long enough to sort by length within, short enough to lose little; fixed, because
# with some encoders the last bits depend on which texts are embedded together.
_ENCODE_ITEMS = 512


@dataclass(frozen=True)
class Embedded:
    """Vectors of items, and an account of how they came about.

    Attributes
    ----------
    vectors : ndarray of shape (n_items, d), read-only
        In the order of the texts, in the encoder's dtype. A view of the cache where
        its rows lie together, else a copy.
    n_items, n_unique : int
        Texts, and different texts among them.
    n_hits, n_embedded : int
        Different texts found in the cache, and embedded now; together `n_unique`.
    n_truncated : int
        Texts embedded now whose prompt lost its beginning.
    n_response_truncated : int
        Texts embedded now whose response lost its beginning.
    n_tokens : int
        Tokens fed to the encoder now.
    seconds : float
        Wall time.
    """

    vectors: FloatArray
    n_items: int
    n_unique: int
    n_hits: int
    n_embedded: int
    n_truncated: int
    n_response_truncated: int
    n_tokens: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict of the account, without the vectors."""
        return {name: n for name, n in vars(self).items() if name != "vectors"}

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
    slices. Killed at any moment, a run loses at most the slice in flight, and the
    next run goes on from there. When all is in the cache, `encoder.encode` is never
    called.

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
    store = _open(encoder.fingerprint, cache)
    missing = first[~store.contains(keys[first])]
    n_hits = len(first) - len(missing)
    sums = BatchReport(n_texts=0)
    if len(missing):
        with EmbeddingProgress(len(first), n_hits=n_hits, show=progress) as bar:
            slices, tally = _Slices(store, commit_items, commit_seconds), _Tally(bar)
            _embed(texts, keys, missing, encoder, slices, tally)
            sums = tally.sum
        # Others may have embedded the same texts meanwhile: the first vectors count.
        store.refresh()
        _warn_if_truncated(sums, len(missing), encoder.fingerprint)
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
    fingerprint: Fingerprint, cache: VectorCache | str | os.PathLike[str] | None
) -> Store:
    """Open the store of an encoder, or one in memory."""
    if cache is None:
        return MemoryStore(fingerprint)
    opened = cache if isinstance(cache, VectorCache) else VectorCache(cache)
    return opened.open(fingerprint)


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
        old = vars(self.sum)
        self.sum = BatchReport(
            **{name: n + old[name] for name, n in vars(report).items()}
        )
        self._bar.update(report)


class _Slices:
    """Collects vectors, and commits them by number and by time."""

    def __init__(self, store: Store, n_items: int, seconds: float) -> None:
        self.n_items, self.seconds = n_items, seconds
        self._store = store
        self._clear()

    def add(self, keys: Keys, vectors: FloatArray) -> None:
        """Take vectors, and commit if it is time."""
        self._parts.append((keys, vectors))
        n_waiting = sum(len(part) for part, _ in self._parts)
        waited = time.monotonic() - self._since
        if n_waiting >= self.n_items or waited >= self.seconds:
            self.commit()

    def commit(self) -> None:
        """Append what is waiting to the store."""
        if not self._parts:
            return
        keys, vectors = (
            np.concatenate(column) for column in zip(*self._parts, strict=True)
        )
        try:
            self._store.append(keys, vectors)
        except Exception:
            self._clear()  # once is enough: the error says what to do
            raise
        self._clear()

    def _clear(self) -> None:
        self._parts: list[tuple[Keys, FloatArray]] = []
        self._since = time.monotonic()


def _embed(
    texts: Sequence[Text],
    keys: Keys,
    missing: IntArray,
    encoder: Encoder,
    slices: _Slices,
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
            if time.monotonic() - started > slices.seconds:
                size = max(1, size // 2)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"stopped after {done} of {len(missing)} texts that were to be embedded; "
            "with a cache they are kept: run the same again to go on from there"
        ) from interrupt
    finally:
        slices.commit()


def _warn_if_truncated(sums: BatchReport, n: int, fingerprint: Fingerprint) -> None:
    """Warn once, with shares."""
    if not sums.n_truncated and not sums.n_response_truncated:
        return
    tokens = fingerprint.fields.get("max_tokens")
    limit = f"the {tokens}-token limit" if tokens else "the encoder's length limit"
    message = (
        f"{sums.n_truncated} of {n} prompts ({sums.n_truncated / n:.1%}) "
        f"lost their beginning to {limit}"
    )
    if sums.n_response_truncated:
        share = sums.n_response_truncated / n
        message += (
            f"; so did {sums.n_response_truncated} responses ({share:.1%}), "
            "which are longer than it by themselves"
        )
    warnings.warn(message, TruncationWarning, stacklevel=3)
