"""A store keeps what it was given, gives it back, and refuses the rest."""

import errno
import hashlib
import io
import json
import os
import resource
import signal
import threading
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embrm.embed import Fingerprint
from embrm.embed.cache import VectorCache, VectorStore, compact
from embrm.embed.cache.durable import durable_file
from embrm.exceptions import (
    DamagedSegmentWarning,
    EmbrmError,
    FingerprintMismatchError,
    IntegrityError,
    InvalidInputError,
)


def reopened(store):
    return VectorStore(store.directory, store.fingerprint)


def files(store):
    return sorted(path.name for path in (store.directory / "segments").iterdir())


class Clock:
    """Stands for the class datetime, at a fixed time."""

    def __init__(self, time):
        self.time = datetime.fromisoformat(time)

    def now(self, zone):
        return self.time


def test_what_was_appended_is_there_at_once_and_after_reopening(store, rows):
    """Claim: append, then take, here and in a new store."""
    keys, vectors = rows()
    store.append(keys, vectors)
    for one in (store, reopened(store)):
        assert one.contains(keys).all()
        assert one.take(keys).tobytes() == vectors.tobytes()
        assert (len(one), one.dim, one.dtype) == (5, 4, np.dtype("float16"))


def test_reading_creates_nothing(store, rows):
    """Claim: only an append makes the directory."""
    assert not store.contains(rows()[0]).any()
    assert not store.directory.parent.exists()


def test_an_empty_append_writes_nothing(store, rows):
    """Claim: no rows, no segment."""
    store.append(*rows(0))
    assert not store.directory.exists()


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.lists(st.integers(0, 9), unique=True, min_size=1), max_size=6))
def test_the_first_vector_of_a_key_counts_for_ever(
    tmp_path_factory, rows, fingerprint, batches
):
    """Claim: whatever is appended in whatever slices, the store is a dictionary in
    which the first value stays."""
    store = VectorStore(tmp_path_factory.mktemp("s") / fingerprint.digest, fingerprint)
    keys, _ = rows(10)
    model: dict[int, np.ndarray] = {}
    for seed, batch in enumerate(batches):
        _, vectors = rows(len(batch), seed)
        store.append(keys[batch], vectors)
        for key, vector in zip(batch, vectors, strict=True):
            model.setdefault(key, vector)
    held = sorted(model)
    for one in (store, reopened(store)):
        assert one.contains(keys).tolist() == [key in model for key in range(10)]
        assert one.take(keys[held]).tolist() == [model[key].tolist() for key in held]
        assert len(one) == len(model)


def test_a_store_in_order_is_a_view_of_the_file(store, rows):
    """Claim: one segment in its order is not copied."""
    keys, vectors = rows()
    store.append(keys, vectors)
    taken = reopened(store).take(keys[1:4])
    assert taken.base is not None
    assert not taken.flags.writeable
    np.testing.assert_array_equal(taken, vectors[1:4])


def test_gathered_vectors_are_read_only_too(store, rows):
    """Claim: code that writes fails always, not only when it got a view."""
    store.append(*rows())
    assert not store.take(rows()[0][::-1]).flags.writeable


def test_no_keys_give_empty_vectors(store, rows):
    """Claim: shape (0, d) in the store's dtype."""
    assert store.take(rows(0)[0]).shape == (0, 4)


def test_missing_keys_are_counted(store, rows):
    """Claim: take says how many keys are missing and what to do."""
    store.append(*rows(3))
    keys = np.concatenate([rows(3)[0], rows(2, seed=1)[0]])
    with pytest.raises(InvalidInputError, match=r"2 of 5 keys missing.*call contains"):
        store.take(keys)


def test_what_others_append_is_seen_after_a_refresh(store, rows):
    """Claim: refresh, and only refresh, shows other writers' rows."""
    other = reopened(store)
    other.append(*rows())
    assert not store.contains(rows()[0]).any()
    store.refresh()
    assert store.contains(rows()[0]).all()


