"""Embed shards in this process, one after the other, and report on all of them."""

import hashlib
import os
import tempfile
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from rich.progress import TextColumn

from embrm._typing import Text
from embrm.embed.base import BatchReport, Encoder, Fingerprint
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.keys import KeyIndex, item_keys
from embrm.embed.progress import one_bar
from embrm.embed.run import EmbeddingReport, add_reports, embed_items, warn_if_truncated
from embrm.embed.scale.shards import (
    Groups,
    Shard,
    balanced_blocks,
    group_tokens,
    prompt_groups,
    read_shard,
    write_shards,
)
from embrm.exceptions import TruncationWarning, invalid_input

SHARD_TOKENS = 300_000
"""Estimated tokens of a shard: seconds of work on a GPU, and a segment of some MB."""


@dataclass(frozen=True)
class MissingTexts:
    """What a part of some texts lacks in the cache.

    Attributes
    ----------
    n_items, n_unique : int
        Texts of the part, and different ones among them.
    groups : list of list of int
        Positions of those that the cache lacks, prompt by prompt.
    """

    n_items: int
    n_unique: int
    groups: Groups


@dataclass(frozen=True)
class ShardReport:
    """What embedding a shard came to, without the vectors.

    Attributes
    ----------
    number : int
        Of the shard.
    n_texts, n_embedded : int
        Texts in it, and texts embedded now; the others were in the cache.
    n_tokens, n_truncated, n_response_truncated : int
        Of the texts embedded now; see `EmbeddingReport`.
    segments : tuple of str
        Names of the segments with texts of it that appeared during the run.
    digest : str
        Hexadecimal blake2b-128 of keys and vectors in the shard's order: the same
        however often, and wherever, the shard is embedded.
    seconds : float
        Wall time.
    """

    number: int
    n_texts: int
    n_embedded: int
    n_tokens: int
    n_truncated: int
    n_response_truncated: int
    segments: tuple[str, ...]
    digest: str
    seconds: float


@dataclass(frozen=True)
class ShardedEmbeddingReport(EmbeddingReport):
    """The report of a run over shards, summed over the shards' reports.

    Attributes
    ----------
    n_shards : int
        Shards with something to embed.
    n_workers : int
        Processes that embedded them.
    n_retries : int
        Times that a shard was given out again because its worker was lost.
    """

    n_shards: int
    n_workers: int
    n_retries: int

    def __str__(self) -> str:
        words = super().__str__()
        if self.n_shards:
            words += f", in {self.n_shards} shards"
        if self.n_workers > 1:
            words += f" by {self.n_workers} workers"
        if self.n_retries:
            words += f", of which {self.n_retries} again after losing its worker"
        return words


class ShardTally:
    """Collects reports, shows them as one bar, and sums them up.

    A context manager. After Ctrl-C it says how to resume.

    Parameters
    ----------
    shards : sequence of Shard
        All that there are.
    show : bool, optional
        See `one_bar`.
    """

    def __init__(self, shards: Sequence[Shard], *, show: bool | None = None) -> None:
        self._shards = shards
        self._n_texts = sum(shard.n_texts for shard in shards)
        self._reports: list[ShardReport] = []
        self._bar = one_bar(TextColumn("{task.fields[items]}"), show=show)
        self._task = self._bar.add_task("Shards", total=len(shards), items="")

    def __len__(self) -> int:
        return len(self._reports)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        self._bar.stop()
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"stopped after {len(self)} of {len(self._shards)} shards; they are "
                "kept in the cache: run the same again to go on from there"
            ) from error

    def add(self, report: ShardReport) -> None:
        """Count one shard."""
        self._reports.append(report)
        n_done = sum(one.n_texts for one in self._reports)
        items = f"{n_done:,} of {self._n_texts:,} items"
        self._bar.update(self._task, advance=1, items=items)

    def report(
        self,
        missing: MissingTexts,
        fingerprint: Fingerprint,
        *,
        started: float,
        n_workers: int = 1,
        n_retries: int = 0,
    ) -> ShardedEmbeddingReport:
        """Sum up, and warn once if texts were truncated."""
        sums, n_embedded = _sum(self._reports)
        warn_if_truncated(sums, n_embedded, fingerprint)
        return ShardedEmbeddingReport(
            n_items=missing.n_items,
            n_unique=missing.n_unique,
            n_hits=missing.n_unique - n_embedded,
            n_embedded=n_embedded,
            n_truncated=sums.n_truncated,
            n_response_truncated=sums.n_response_truncated,
            n_tokens=sums.n_tokens,
            seconds=time.monotonic() - started,
            n_shards=len(self._shards),
            n_workers=n_workers,
            n_retries=n_retries,
        )


