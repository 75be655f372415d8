"""A writer may be killed at any moment: what it acknowledged is kept.

This is about kills, not power cuts: that the order of sync and rename is right for
those is tested in test_durable.
"""

import numpy as np
import pytest

from embrm.embed.cache import VectorCache, verify

N_KILLS = 60


def check(writers, directory, seed, acknowledged):
    """All acknowledged batches are there, and at most the one in flight besides."""
    who, batch = writers.module["WHO"], writers.module["batch"]
    size = writers.module["BATCH"]
    store = VectorCache(directory).open(who)
    n_kept = 0
    for number in range(acknowledged + 2):
        keys, vectors = batch(seed, number)
        found = store.contains(keys)
        assert found.all() or not found.any(), "a batch is there whole or not at all"
        if found.all():
            np.testing.assert_array_equal(store.take(keys), vectors)
            n_kept += 1
        assert found.all() or number >= acknowledged, "an acknowledged batch is lost"
    assert acknowledged <= n_kept <= acknowledged + 1
    assert len(store) % size == 0


def test_a_writer_killed_at_random_loses_at_most_the_batch_in_flight(writers, tmp_path):
    """Claim: of 60 writers killed 0-80 ms after their first acknowledged append, each
    leaves all acknowledged rows with their values, and stores that open as they are."""
    rng = np.random.default_rng(0)
    kept = {}
    for trial in range(N_KILLS):
        directory = str(tmp_path / str(trial % 6))
        answer = writers.run("crash_at_random", directory, trial, rng.uniform(0, 80))
        assert answer["acknowledged"] >= 1
        check(writers, directory, trial, answer["acknowledged"])
        kept[trial] = directory, answer["acknowledged"]
    for trial, (directory, acknowledged) in kept.items():
        check(writers, directory, trial, acknowledged)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("after", [False, True])
def test_a_writer_killed_at_any_disk_call_loses_at_most_its_batch(
    writers, tmp_path, first, after
):
    """Claim: killed right before or after each disk call, or amid a write, the store
    opens, holds the batch whole or not at all, and takes the next append."""
    who, batch = writers.module["WHO"], writers.module["batch"]
    n_killed = 0
    for at in range(100):
        cache = VectorCache(tmp_path / str(at))
        if not first:
            cache.open(who).append(*batch(7, 0))
        arguments = (str(cache.directory), 0, at, after, "append")
        answer = writers.run("crash_at_call", *arguments)
        check(writers, cache.directory, 0, answer["acknowledged"])
        if not first:
            check(writers, cache.directory, 7, 1)
        assert verify(cache).ok
        cache.open(who).append(*batch(0, 0))
        check(writers, cache.directory, 0, 1)
        n_killed += answer["killed"]
        if not answer["killed"]:
            break
    assert answer == {"acknowledged": 1, "killed": False}
    assert n_killed >= (18 if first else 7)


@pytest.mark.parametrize("after", [False, True])
def test_a_compaction_killed_at_any_disk_call_loses_nothing(writers, tmp_path, after):
    """Claim: whichever write or delete is the last, every row is there as before."""
    who, batch = writers.module["WHO"], writers.module["batch"]
    n_killed = 0
    for at in range(100):
        cache = VectorCache(tmp_path / str(at))
        for seed in range(3):
            cache.open(who).append(*batch(seed, 0))
        arguments = (str(cache.directory), 0, at, after, "compact")
        answer = writers.run("crash_at_call", *arguments)
        fresh = VectorCache(cache.directory)
        for seed in range(3):
            check(writers, fresh.directory, seed, 1)
        assert len(fresh.open(who)) == 3 * writers.module["BATCH"]
        assert verify(fresh).ok
        n_killed += answer["killed"]
        if not answer["killed"]:
            break
    assert answer == {"acknowledged": 1, "killed": False}
    assert n_killed >= 11