def test_an_unchanged_store_keeps_its_index(store, rows):
    """Claim: a refresh without news costs no new index."""
    store.append(*rows())
    index = store._snapshot.index
    store.refresh()
    assert store._snapshot.index is index


def test_a_repeated_key_in_one_append_is_refused(store, rows):
    """Claim: within one append each key has one vector."""
    keys, vectors = rows()
    with pytest.raises(InvalidInputError, match=r"all different; got 2 different"):
        store.append(keys[[0, 1, 0]], vectors[:3])
    assert not store.directory.exists()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("dim", [4, 5])
def test_vectors_of_another_encoder_are_refused(store, rows, dim, dtype):
    """Claim: d and dtype must be the fingerprint's."""
    vectors = np.zeros((5, dim), dtype)
    if (dim, dtype) == (4, "float16"):
        store.append(rows()[0], vectors)
        return
    with pytest.raises(FingerprintMismatchError, match=f"d = {dim} and dtype {dtype}"):
        store.append(rows()[0], vectors)


def test_keys_must_be_keys(store, rows):
    """Claim: hexadecimal strings are refused."""
    with pytest.raises(InvalidInputError, match="dtype V16"):
        store.append(np.array(["ab"]), rows(1)[1])


def test_an_unknown_way_to_verify_is_refused(tmp_path, fingerprint):
    """Claim: a typing error does not switch the check off."""
    with pytest.raises(
        InvalidInputError, match=r"'use', 'open', 'never'.*got 'always'"
    ):
        VectorStore(tmp_path, fingerprint, verify="always")


fields = st.dictionaries(
    st.sampled_from(
        ["model", "weights_sha256", "template", "pooling", "max_tokens", "layer"]
    ),
    st.sampled_from(["a", "b", 1, 2, True, None]),
)
fingerprints = st.builds(
    Fingerprint, fields, st.just(4), st.sampled_from(["float16", "float32"])
)


@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(fingerprints, fingerprints)
def test_another_encoder_never_hits(tmp_path_factory, rows, one, other):
    """Claim: whatever field differs, no vector of one is served to the other."""
    cache = VectorCache(tmp_path_factory.mktemp("cache"))
    keys, _ = rows()
    cache.open(one).append(keys, np.ones((5, 4), one.dtype))
    same = json.dumps(one.to_json(), sort_keys=True) == json.dumps(
        other.to_json(), sort_keys=True
    )
    assert cache.open(other).contains(keys).tolist() == [same] * 5


def test_a_damaged_segment_is_set_aside_and_the_rest_is_served(
    store, rows, damage_rows
):
    """Claim: only the rows of the damaged segment are missing."""
    for seed in range(3):
        store.append(*rows(4, seed))
    damage_rows(store.segments[1])
    again = reopened(store)
    with pytest.warns(DamagedSegmentWarning, match=store.segments[1].name):
        found = [again.contains(rows(4, seed)[0]).all() for seed in range(3)]
    assert found == [True, False, True]
    assert [name.endswith(".damaged") for name in files(store)] == [False, True, False]


def test_a_damaged_segment_is_warned_of_once(store, rows, damage_rows, monkeypatch):
    """Claim: also where it cannot be renamed, a refresh does not warn again."""
    store.append(*rows())
    damage_rows(store.segments[0])

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.rename", refuse)
    again = reopened(store)
    with pytest.warns(DamagedSegmentWarning, match="cannot be renamed"):
        assert not again.contains(rows()[0]).any()
    again.refresh()
    assert len(again) == 0
    assert len(files(store)) == 1


