"""How many actors there are, what they are told, and when the pool gives up."""

from types import SimpleNamespace

import pytest

from embrm.embed.base import Fingerprint
from embrm.embed.cache import VectorCache
from embrm.embed.hashing import HashingEncoder
from embrm.embed.scale.actors import ActorPool, ActorSetup, ShardActor, plan_actors
from embrm.embed.scale.shards import Shard
from embrm.embed.sentence import SentenceTransformerEncoder
from embrm.exceptions import EmbrmError, FingerprintMismatchError


def cluster(*nodes):
    """Stand in for ray, with nodes of so many (CPUs, GPUs)."""
    return SimpleNamespace(
        cluster_resources=lambda: {
            "CPU": float(sum(cpus for cpus, _ in nodes)),
            "GPU": float(sum(gpus for _, gpus in nodes)),
        },
        nodes=lambda: [{"Resources": {"CPU": float(cpus)}} for cpus, _ in nodes],
    )


@pytest.mark.parametrize(
    ("nodes", "max_actors", "n_actors", "n_cpus"),
    [
        ([(4, 0)], None, 3, 1),
        ([(4, 0), (4, 0)], None, 7, 1),
        ([(4, 0), (4, 0)], 2, 2, 3),
        ([(4, 0), (4, 0)], 1, 1, 4),
        ([(2, 0)], 9, 1, 1),
        ([(1, 0)], None, 1, 0),
    ],
)
def test_without_gpus_one_cpu_stays_free(nodes, max_actors, n_actors, n_cpus):
    """Claim: fewer actors take more CPUs each, but never more than a node has."""
    options = {"num_gpus": 0, "num_cpus": n_cpus}
    assert plan_actors(cluster(*nodes), max_actors) == (n_actors, options)


@pytest.mark.parametrize(("max_actors", "n_actors"), [(None, 3), (2, 2), (9, 3)])
def test_each_gpu_has_an_actor(max_actors, n_actors):
    """Claim: CPUs do not matter then, and stay free."""
    options = {"num_gpus": 1, "num_cpus": 0}
    assert plan_actors(cluster((8, 1), (2, 2)), max_actors) == (n_actors, options)


def test_an_actor_makes_the_encoder_again(tmp_path):
    """Claim: of an encoder of embrm only its description travels."""
    encoder = HashingEncoder(32, seed=3)
    setup = ActorSetup.of(encoder, VectorCache(tmp_path))
    assert setup.encoder["kind"] == "hashing"
    assert ShardActor(setup)._encoder == encoder


def test_paths_are_absolute(tmp_path, monkeypatch):
    """Claim: an actor in another directory finds cache and model."""
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    who = Fingerprint({}, dim=2, dtype="float32")
    encoder = SentenceTransformerEncoder("model")
    vars(encoder)["fingerprint"] = who
    setup = ActorSetup.of(encoder, VectorCache("cache"))
    assert setup.encoder["model"] == str(tmp_path / "model")
    assert setup.cache == tmp_path / "cache"


def test_another_encoder_than_the_drivers_is_refused(tmp_path):
    """Claim: one machine with other model files cannot spoil the cache."""
    setup = ActorSetup(HashingEncoder(16), tmp_path, digest="0" * 32)
    with pytest.raises(FingerprintMismatchError, match=r"digest 00000000 on every"):
        ShardActor(setup).ready()


class LostError(Exception):
    """An actor is gone."""


class TaskError(Exception):
    """A method of an actor raised."""


class FakeRay:
    """Actors whose answers are written in advance: reports, None or errors."""

    exceptions = SimpleNamespace(RayError=Exception, RayTaskError=TaskError)

    def __init__(self, answers):
        self.answers, self.given, self.killed = list(answers), [], 0

    def remote(self, **options):
        return lambda kind: SimpleNamespace(remote=lambda setup: self.actor())

    def actor(self):
        method = SimpleNamespace(remote=lambda *shard: self.call(shard))
        method.options = lambda **options: method
        return SimpleNamespace(ready=method, embed=method)

    def call(self, shard):
        self.given.append(shard)
        return object()

    def wait(self, calls, num_returns):
        return calls[:1], calls[1:]

    def get(self, call):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, actor):
        self.killed += 1


SHARDS = [Shard(n, None, 0, 0, n_texts=1, digest="") for n in range(2)]


def run(answers, n_actors=1, shards=SHARDS):
    ray = FakeRay(answers)
    pool = ActorPool(ray, None, n_actors, {})
    with pool:
        return list(pool.run(shards)), pool, ray


def test_a_lost_shard_comes_back_first():
    """Claim: it is given out again before others, when the actor is back."""
    reports, pool, ray = run([None, LostError(), None, "a", "b"])
    assert reports == ["a", "b"]
    assert pool.n_retries == 1
    assert [shard[0].number for shard in ray.given if shard] == [0, 0, 1]


def test_an_idle_actor_takes_the_shard_of_a_lost_one():
    """Claim: the shard does not wait for its own actor to return."""
    # Both are ready; one reports, the other loses its shard and never returns.
    reports, _, _ = run([None, None, "b", LostError(), LostError(), "a"], 2)
    assert sorted(reports) == ["a", "b"]


def test_a_shard_that_kills_its_actors_ends_the_run():
    """Claim: after MAX_LOSSES actors the error names the shard and the cure."""
    answers = [None, LostError()] * 4
    with pytest.raises(EmbrmError, match=r"survives shard 0; got 4 lost.*batch_tokens"):
        run(answers, shards=SHARDS[:1])


def test_one_actor_that_never_starts_is_done_without():
    """Claim: the others do the work."""
    reports, _, _ = run([LostError(), None, "a", "b"], 2)
    assert reports == ["a", "b"]


def test_without_any_actor_the_run_ends():
    """Claim: the error says that none is left, and what to look at."""
    with pytest.raises(EmbrmError, match=r"LostError from the last of 2.*installed on"):
        run([LostError(), LostError()], 2)


def test_what_an_actor_raises_is_raised_here():
    """Claim: the error itself, not Ray's wrapping, and actors are let go."""
    error = TaskError()
    error.cause = EmbrmError("the disk is full")
    ray = FakeRay([None, error])
    with (
        pytest.raises(EmbrmError, match=r"^the disk is full$"),
        ActorPool(ray, None, 1, {}) as pool,
    ):
        list(pool.run(SHARDS))
    assert ray.killed == 1