def _sum(reports: Iterable[ShardReport]) -> tuple[BatchReport, int]:
    """Sum the reports of shards; also return how many texts were embedded."""
    sums, n_embedded = BatchReport(n_texts=0), 0
    for report in reports:
        counts = {name: getattr(report, name) for name in vars(sums)}
        sums = add_reports(sums, BatchReport(**counts))
        n_embedded += report.n_embedded
    return sums, n_embedded


def embed_shard(
    shard: Shard, encoder: Encoder, cache: VectorCache | str | os.PathLike[str]
) -> ShardReport:
    """Embed what a shard has and the cache lacks, into segments of its own.

    It depends only on its arguments and may run on any machine that has the cache
    and the file of texts: in a Ray actor, a SLURM job, a joblib worker. It may also
    run twice, or twice at once: the first vector of a text counts.

    Parameters
    ----------
    shard : Shard
    encoder : Encoder
    cache : VectorCache, str or path

    Returns
    -------
    ShardReport

    Raises
    ------
    EmbrmError
        If the file of texts is missing or changed, or cannot be read.
    InvalidInputError
        If the encoder returns vectors that are not finite.

    Examples
    --------
    >>> import tempfile
    >>> from embrm.embed.hashing import HashingEncoder
    >>> from embrm.embed.scale.shards import write_shards
    >>> texts = [("Hi", "Hello"), ("Hi", "Bye")]
    >>> with tempfile.TemporaryDirectory() as home:
    ...     path = Path(home, "texts.jsonl")
    ...     [shard] = write_shards(path, texts, [[0, 1]], shard_tokens=1000)
    ...     first = embed_shard(shard, HashingEncoder(), Path(home, "cache"))
    ...     again = embed_shard(shard, HashingEncoder(), Path(home, "cache"))
    >>> first.n_embedded, again.n_embedded, again.digest == first.digest
    (2, 0, True)
    """
    started = time.monotonic()
    opened = cache if isinstance(cache, VectorCache) else VectorCache(cache)
    store = opened.open_for(encoder)
    before = {segment.name for segment in store.segments}
    texts = read_shard(shard)
    with warnings.catch_warnings():
        # Whoever gave the shards out warns once for all of them.
        warnings.simplefilter("ignore", TruncationWarning)
        done = embed_items(texts, encoder, opened, progress=False)
    keys = item_keys(texts)
    index, digest = KeyIndex(keys), hashlib.blake2b(keys.tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(done.vectors).tobytes())
    return ShardReport(
        number=shard.number,
        n_texts=len(texts),
        n_embedded=done.n_embedded,
        n_tokens=done.n_tokens,
        n_truncated=done.n_truncated,
        n_response_truncated=done.n_response_truncated,
        segments=tuple(
            segment.name
            for segment in store.segments
            # A segment holds texts of one shard alone: its first key will do.
            if segment.name not in before and index.find(segment.keys[:1])[0] >= 0
        ),
        digest=digest.hexdigest(),
        seconds=time.monotonic() - started,
    )