def test_take_never_returns_damaged_vectors(store, rows, damage_rows):
    """Claim: rows that were found by their keys alone are checked before use, and
    another copy of the row is served where there is one."""
    (keys, vectors), again = rows(), reopened(store)
    again.append(keys, vectors)
    again.append(keys[:2], rows(2, seed=1)[1])
    damage_rows(again.segments[0])
    fresh = reopened(store)
    assert fresh.contains(keys, check=False).all()
    with (
        pytest.warns(DamagedSegmentWarning),
        pytest.raises(InvalidInputError, match="3 of 5 keys missing"),
    ):
        fresh.take(keys)
    np.testing.assert_array_equal(fresh.take(keys[:2]), rows(2, seed=1)[1])


def test_only_segments_that_are_used_are_read(store, rows, monkeypatch):
    """Claim: opening and looking up keys computes no digest, and using rows computes
    those of their segments, once."""
    for seed in range(3):
        store.append(*rows(4, seed))
    read = []
    original = hashlib.file_digest
    monkeypatch.setattr(
        "hashlib.file_digest",
        lambda file, name: (read.append(file.name), original(file, name))[1],
    )
    again = reopened(store)
    keys = rows(4, 1)[0]
    assert again.contains(keys, check=False).all()
    assert read == []
    again.take(keys[:2])
    again.take(keys)
    assert [Path(name).name for name in read] == [store.segments[1].name]


def test_a_store_can_be_checked_when_it_is_opened(store, rows, damage_rows):
    """Claim: with verify="open" damage is set aside before the store is there."""
    for seed in range(2):
        store.append(*rows(4, seed))
    damage_rows(store.segments[0])
    with pytest.warns(DamagedSegmentWarning):
        again = VectorStore(store.directory, store.fingerprint, verify="open")
    assert len(again) == 4


def test_rows_that_count_are_rows_that_are_whole(store, rows, damage_rows):
    """Claim: what goes through all rows sees no damaged one."""
    for seed in range(2):
        store.append(*rows(4, seed))
    damage_rows(store.segments[0])
    again = reopened(store)
    with pytest.warns(DamagedSegmentWarning):
        counting = again.counting_rows()
    assert [segment.name for segment, _ in counting] == [store.segments[1].name]


def test_a_segment_that_goes_before_its_first_use_is_looked_for_again(store, rows):
    """Claim: a compaction between opening and taking does not disturb a reader."""
    for seed in range(2):
        store.append(*rows(4, seed))
    reader = reopened(store)
    compact(store)
    np.testing.assert_array_equal(reader.take(rows(4, 1)[0]), rows(4, 1)[1])


def test_segments_that_go_again_and_again_before_use_are_an_error(
    store, rows, monkeypatch
):
    """Claim: a reader that always comes too late says so."""
    store.append(*rows())
    reader = reopened(store)

    def gone(path):
        raise FileNotFoundError(2, "gone", str(path))

    monkeypatch.setattr("embrm.embed.cache._segment.check_digest", gone)
    with pytest.raises(EmbrmError, match=r"some gone, 10 times.*wait until"):
        reader.take(rows()[0])


def test_without_verification_damage_may_pass(store, rows, damage):
    """Claim: "never" trades the check for speed, as it says."""
    store.append(*rows())
    damage(store.segments[0].path, 8 * store.segments[0].vectors.nbytes)
    assert len(VectorStore(store.directory, store.fingerprint, verify="never")) == 5


def test_a_segment_of_another_store_is_skipped_and_said(store, rows, cache):
    """Claim: a foreign file locks nobody out, and is not skipped silently."""
    other = cache.open(Fingerprint({"kind": "other"}, dim=4, dtype="float16"))
    other.append(*rows())
    store.append(*rows(3, seed=1))
    path = other.segments[0].path
    path.rename(store.directory / "segments" / path.name)
    n_rows = len(store)
    with pytest.warns(DamagedSegmentWarning, match="skipped a segment.*move the file"):
        store.refresh()
    assert len(store) == n_rows


