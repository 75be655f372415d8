"""Embed on a Ray cluster, with actors that write segments themselves.

No vector passes through Ray or this process: actors read texts from a shared disk,
write to the cache there, and return reports.
"""

import logging
import os
import secrets
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from embrm._optional import import_optional
from embrm._typing import Text
from embrm.embed.base import Encoder
from embrm.embed.cache.durable import Place, make_directory, storage_errors
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.registry import encoder_from_spec, encoder_spec
from embrm.embed.scale.shard_run import (
    SHARD_TOKENS,
    ShardedEmbeddingReport,
    ShardReport,
    ShardTally,
    check_shard_tokens,
    embed_shard,
    find_missing,
)
from embrm.embed.scale.shards import Groups, Shard, group_tokens, write_shards
from embrm.exceptions import EmbrmError, FingerprintMismatchError, invalid_input

_SHARDS_PER_ACTOR = 4  # at least, so that all finish at about the same time

MAX_LOSSES = 4
"""Actors that a shard may lose; one that loses more is not unlucky but kills them."""


def embed_on_ray(
    texts: Sequence[Text],
    encoder: Encoder,
    cache: VectorCache | str | os.PathLike[str],
    *,
    address: str | None = None,
    max_actors: int | None = None,
    shard_tokens: int = SHARD_TOKENS,
    progress: bool | None = None,
) -> ShardedEmbeddingReport:
    """Embed texts into a cache on a Ray cluster.

    There is one actor for each GPU; without GPUs, one for each CPU but one. Actors
    keep the model. If an actor or machine is lost, its shard is given to another actor,
    which finds what was already embedded of it in the cache.

    The cache must be on a disk that all machines share; the texts are in it, too,
    during the run. If the cache is complete, Ray is not started.

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
    ShardedEmbeddingReport

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
        Re-raised with a message on how to resume.

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
    return tally.report(
        missing,
        encoder.fingerprint,
        started=started,
        n_workers=n_workers,
        n_retries=n_retries,
    )


def _check_actors(max_actors: int | None) -> None:
    if max_actors is not None and max_actors < 1:
        raise invalid_input(
            expected="max_actors >= 1",
            got=str(max_actors),
            fix="leave it out to use the whole cluster",
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
        raise invalid_input(
            expected="the address of a running Ray cluster, or none",
            got=f"{str(address)[:60]!r}, and from Ray: {str(error)[:200]!r}",
            fix="start one with `ray start --head`, or leave the address out",
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


@dataclass(frozen=True)
class ActorSetup:
    """What an actor gets when it starts.

    Attributes
    ----------
    encoder : mapping or Encoder
        What `encoder_from_spec` takes, or an encoder that this package does not know.
    cache : Path or RemotePath
        Directory of the cache, absolute.
    digest : str
        Of the fingerprint that the actor's encoder must have.
    """

    encoder: Mapping[str, Any] | Encoder
    cache: Place
    digest: str

    @classmethod
    def of(cls, encoder: Encoder, cache: VectorCache) -> Self:
        """Describe an encoder and a cache to another process."""
        spec, home = encoder_spec(encoder), cache.directory
        model = spec.get("model")
        if isinstance(model, str) and Path(model).expanduser().is_dir():
            # Actors have another working directory.
            spec["model"] = str(Path(model).expanduser().absolute())
        return cls(
            encoder=encoder if spec["kind"] == "own" else spec,
            cache=home.absolute() if isinstance(home, Path) else home,
            digest=encoder.fingerprint.digest,
        )


class ShardActor:
    """Holds a model and embeds one shard after another.

    Parameters
    ----------
    setup : ActorSetup
    """

    def __init__(self, setup: ActorSetup) -> None:
        self._setup = setup
        self._cache = VectorCache(setup.cache)

    @cached_property
    def _encoder(self) -> Encoder:
        known = self._setup.encoder
        made = encoder_from_spec(known) if isinstance(known, Mapping) else known
        if made.fingerprint.digest != self._setup.digest:
            raise FingerprintMismatchError.of(
                expected=f"the encoder with digest {self._setup.digest[:8]} "
                "on every machine",
                got=made.fingerprint.describe(),
                fix="install the same model files and version of transformers",
            )
        return made

    def ready(self) -> None:
        """Make the encoder, and check that it is the right one."""
        _ = self._encoder

    def embed(self, shard: Shard) -> ShardReport:
        """Embed one shard; see `embed_shard`."""
        return embed_shard(shard, self._encoder, self._cache)


def plan_actors(ray: Any, max_actors: int | None) -> tuple[int, dict[str, int]]:
    """Say how many actors a cluster has room for, and what each of them takes.

    Parameters
    ----------
    ray : module
        Connected to the cluster.
    max_actors : int, optional

    Returns
    -------
    n_actors : int
    options : dict
        `num_gpus` and `num_cpus`, for `ray.remote`. One CPU at least stays free.
    """
    cluster = ray.cluster_resources()
    n_gpus, n_cpus = int(cluster.get("GPU", 0)), int(cluster.get("CPU", 0))
    if n_gpus:
        return min(max_actors or n_gpus, n_gpus), {"num_gpus": 1, "num_cpus": 0}
    spare = n_cpus - 1
    n_actors = max(1, min(max_actors or spare, spare))
    largest = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes())
    return n_actors, {"num_gpus": 0, "num_cpus": min(spare // n_actors, largest)}


class ActorPool:
    """Actors, and the shard that each of them has; a context manager.

    Parameters
    ----------
    ray : module
        Connected to a cluster.
    setup : ActorSetup
    n_actors : int
    options : dict
        Resources of an actor; see `plan_actors`.

    Attributes
    ----------
    n_retries : int
        Times that a shard was given out again because its actor was lost.
    """

    def __init__(
        self, ray: Any, setup: ActorSetup, n_actors: int, options: Mapping[str, int]
    ) -> None:
        self.n_retries = 0
        self._ray = ray
        self._losses: Counter[int] = Counter()
        self._waiting: deque[Shard] = deque()
        self._idle: list[Any] = []
        # What is awaited of which actor: a shard, or (None) that it is ready.
        self._calls: dict[Any, tuple[Any, Shard | None]] = {}
        # Actors that Ray restarts elsewhere, as soon as there is room.
        remote = ray.remote(max_restarts=-1, **options)(ShardActor)
        self._actors = [remote.remote(setup) for _ in range(n_actors)]

    def __enter__(self) -> Self:
        for actor in self._actors:
            self._await(actor)
        return self

    def __exit__(self, *error: object) -> None:
        for actor in self._actors:
            self._ray.kill(actor)

    def run(self, shards: Sequence[Shard]) -> Iterator[ShardReport]:
        """Distribute shards, and yield their reports as they arrive.

        Raises
        ------
        EmbrmError
            If a shard loses `MAX_LOSSES` actors, or no actor is left.
        Exception
            What an actor raises, e.g. because the disk is full, is raised here.
        """
        self._waiting.extend(shards)
        n_open = len(shards)
        while n_open:
            (call,), _ = self._ray.wait(list(self._calls), num_returns=1)
            actor, shard = self._calls.pop(call)
            report = self._result(call, actor, shard)
            if report is not None:
                n_open -= 1
                yield report
            self._give_out()

    def _result(self, call: Any, actor: Any, shard: Shard | None) -> ShardReport | None:
        """Take the result of an actor; if it is lost, return its shard to the queue."""
        errors = self._ray.exceptions
        try:
            report: ShardReport | None = self._ray.get(call)
        except errors.RayTaskError as error:
            raise error.cause from error
        except errors.RayError as error:
            self._lose(actor, shard, error)
            return None
        self._idle.append(actor)
        return report

    def _lose(self, actor: Any, shard: Shard | None, error: Exception) -> None:
        """Put the shard of a lost actor back, and wait for the actor to return."""
        if shard is not None:
            self._losses[shard.number] += 1
            if self._losses[shard.number] >= MAX_LOSSES:
                raise EmbrmError.of(
                    expected=f"an actor that survives shard {shard.number}",
                    got=f"{MAX_LOSSES} lost with it, the last by "
                    f"{type(error).__name__}",
                    fix="see Ray's logs; if memory ran out, lower the encoder's "
                    "batch_tokens or max_actors; what was embedded is kept",
                ) from error
            self.n_retries += 1
            self._waiting.appendleft(shard)
            self._await(actor)
        elif not self._calls and not self._idle:
            raise EmbrmError.of(
                expected="actors that start",
                got=f"{type(error).__name__} from the last of {len(self._actors)}",
                fix="see Ray's logs, and check that embrm is installed on every "
                "machine; what was embedded is kept",
            ) from error

    def _give_out(self) -> None:
        """Give shards to actors that have none."""
        while self._waiting and self._idle:
            actor, shard = self._idle.pop(), self._waiting.popleft()
            self._calls[actor.embed.remote(shard)] = (actor, shard)

    def _await(self, actor: Any) -> None:
        """Wait for an actor to be ready, through any number of restarts."""
        call = actor.ready.options(max_task_retries=-1).remote()
        self._calls[call] = (actor, None)
