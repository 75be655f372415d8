"""Embed on a Ray cluster, with actors that write segments themselves.

No vector passes through Ray or this process: actors read texts from a shared disk,
write to the cache there, and return reports.
"""

import logging
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from embrm._optional import import_optional
from embrm._typing import Text
from embrm.embed.base import Encoder
from embrm.embed.cache.durable import Place, make_directory, storage_errors
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.scale.actors import ActorPool, ActorSetup, plan_actors
from embrm.embed.scale.shard_run import SHARD_TOKENS, check_shard_tokens, find_missing
from embrm.embed.scale.shards import Groups, group_tokens, write_shards
from embrm.embed.scale.tally import ShardedAccount, ShardTally
from embrm.exceptions import InvalidInputError, three_parts

_SHARDS_PER_ACTOR = 4  # at least, so that all finish at about the same time


def embed_on_ray(
    texts: Sequence[Text],
    encoder: Encoder,
    cache: VectorCache | str | os.PathLike[str],
    *,
    address: str | None = None,
    max_actors: int | None = None,
    shard_tokens: int = SHARD_TOKENS,
    progress: bool | None = None,
) -> ShardedAccount:
    """Embed texts into a cache on a Ray cluster.

    There is one actor for each GPU; without GPUs, one for each CPU but one. Actors
    keep the model. A shard whose actor or machine is lost goes to another actor, and
    what was embedded of it already is found in the cache.

    The cache must be on a disk that all machines share; the texts lie in it, too,
    while the run lasts. When the cache lacks nothing, Ray is not started.

    Parameters
    ----------
    texts : sequence of (prompt, response)
    encoder : Encoder
        The encoders of embrm are made again in each actor, on its own device. One of
        yours is pickled by Ray, so its class must be importable there.
    cache : VectorCache, str or path
    address : str, optional
        Of the cluster, as `ray.init` takes it. None takes the one that this process
        or machine has, or starts one here; `"local"` always starts one here.
    max_actors : int, optional
        At most so many actors; without GPUs, they share all CPUs but one.
    shard_tokens : int, default=300_000
        Estimated tokens of a shard; less where there would be too few shards.
    progress : bool, optional
        False silences the bar. Otherwise it shows where stderr is a terminal.

    Returns
    -------
    ShardedAccount

    Raises
    ------
    InvalidInputError
        If there is no such cluster, or the encoder returns vectors that are not
        finite.
    FingerprintMismatchError
        If the encoder of an actor is another one than `encoder`.
    EmbrmError
        If a shard loses its actor again and again, or no actor is left. Shards that
        were done are kept.
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
    >>> from embrm.embed.scale.shard_run import embed_part
    >>> texts = [("Hi", "Hello"), ("Hi", "Bye")]
    >>> with tempfile.TemporaryDirectory() as cache:
    ...     first = embed_part(texts, HashingEncoder(), cache)
    ...     print(embed_on_ray(texts, HashingEncoder(), cache))
    2 items: 100% from the cache, nothing embedded
    """
    check_shard_tokens(shard_tokens)
    _check_actors(max_actors)
    started = time.monotonic()
    opened = cache if isinstance(cache, VectorCache) else VectorCache(cache)
    missing = find_missing(texts, encoder, opened)
    tally, n_workers, n_retries = ShardTally([]), 0, 0
    if missing.groups:
        ray = import_optional("ray", extra="ray")
        with _connected(ray, address), _file_in(opened) as path:
            n_actors, options = plan_actors(ray, max_actors)
            size = _shard_size(texts, missing.groups, shard_tokens, n_actors)
            shards = write_shards(path, texts, missing.groups, size)
            n_workers = min(n_actors, len(shards))
            setup = ActorSetup.of(encoder, opened)
            pool = ActorPool(ray, setup, n_workers, options)
            tally = ShardTally(shards, show=progress)
            with tally, pool:
                for report in pool.run(shards):
                    tally.add(report)
            n_retries = pool.n_retries
    return tally.account(
        missing,
        encoder.fingerprint,
        started=started,
        n_workers=n_workers,
        n_retries=n_retries,
    )


def _check_actors(max_actors: int | None) -> None:
    if max_actors is not None and max_actors < 1:
        raise InvalidInputError(
            three_parts(
                expected="max_actors >= 1",
                got=str(max_actors),
                cure="leave it out to use the whole cluster",
            )
        )


def _shard_size(
    texts: Sequence[Text], groups: Groups, shard_tokens: int, n_actors: int
) -> float:
    """Choose the tokens of a shard, so that no actor is left without one."""
    total = float(group_tokens(texts, groups).sum())
    return min(shard_tokens, total / (_SHARDS_PER_ACTOR * n_actors))


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Join the cluster that this process has, or connect to one for a while."""
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InvalidInputError(
            three_parts(
                expected="the address of a running Ray cluster, or none",
                got=f"{str(address)[:60]!r}, and from Ray: {str(error)[:200]!r}",
                cure="start one with `ray start --head`, or leave the address out",
            )
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _file_in(cache: VectorCache) -> Iterator[Place]:
    """Choose a file in the cache, where all machines see it; remove it at the end."""
    with storage_errors("write the texts", cache.directory):
        make_directory(cache.directory)
    path = cache.directory / f"texts-{secrets.token_hex(8)}.jsonl"
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
