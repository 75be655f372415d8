"""On a real Ray cluster nothing is lost and nothing doubled, even if a node dies."""

import os
import signal
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from embrm.embed import (
    Fingerprint,
    HashingEncoder,
    SentenceTransformerEncoder,
    embed_items,
    item_keys,
)
from embrm.embed.cache import VectorCache
from embrm.embed.scale import Shard, embed_on_ray, embed_part, ray_run
from embrm.embed.scale.ray_run import ActorPool, ActorSetup, ShardActor, plan_actors
from embrm.exceptions import EmbrmError, FingerprintMismatchError, InvalidInputError

ENCODER = HashingEncoder(dim=16)
TEXTS = [(f"prompt {n // 4}", f"response {n}") for n in range(160)]
KEYS = item_keys(TEXTS)
NODE = {"num_cpus": 1, "num_gpus": 1}


@pytest.fixture(scope="module")
def cluster(ray_cluster):
    """A head without GPUs, and two nodes with one each (in name)."""
    with ray_cluster({"num_cpus": 2}, [NODE, NODE]) as made:
        yield made


@pytest.fixture
def cache(tmp_path):
    """An empty cache."""
    return VectorCache(tmp_path / "cache")


def check_whole(cache):
    """Compare every vector with a run in one process, and count them."""
    store = VectorCache(cache.directory).open(ENCODER.fingerprint)
    np.testing.assert_array_equal(store.take(KEYS), ENCODER.encode(TEXTS))
    assert len(store) == len(TEXTS)
    assert sum(len(rows) for _, rows in store.counting_rows()) == len(TEXTS)


def make_encoder(before):
    """Make an encoder that does something first; Ray takes local classes by value."""

    class Own:
        fingerprint = ENCODER.fingerprint

        def encode(self, texts, *, on_batch=None):
            before(texts)
            return ENCODER.encode(texts, on_batch=on_batch)

    return Own()


def test_vectors_are_those_of_one_process(cluster, cache):
    """Claim: one actor per GPU, all bits the same, and only segments are left."""
    done = embed_on_ray([*TEXTS, *TEXTS[:9]], ENCODER, cache, progress=False)
    check_whole(cache)
    assert (done.n_items, done.n_unique, done.n_embedded) == (169, 160, 160)
    assert (done.n_workers, done.n_retries) == (2, 0)
    assert done.n_shards == 8
    assert done.n_tokens > 0
    assert [path.name for path in cache.directory.iterdir()] == [
        ENCODER.fingerprint.digest
    ]


def test_a_node_killed_in_mid_run_loses_and_doubles_nothing(cluster, cache, tmp_path):
    """Claim: the other node takes over what the dead one had, half finished."""
    mark, doomed = tmp_path / "in mid-shard", cluster.workers.pop()
    doomed_id, directory = doomed.node_id, cache.directory

    def hang_on_the_doomed_node(texts):
        import ray

        is_doomed = ray.get_runtime_context().get_node_id() == doomed_id
        if is_doomed:
            embed_items(texts[:1], ENCODER, directory)
            mark.touch()
        # The other node leaves it a shard.
        for _ in range(1200):
            if mark.exists() and not is_doomed:
                return
            time.sleep(0.05)
        raise EmbrmError("nobody killed this node, or it never had a shard")

    def kill():
        while not mark.exists():
            time.sleep(0.01)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    try:
        done = embed_on_ray(TEXTS, make_encoder(hang_on_the_doomed_node), cache)
    finally:
        mark.touch()
        killer.join()
        cluster.workers.append(cluster.add_node(**NODE))
        cluster.wait_for_nodes()
    check_whole(cache)
    assert (done.n_retries, done.n_workers) == (1, 2)
    assert done.n_embedded == len(TEXTS) - 1


def test_an_actor_killed_in_mid_shard_goes_on_where_it_was(cluster, cache, tmp_path):
    """Claim: what it had committed is found by whoever takes the shard."""
    mark, half = tmp_path / "killed", TEXTS[:2]
    directory = cache.directory

    def die_once(texts):
        if half[0] in texts and half[1] in texts and not mark.exists():
            mark.touch()
            embed_items(half, ENCODER, directory)
            os.kill(os.getpid(), signal.SIGKILL)

    done = embed_on_ray(TEXTS, make_encoder(die_once), cache, progress=False)
    check_whole(cache)
    assert done.n_retries == 1
    assert done.n_embedded == len(TEXTS) - 2


