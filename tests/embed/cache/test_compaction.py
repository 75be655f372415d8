"""compact merges files and changes no vector."""

import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embrm.embed.cache import compact
from embrm.embed.cache.store import VectorStore
from embrm.exceptions import DamagedSegmentWarning, EmbrmError

batches = st.lists(st.lists(st.integers(0, 12), unique=True, min_size=1), max_size=7)
quick = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def fill(tmp_path_factory, rows, fingerprint):
    """Makes a store from batches of key numbers, each with vectors of its own."""

    def make(batches):
        directory = tmp_path_factory.mktemp("cache") / fingerprint.digest
        store = VectorStore(directory, fingerprint)
        for seed, batch in enumerate(batches):
            store.append(rows(13)[0][batch], rows(len(batch), seed)[1])
        return store

    return make


def content(store, keys):
    """All vectors of a store, opened anew, by key number."""
    fresh = VectorStore(store.directory, store.fingerprint)
    held = np.flatnonzero(fresh.contains(keys))
    return dict(zip(held.tolist(), fresh.take(keys[held]).tolist(), strict=True))


@quick
@given(batches, st.sampled_from([1, 1500, 3000, 10**6]))
def test_every_key_keeps_its_vector(fill, rows, batches, target_bytes):
    """Claim: whatever the duplicates and the target, the first vector stays."""
    store, keys = fill(batches), rows(13)[0]
    before = content(store, keys)
    report = compact(store, target_bytes=target_bytes)
    assert content(store, keys) == before
    assert len(store) == len(before)
    assert report.n_segments_after == len(store.segments) <= len(batches)


@quick
@given(batches)
def test_one_segment_without_duplicates_is_left(fill, batches):
    """Claim: small segments become one, and each key is in it once."""
    store = fill(batches)
    n_keys = len(store)
    report = compact(store)
    assert report.n_segments_after == min(1, len(batches))
    assert sum(map(len, store.segments)) == n_keys
    assert report.n_rows_dropped == sum(map(len, batches)) - n_keys


def test_compacting_twice_changes_nothing(fill):
    """Claim: a compact store is left alone, file by file."""
    store = fill([[0, 1], [2], [1, 3]])
    compact(store)
    names = [segment.name for segment in store.segments]
    compact(store)
    assert [segment.name for segment in store.segments] == names


def test_large_segments_are_left_alone(fill):
    """Claim: a segment of half the target is not rewritten."""
    store = fill([[0], [1], [2]])
    names = [segment.name for segment in store.segments]
    compact(store, target_bytes=store.segments[0].n_bytes)
    assert [segment.name for segment in store.segments] == names


def test_segments_are_merged_up_to_the_target(fill):
    """Claim: runs of neighbours are cut at the target size."""
    store = fill([[n] for n in range(6)])
    report = compact(store, target_bytes=3 * store.segments[0].n_bytes)
    assert report.n_segments_after == 2


def test_a_merged_segment_takes_the_place_of_its_first(fill, rows):
    """Claim: rows appended meanwhile by others, with the same keys, still lose."""
    store = fill([[0, 1], [2, 3]])
    late = VectorStore(store.directory, store.fingerprint)
    before = content(store, rows(13)[0])
    late.append(rows(13)[0][[1, 3]], rows(2, seed=9)[1])
    names = [segment.name for segment in store.segments]
    compact(store)
    # The time, machine and process of the first; only the checksum is another.
    assert store.segments[0].name.rpartition("-")[0] == names[0].rpartition("-")[0]
    assert content(store, rows(13)[0]) == before


def test_what_is_left_of_a_run_may_be_its_first_segment(fill, rows):
    """Claim: a segment that is written again byte for byte is not deleted."""
    store = fill([[0, 1, 2], [1], [2]])
    before = content(store, rows(13)[0])
    report = compact(store)
    assert (report.n_segments_after, report.n_rows_dropped) == (1, 2)
    assert content(store, rows(13)[0]) == before


def test_a_segment_without_rows_that_count_is_deleted(fill, rows):
    """Claim: pure duplicates behind a large segment leave no file."""
    store = fill([list(range(13)), [3], [4]])
    report = compact(store, target_bytes=store.segments[0].n_bytes)
    assert report.n_segments_after == 1
    assert len(store) == 13


def test_an_empty_store_is_compact(store):
    """Claim: nothing to do is no error, and creates nothing."""
    assert compact(store).n_segments_after == 0
    assert not store.directory.exists()


def test_damage_is_not_laundered(fill, rows, damage):
    """Claim: a damaged segment is set aside and not merged under a new digest."""
    store = fill([[0], [1], [2]])
    expected = content(store, rows(13)[0])
    damage(store.segments[1].path)
    with pytest.warns(DamagedSegmentWarning):
        compact(store)
    del expected[1]
    assert content(store, rows(13)[0]) == expected


@pytest.mark.parametrize(
    ("call", "at"),
    [
        ("io.open", 0),
        ("os.replace", 0),
        *[("os.fsync", at) for at in range(3)],
        *[("os.unlink", at) for at in range(3)],
    ],
)
def test_a_compaction_that_fails_loses_nothing(fill, rows, monkeypatch, call, at):
    """Claim: stopped at any write or delete, all rows are there and it can go on."""
    store = fill([[0, 1], [1, 2], [3]])
    before = content(store, rows(13)[0])
    module, _, name = call.partition(".")
    real = getattr(__import__(module), name)
    calls = []

    def fail(*args, **kwargs):
        if call == "io.open" and "xb" not in args:
            return real(*args, **kwargs)
        calls.append(args)
        if len(calls) > at:
            raise OSError(28, os.strerror(28))
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(call, fail)
        with pytest.raises(EmbrmError, match=r"compact the store .*ENOSPC"):
            compact(store)
    assert content(store, rows(13)[0]) == before
    compact(store)
    assert content(store, rows(13)[0]) == before
    assert len(store.segments) == 1


def test_a_reader_keeps_its_vectors_through_a_compaction(fill, rows):
    """Claim: views of deleted files stay valid, and a refresh finds the new."""
    store = fill([[0, 1], [2, 3]])
    reader = VectorStore(store.directory, store.fingerprint)
    keys = rows(13)[0][:4]
    view, copy = reader.take(keys[:2]), reader.take(keys)
    compact(store)
    np.testing.assert_array_equal(view, copy[:2])
    reader.refresh()
    np.testing.assert_array_equal(reader.take(keys), copy)


def test_the_report_is_json(fill):
    """Claim: to_json can be printed by the command line."""
    values = json.loads(json.dumps(compact(fill([[0], [0, 1]])).to_json()))
    assert (values["n_segments_before"], values["n_rows_dropped"]) == (2, 1)
