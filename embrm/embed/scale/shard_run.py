"""Embed one shard, or all shards of a part of the texts, one after the other."""

import hashlib
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embrm._typing import Text
from embrm.embed.base import Encoder
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.keys import KeyIndex, item_keys
from embrm.embed.run import embed_items
from embrm.embed.scale.shards import (
    Shard,
    balanced_blocks,
    group_tokens,
    prompt_groups,
    read_shard,
    write_shards,
)
from embrm.embed.scale.tally import (
    MissingTexts,
    ShardedAccount,
    ShardReport,
    ShardTally,
)
from embrm.exceptions import InvalidInputError, TruncationWarning, three_parts

SHARD_TOKENS = 300_000
"""Estimated tokens of a shard: seconds of work on a GPU, and a segment of some MB."""


def embed_shard(
    shard: Shard, encoder: Encoder, cache: VectorCache | str | os.PathLike[str]
) -> ShardReport:
    """Embed what a shard has and the cache lacks, into segments of its own.

    It depends on nothing but its arguments and may run anywhere that sees the cache
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
        If the file of texts is gone or changed, or the disk refuses.
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
    """Choose a part of the texts, and look up what of it is missing.

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
) -> ShardedAccount:
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
    ShardedAccount

    Raises
    ------
    EmbrmError
        As `embed_shard` does.
    KeyboardInterrupt
        Passed on with a message that says how to resume.

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
    return tally.account(missing, encoder.fingerprint, started=started)


def check_shard_tokens(shard_tokens: int) -> None:
    """Refuse shards of no size."""
    if shard_tokens < 1:
        raise InvalidInputError(
            three_parts(
                expected="shard_tokens >= 1",
                got=str(shard_tokens),
                cure=f"leave it at its default of {SHARD_TOKENS}",
            )
        )