def test_a_second_run_goes_on_after_an_error(cluster, cache):
    """Claim: an encoder's error is raised as it is, and what was done is kept."""

    def refuse(texts):
        if TEXTS[-1] in texts:
            raise InvalidInputError("no such text")

    with pytest.raises(InvalidInputError, match=r"^no such text$"):
        embed_on_ray(TEXTS, make_encoder(refuse), cache, max_actors=1, shard_tokens=100)
    n_kept = len(cache.open(ENCODER.fingerprint))
    assert n_kept > 0
    done = embed_on_ray(TEXTS, ENCODER, cache)
    check_whole(cache)
    assert done.n_hits == n_kept


def test_an_actor_with_another_encoder_is_refused(cluster, cache):
    """Claim: vectors of other model files never reach the cache."""
    here = os.getpid()

    class Elsewhere:
        @property
        def fingerprint(self):
            seed = 0 if os.getpid() == here else 1
            return HashingEncoder(dim=16, seed=seed).fingerprint

    with pytest.raises(FingerprintMismatchError, match="on every machine"):
        embed_on_ray(TEXTS, Elsewhere(), cache)
    assert cache.stores() == []


def test_without_missing_texts_ray_is_not_started(cache, monkeypatch):
    """Claim: a full cache costs no cluster."""
    embed_part(TEXTS, ENCODER, cache)
    monkeypatch.setattr(ray_run, "import_optional", pytest.fail)
    done = embed_on_ray(TEXTS, ENCODER, cache)
    assert str(done) == "160 items: 100% from the cache, nothing embedded"
    assert done.n_workers == 0


class FakeRay(SimpleNamespace):
    """Ray, unconnected; notes what is asked of it."""

    def __init__(self, error=None):
        super().__init__(calls=[], error=error)

    def is_initialized(self):
        return False

    def init(self, **options):
        self.calls.append(options)
        if self.error is not None:
            raise self.error

    def shutdown(self):
        self.calls.append("shutdown")


def test_a_connection_of_our_own_is_closed(cache):
    """Claim: whoever was not connected before is not afterwards, even after errors."""
    ray = FakeRay()
    with pytest.raises(EmbrmError), ray_run._connected(ray, "host:6379"):
        raise EmbrmError
    assert ray.calls[0]["address"] == "host:6379"
    assert ray.calls[1:] == ["shutdown"]


@pytest.mark.parametrize("error", [ConnectionError, ValueError, RuntimeError])
def test_no_cluster_at_the_address_is_said_with_a_fix(error):
    """Claim: Ray's own error is quoted."""
    got = r"running Ray cluster.*'nowhere:1'.*could not.*ray start --head"
    with (
        pytest.raises(InvalidInputError, match=got),
        ray_run._connected(FakeRay(error("could not connect")), "nowhere:1"),
    ):
        pytest.fail("not connected")


def test_actors_are_at_least_one(cache):
    """Claim: max_actors is checked before anything starts."""
    with pytest.raises(InvalidInputError, match="max_actors >= 1"):
        embed_on_ray(TEXTS, ENCODER, cache, max_actors=0)


def fake_cluster(*nodes):
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
    assert plan_actors(fake_cluster(*nodes), max_actors) == (n_actors, options)


@pytest.mark.parametrize(("max_actors", "n_actors"), [(None, 3), (2, 2), (9, 3)])
def test_each_gpu_has_an_actor(max_actors, n_actors):
    """Claim: CPUs do not matter then, and stay free."""
    options = {"num_gpus": 1, "num_cpus": 0}
    assert plan_actors(fake_cluster((8, 1), (2, 2)), max_actors) == (n_actors, options)


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


class FakeActors:
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
    ray = FakeActors(answers)
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
    """Claim: after MAX_LOSSES actors the error names the shard and the fix."""
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
    ray = FakeActors([None, error])
    with (
        pytest.raises(EmbrmError, match=r"^the disk is full$"),
        ActorPool(ray, None, 1, {}) as pool,
    ):
        list(pool.run(SHARDS))
    assert ray.killed == 1
