"""Actors that embed shards, and a pool of them that survives losing some.

This is not left to Ray's own retries: it would queue a shard behind the restart of
the actor that had it, which may never find room, while other actors stand idle.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from embrm.embed.base import Encoder
from embrm.embed.cache.durable import Place
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.registry import encoder_from_spec, encoder_spec
from embrm.embed.scale.shard_run import embed_shard
from embrm.embed.scale.shards import Shard
from embrm.embed.scale.tally import ShardReport
from embrm.exceptions import EmbrmError, FingerprintMismatchError, three_parts

MAX_LOSSES = 4
"""Actors that a shard may lose; one that loses more is not unlucky but kills them."""


@dataclass(frozen=True)
class ActorSetup:
    """What an actor is told when it starts.

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
            raise FingerprintMismatchError(
                three_parts(
                    expected=f"the encoder with digest {self._setup.digest[:8]} "
                    "on every machine",
                    got=made.fingerprint.describe(),
                    cure="install the same model files and version of transformers",
                )
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for actor in self._actors:
            self._ray.kill(actor)

    def run(self, shards: Sequence[Shard]) -> Iterator[ShardReport]:
        """Give out shards, and yield their reports as they come.

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
        """Take what an actor returns; if it is lost, put its shard back."""
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
                raise EmbrmError(
                    three_parts(
                        expected=f"an actor that survives shard {shard.number}",
                        got=f"{MAX_LOSSES} lost with it, the last by "
                        f"{type(error).__name__}",
                        cure="see Ray's logs; if memory ran out, lower the encoder's "
                        "batch_tokens or max_actors; what was embedded is kept",
                    )
                ) from error
            self.n_retries += 1
            self._waiting.appendleft(shard)
            self._await(actor)
        elif not self._calls and not self._idle:
            raise EmbrmError(
                three_parts(
                    expected="actors that start",
                    got=f"{type(error).__name__} from the last of {len(self._actors)}",
                    cure="see Ray's logs, and check that embrm is installed on every "
                    "machine; what was embedded is kept",
                )
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