def find_missing(
    texts: Sequence[Text],
    encoder: Encoder,
    cache: VectorCache,
    part: tuple[int, int] = (1, 1),
) -> MissingTexts:
    """Choose a part of the texts, and look up which of them are missing.

    Parts are contiguous blocks of prompt groups, balanced by length. They depend on
    the texts alone, not on what the cache holds: jobs that start at different times
    agree on them.

    Parameters
    ----------
    texts : sequence of (prompt, response)
    encoder : Encoder
    cache : VectorCache
    part : (int, int), default=(1, 1)
        The i-th of n, 1 <= i <= n.

    Returns
    -------
    MissingTexts
    """
    number, n_parts = part
    keys = item_keys(texts)
    index = KeyIndex(keys)
    groups = prompt_groups(texts, index.rows)
    blocks = balanced_blocks(group_tokens(texts, groups), n_parts)
    chosen = groups[blocks[number - 1]]
    flat = np.array([at for group in chosen for at in group], dtype=np.int64)
    is_here = np.zeros(len(keys), dtype=bool)
    is_here[flat] = cache.open_for(encoder).contains(keys[flat])
    is_chosen = np.zeros(len(keys), dtype=bool)
    is_chosen[flat] = True
    missing = [[at for at in group if not is_here[at]] for group in chosen]
    return MissingTexts(
        n_items=int(is_chosen[index.find(keys)].sum()),
        n_unique=len(flat),
        groups=[group for group in missing if group],
    )


def embed_part(
    texts: Sequence[Text],
    encoder: Encoder,
    cache: VectorCache | str | os.PathLike[str],
    *,
    part: tuple[int, int] = (1, 1),
    shard_tokens: int = SHARD_TOKENS,
    progress: bool | None = None,
) -> ShardedEmbeddingReport:
    """Embed the i-th of n parts of some texts into a cache, in this process.

    n jobs that are given the same texts in the same order, each another i, embed
    everything once. No more than a shard's vectors are ever in memory.

    Parameters
    ----------
    texts : sequence of (prompt, response)
    encoder : Encoder
    cache : VectorCache, str or path
    part : (int, int), default=(1, 1)
        The i-th of n, 1 <= i <= n; see `find_missing`.
    shard_tokens : int, default=300_000
        Estimated tokens of a shard.
    progress : bool, optional
        False silences the bar. Otherwise it shows where stderr is a terminal.

    Returns
    -------
    ShardedEmbeddingReport

    Raises
    ------
    EmbrmError
        As `embed_shard` does.
    KeyboardInterrupt
        Re-raised with a message on how to resume.

    Warns
    -----
    TruncationWarning
        Once, with the share of texts embedded now that were too long.

    Examples
    --------
    >>> import tempfile
    >>> from embrm.embed.hashing import HashingEncoder
    >>> texts = [("Hi", "Hello"), ("Hi", "Bye"), ("Why?", "Because.")]
    >>> with tempfile.TemporaryDirectory() as cache:
    ...     parts = [
    ...         embed_part(texts, HashingEncoder(), cache, part=(i, 2)) for i in (1, 2)
    ...     ]
    >>> [part.n_embedded for part in parts]
    [2, 1]
    """
    check_shard_tokens(shard_tokens)
    started = time.monotonic()
    opened = cache if isinstance(cache, VectorCache) else VectorCache(cache)
    missing = find_missing(texts, encoder, opened, part)
    with tempfile.TemporaryDirectory(prefix="embrm-shards-") as home:
        path = Path(home, "texts.jsonl")
        shards = write_shards(path, texts, missing.groups, shard_tokens)
        tally = ShardTally(shards, show=progress)
        with tally:
            for shard in shards:
                tally.add(embed_shard(shard, encoder, opened))
    return tally.report(missing, encoder.fingerprint, started=started)


def check_shard_tokens(shard_tokens: int) -> None:
    """Refuse shards of no size."""
    if shard_tokens < 1:
        raise invalid_input(
            expected="shard_tokens >= 1",
            got=str(shard_tokens),
            fix=f"leave it at its default of {SHARD_TOKENS}",
        )
