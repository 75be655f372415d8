"""A cache is checked, compacted and pruned, and no vector is lost."""

import errno
import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embrm.embed import Fingerprint
from embrm.embed.cache import VectorStore, compact, prune, verify
from embrm.exceptions import DamagedSegmentWarning, EmbrmError, InvalidInputError


@pytest.fixture
def filled(cache, store, rows):
    """A cache with one store of three segments."""
    for seed in range(3):
        store.append(*rows(4, seed))
    return cache


def test_a_whole_cache_is_ok(filled):
    """Claim: nothing wrong is reported as nothing wrong."""
    report = verify(filled)
    assert report.ok
    assert [(one.n_segments, one.n_rows) for one in report.stores] == [(3, 12)]


def test_a_cache_that_is_not_there_is_ok(cache):
    """Claim: no stores, no damage."""
    assert verify(cache).ok


def test_damage_is_reported_and_set_aside(filled, store, damage):
    """Claim: the damaged segment is named; afterwards the cache is whole again."""
    damage(store.segments[1].path)
    with pytest.warns(DamagedSegmentWarning):
        report = verify(filled)
    assert not report.ok
    assert report.stores[0].damaged == (store.segments[1].name,)
    assert report.stores[0].n_rows == 8
    assert verify(filled).ok


def test_a_dry_run_changes_nothing(filled, store, damage):
    """Claim: it reports the same, renames nothing and does not warn."""
    damage(store.segments[1].path)
    for _ in range(2):
        assert verify(filled, dry_run=True).stores[0].damaged


def test_what_keeps_a_store_from_opening_is_a_problem(filled, store, rows):
    """Claim: an unreadable meta.json is reported, and digests are checked anyway."""
    (store.directory / "meta.json").write_text("{")
    report = verify(filled)
    assert not report.ok
    assert "delete the file" in report.stores[0].problems[0]
    assert report.stores[0].n_rows == 12


def test_a_foreign_segment_is_a_problem(filled, store, rows):
    """Claim: a segment of another store is named and left alone."""
    other = filled.open(Fingerprint({"kind": "other"}, dim=4, dtype="float16"))
    other.append(*rows())
    path = other.segments[0].path
    path.rename(store.directory / "segments" / path.name)
    (check,) = (
        one for one in verify(filled).stores if one.digest == store.directory.name
    )
    assert path.name in check.problems[0]
    assert check.damaged == ()


def test_strangers_are_named_and_do_no_harm(filled, store):
    """Claim: a file that is none of the cache's is reported, not removed."""
    directory = store.directory / "segments"
    for name in ("notes.txt", "x.tmp", "x.damaged"):
        (directory / name).touch()
    report = verify(filled)
    assert report.ok
    assert report.stores[0].strangers == ("notes.txt",)
    assert (directory / "notes.txt").exists()


def test_a_store_without_segments_is_ok(filled, store):
    """Claim: a first append that was killed leaves a store that is fine."""
    for path in (store.directory / "segments").iterdir():
        path.unlink()
    (store.directory / "segments").rmdir()
    assert verify(filled).ok


def test_a_segment_that_goes_meanwhile_is_no_damage(filled, monkeypatch):
    """Claim: verify next to a compaction does not fail."""

    def gone(path, *args, **kwargs):
        raise FileNotFoundError(2, "gone", str(path))

    monkeypatch.setattr("embrm.embed.cache.maintenance.read_segment", gone)
    assert verify(filled).ok


def test_the_report_of_a_check_is_json(filled):
    """Claim: to_json can be printed by the command line."""
    values = json.loads(json.dumps(verify(filled).to_json()))
    assert values["ok"] is True
    assert values["stores"][0]["n_rows"] == 12