def test_a_later_layout_is_an_error(store, rows):
    """Claim: a store of a later embrm is not touched."""
    store.append(*rows())
    (store.directory / "meta.json").write_text('{"layout": "2"}')
    with pytest.raises(IntegrityError, match="got layout 2"):
        reopened(store)


def test_a_lost_meta_is_written_again(store, rows):
    """Claim: meta.json is for people; without it the vectors are served."""
    store.append(*rows())
    (store.directory / "meta.json").unlink()
    again = reopened(store)
    assert again.contains(rows()[0]).all()
    again.append(*rows(2, seed=1))
    assert (store.directory / "meta.json").exists()


def test_leftovers_of_killed_writers_are_ignored(store, rows):
    """Claim: temporary and unknown files do not disturb."""
    store.append(*rows())
    for name in ("x.arrow.0123abcd.tmp", "notes.txt", files(store)[0] + ".tmp"):
        (store.directory / "segments" / name).write_bytes(b"half")
    assert len(reopened(store)) == 5


def test_a_clock_that_is_behind_does_not_replace_a_vector(store, rows, monkeypatch):
    """Claim: whatever the clock of the second writer says, what is there stays."""
    (keys, first), (_, second) = rows(), rows(seed=1)
    store.append(keys, first)
    with monkeypatch.context() as patch:
        patch.setattr("embrm.embed.cache._layout.datetime", Clock("2000-01-01"))
        reopened(store).append(keys, second)
    store.refresh()
    for one in (store, reopened(store)):
        np.testing.assert_array_equal(one.take(keys), first)
        assert len(one.segments) == 2


def test_a_clock_that_is_ahead_does_not_disturb_others(store, rows, monkeypatch):
    """Claim: after a segment from the year 9999 writers go on, in order."""
    keys, vectors = rows(6)
    with monkeypatch.context() as patch:
        patch.setattr(
            "embrm.embed.cache._layout.datetime", Clock("9999-12-31T23:59:59.999999")
        )
        store.append(keys[:2], vectors[:2])
    for n in range(1, 5):
        reopened(store).append(keys[n : n + 2], rows(2, seed=n)[1])
    again = reopened(store)
    expected = [vectors[:2], *(rows(2, seed=n)[1][1:] for n in range(1, 5))]
    np.testing.assert_array_equal(again.take(keys), np.concatenate(expected))


def test_writers_at_the_same_moment_are_ordered_alike_for_all(store, rows, monkeypatch):
    """Claim: of two writers that do not see each other the clock decides, and every
    reader agrees, whatever it saw first."""
    (keys, first), (_, second) = rows(), rows(seed=1)
    monkeypatch.setattr("embrm.embed.cache.store.list_segments", lambda directory: [])
    store.append(keys, first)
    early = reopened(store)
    with monkeypatch.context() as patch:
        patch.setattr("embrm.embed.cache._layout.datetime", Clock("2000-01-01"))
        reopened(store).append(keys, second)
    early.refresh()
    for one in (early, reopened(store)):
        np.testing.assert_array_equal(one.take(keys), second)


def test_a_segment_that_goes_while_it_is_read_is_looked_for_again(
    store, rows, monkeypatch
):
    """Claim: a compaction by another process does not disturb a reader."""
    store.append(*rows())
    gone = []

    def read(path, *args, **kwargs):
        if not gone:
            gone.append(path)
            raise FileNotFoundError(2, "gone", str(path))
        return original(path, *args, **kwargs)

    from embrm.embed.cache import _snapshot as module

    original = module.read_segment
    monkeypatch.setattr(module, "read_segment", read)
    assert reopened(store).contains(rows()[0]).all()


def test_segments_that_always_go_are_an_error(store, rows, monkeypatch):
    """Claim: a reader does not try for ever."""
    store.append(*rows())

    def read(path, *args, **kwargs):
        raise FileNotFoundError(2, "gone", str(path))

    monkeypatch.setattr("embrm.embed.cache._snapshot.read_segment", read)
    with pytest.raises(EmbrmError, match=r"some gone, 10 times.*wait until"):
        reopened(store)