batches = st.lists(st.lists(st.integers(0, 12), unique=True, min_size=1), max_size=7)
quick = settings(
    max_examples=30,
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


def test_the_report_of_a_compaction_is_json(fill):
    """Claim: to_json can be printed by the command line."""
    values = json.loads(json.dumps(compact(fill([[0], [0, 1]])).to_json()))
    assert (values["n_segments_before"], values["n_rows_dropped"]) == (2, 1)


@pytest.fixture
def littered(cache, store, rows):
    """A store with a segment, a damaged one, and old and new temporary files."""
    store.append(*rows())
    directory = store.directory / "segments"
    for path, age in [
        (directory / "a.arrow.damaged", 0),
        (directory / "old.tmp", 3700),
        (directory / "new.tmp", 0),
        (store.directory / "meta.json.old.tmp", 3700),
        (directory / "notes.txt", 9999),
    ]:
        path.write_bytes(b"12345")
        then = path.stat().st_mtime - age
        os.utime(path, (then, then))
    return cache


def removed(report):
    return sorted(path.rpartition("/")[2] for path in report.removed)


def test_damaged_and_stale_files_go_and_nothing_else(littered, store, rows):
    """Claim: vectors, young temporary files and unknown files stay."""
    report = prune(littered)
    assert removed(report) == ["a.arrow.damaged", "meta.json.old.tmp", "old.tmp"]
    assert report.n_bytes == 15
    left = sorted(path.name for path in (store.directory / "segments").iterdir())
    assert left[1:] == ["new.tmp", "notes.txt"]
    assert littered.open(store.fingerprint).contains(rows()[0]).all()


def test_a_second_prune_finds_nothing(littered):
    """Claim: pruning is idempotent."""
    prune(littered)
    assert prune(littered).removed == ()


def test_a_dry_run_only_reports(littered):
    """Claim: the same report, nothing removed."""
    first = prune(littered, dry_run=True)
    assert prune(littered, dry_run=True) == first
    assert removed(prune(littered)) == removed(first)


def test_each_kind_can_be_left_out(littered):
    """Claim: damaged and temporary are chosen separately."""
    assert removed(prune(littered, damaged=False, dry_run=True)) == [
        "meta.json.old.tmp",
        "old.tmp",
    ]
    assert removed(prune(littered, temporary=False)) == ["a.arrow.damaged"]


def test_the_age_can_be_chosen(littered):
    """Claim: a temporary file older than asked goes."""
    assert "new.tmp" in removed(prune(littered, older_than=-1))


def test_a_named_store_goes_with_its_vectors(littered, store, rows):
    """Claim: only the store that is named goes."""
    other = Fingerprint({"kind": "other"}, dim=4, dtype="float16")
    littered.open(other).append(*rows())
    report = prune(littered, fingerprints=[store.fingerprint.digest])
    assert report.removed == (store.fingerprint.digest,)
    assert report.n_bytes > 500
    assert [info.digest for info in littered.stores()] == [other.digest]
    assert not littered.open(store.fingerprint).contains(rows()[0]).any()


def test_a_removed_store_can_be_filled_again(littered, store, rows):
    """Claim: an open store survives its removal."""
    prune(littered, fingerprints=[store.fingerprint.digest])
    store.append(*rows())
    assert littered.open(store.fingerprint).contains(rows()[0]).all()


@pytest.mark.parametrize("digest", ["f" * 32, "..", "", "*"])
def test_an_unknown_name_removes_nothing(littered, digest):
    """Claim: a typing error is an error before anything is removed."""
    with pytest.raises(InvalidInputError, match=r"unknown .*cache info"):
        prune(littered, fingerprints=[digest])
    assert len(prune(littered, dry_run=True).removed) == 3


def test_an_error_is_passed_on_with_advice(littered, monkeypatch):
    """Claim: what cannot be removed is a clean error."""

    def refuse(*args, **kwargs):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.unlink", refuse)
    with pytest.raises(EmbrmError, match=r"prune the cache.*EACCES.*writable"):
        prune(littered)


def test_a_cache_that_is_not_there_needs_no_pruning(cache):
    """Claim: nothing is removed and nothing fails."""
    assert prune(cache).removed == ()


def test_the_report_of_a_pruning_is_json(littered):
    """Claim: to_json can be printed by the command line."""
    values = json.loads(json.dumps(prune(littered, dry_run=True).to_json()))
    assert (values["dry_run"], len(values["removed"])) == (True, 3)