def test_segments_that_come_while_they_are_read_do_not_stop_the_reader(
    store, rows, monkeypatch
):
    """Claim: with a writer that never rests, opening still ends."""
    from embrm.embed.cache import _snapshot as module

    original = module.list_segments
    seeds = iter(range(100))

    def list_and_append(directory):
        paths = original(directory)
        store.append(*rows(1, seed=next(seeds)))
        return paths

    reader = VectorStore(store.directory, store.fingerprint)
    monkeypatch.setattr(module, "list_segments", list_and_append)
    reader.refresh()
    assert len(reader) >= 9


def test_a_store_serves_several_threads(store, rows):
    """Claim: appends from several threads all arrive."""
    threads = [
        threading.Thread(target=store.append, args=rows(3, seed)) for seed in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store) == len(reopened(store)) == 24


class Faults:
    """Counts the calls that touch the disk, and fails one of them."""

    CALLS = ("os.mkdir", "os.open", "os.fsync", "os.replace")

    def __init__(self, monkeypatch, at=None, code=errno.EIO):
        self.n, self.at, self.code = 0, at, code
        self.real_open = io.open
        for call in self.CALLS:
            monkeypatch.setattr(call, self.guard(getattr(os, call.partition(".")[2])))
        monkeypatch.setattr("io.open", self.open)

    def tick(self):
        self.n += 1
        if self.n - 1 == self.at:
            raise OSError(self.code, os.strerror(self.code))

    def guard(self, call):
        def guarded(*args, **kwargs):
            self.tick()
            return call(*args, **kwargs)

        return guarded

    def open(self, path, mode="r", *args, **kwargs):
        if mode != "xb":
            return self.real_open(path, mode, *args, **kwargs)
        self.tick()
        file = self.real_open(path, mode, buffering=0)
        return HalfWriter(file, self)


class HalfWriter:
    """A file whose write fails half-way."""

    def __init__(self, file, faults):
        self.file, self.faults = file, faults

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        raw = bytes(data)
        self.file.write(raw[: len(raw) // 2])
        self.faults.tick()
        self.file.write(raw[len(raw) // 2 :])


def append_with_fault(store, batch, at, code):
    """Append with the at-th disk call failing; return the number of calls."""
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch, at, code)
        store.append(*batch)
        return faults.n


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE, errno.EROFS]
)
def test_whichever_call_fails_the_store_is_intact(
    tmp_path, rows, fingerprint, code, first
):
    """Claim: with each disk call of an append failing in turn, the error is clean,
    earlier rows stay, the new ones are there whole or not at all, nothing temporary
    is left, and the next append works."""

    def new(name):
        store = VectorStore(tmp_path / name / fingerprint.digest, fingerprint)
        if not first:
            store.append(*rows(3, seed=1))
        return store

    n_calls = append_with_fault(new("clean"), rows(), None, code)
    assert n_calls >= (12 if first else 6)
    for at in range(n_calls):
        store = new(str(at))
        with pytest.raises(
            EmbrmError, match=rf"write a segment.*{errno.errorcode[code]}"
        ):
            append_with_fault(store, rows(), at, code)
        again = reopened(store)
        assert len(again) in ((0, 5) if first else (3, 8))
        if len(again) in (5, 8):
            np.testing.assert_array_equal(again.take(rows()[0]), rows()[1])
        if not first:
            np.testing.assert_array_equal(
                again.take(rows(3, seed=1)[0]), rows(3, seed=1)[1]
            )
        assert not [*store.directory.parent.rglob("*.tmp")]
        store.append(*rows())
        np.testing.assert_array_equal(reopened(store).take(rows()[0]), rows()[1])


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EMFILE])
def test_a_segment_that_cannot_be_read_is_no_damage(store, rows, monkeypatch, code):
    """Claim: a read error is passed on with advice, and nothing is renamed."""
    store.append(*rows())

    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", refuse)
        with pytest.raises(
            EmbrmError, match=f"read the store.*{errno.errorcode[code]}"
        ):
            reopened(store).take(rows()[0])
    assert reopened(store).contains(rows()[0]).all()
    assert not [name for name in files(store) if name.endswith(".damaged")]


def test_a_read_only_directory_is_read_and_not_written(store, rows, monkeypatch):
    """Claim: where nothing may be written, vectors are served and an append fails
    with the fix."""
    store.append(*rows())

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for call in ("os.mkdir", "os.replace", "os.rename", "os.unlink"):
        monkeypatch.setattr(call, refuse)
    again = reopened(store)
    np.testing.assert_array_equal(again.take(rows()[0]), rows()[1])
    with pytest.raises(EmbrmError, match=r"EROFS.*make the directory writable"):
        again.append(*rows(2, seed=1))
    assert len(reopened(store)) == 5


def test_a_file_size_limit_is_an_error_like_a_full_disk(store, rows, fingerprint):
    """Claim: a write that the system really refuses leaves the store as it was."""
    store.append(*rows())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        with pytest.raises(EmbrmError, match=r"write a segment.*EFBIG"):
            store.append(*rows(2000, seed=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert len(files(store)) == 1
    np.testing.assert_array_equal(reopened(store).take(rows()[0]), rows()[1])


def test_a_file_that_is_cut_under_an_open_store_is_refused(store, rows):
    """Claim: reading beyond its end would end the process, so it is not read."""
    keys, vectors = rows()
    store.append(keys, vectors)
    store.take(keys)
    os.truncate(store.segments[0].path, 100)
    with pytest.warns(DamagedSegmentWarning), pytest.raises(InvalidInputError):
        store.take(keys)


def test_a_segment_that_is_deleted_under_an_open_store_is_still_read(store, rows):
    """Claim: others may compact while this store reads."""
    keys, vectors = rows()
    store.append(keys, vectors)
    store.segments[0].path.unlink()
    np.testing.assert_array_equal(store.take(keys), vectors)


def test_a_pipe_in_place_of_a_segment_is_set_aside(store, rows):
    """Claim: nothing is read from what never ends."""
    store.append(*rows())
    folder = store.directory / "segments"
    name = store.segments[0].path.name
    store.segments[0].path.unlink()
    os.mkfifo(folder / name)
    with pytest.warns(DamagedSegmentWarning, match="is damaged"):
        assert len(reopened(store)) == 0


@pytest.mark.parametrize("kind", ["bytes", "pipe", "large"])
def test_a_damaged_meta_json_locks_nobody_out(store, rows, kind):
    """Claim: it is put aside and written again; the vectors are kept."""
    keys, vectors = rows()
    store.append(keys, vectors)
    meta = store.directory / "meta.json"
    good = meta.read_bytes()
    meta.unlink()
    if kind == "pipe":
        os.mkfifo(meta)
    else:
        meta.write_bytes(b"{" if kind == "bytes" else b" " * 2_000_000)
    with pytest.warns(DamagedSegmentWarning, match="written again"):
        opened = reopened(store)
    np.testing.assert_array_equal(opened.take(keys), vectors)
    assert meta.read_bytes() == good


def test_leftovers_of_killed_writers_are_removed_and_others_are_not(store, rows):
    """Claim: a temporary file goes with the first append after its writer's death."""
    store.append(*rows())
    folder = store.directory / "segments"
    dead, alive = folder / "a.arrow.00000000.tmp", folder / "b.arrow"
    dead.write_bytes(b"half")
    with durable_file(alive) as file:
        file.write(b"whole")
        reopened(store).append(*rows(2, seed=5))
        assert len(list(folder.glob("b.arrow.*.tmp"))) == 1
    assert alive.exists()
    assert not list(folder.glob("*.tmp"))
