"""The segments of a store are one table, and are loaded whole or set aside."""

import numpy as np
import pytest

from embrm.embed.cache._layout import new_prefix
from embrm.embed.cache._segment import read_segment, write_segment
from embrm.embed.cache._snapshot import Loader, Snapshot, too_many_retries
from embrm.exceptions import DamagedSegmentWarning


@pytest.fixture
def snapshot(tmp_path, rows, fingerprint):
    """Three segments of 4, 1 and 3 rows; the last repeats two keys of the first."""
    keys, vectors = rows(8)
    keys = np.concatenate([keys[:7], keys[1:2]])
    keys[6] = keys[0]
    parts = (slice(0, 4), slice(4, 5), slice(5, 8))
    return Snapshot(
        tuple(
            read_segment(
                write_segment(tmp_path, keys[p], vectors[p], fingerprint, new_prefix()),
                fingerprint,
                verify=False,
            )
            for p in parts
        )
    )


def gather(snapshot, wanted):
    return snapshot.gather(np.array(wanted), np.empty((len(wanted), 4), "float16"))


@pytest.mark.parametrize(
    "wanted", [[0, 7], [7, 0, 4, 4, 1], [3, 4], [2, 1], [0, 0], [5, 7]]
)
def test_rows_are_gathered_in_the_order_asked_for(snapshot, rows, wanted):
    """Claim: any rows, repeated or from several segments, come back in order."""
    np.testing.assert_array_equal(gather(snapshot, wanted), rows(8)[1][wanted])


@pytest.mark.parametrize("wanted", [[0, 1, 2, 3], [1, 2], [4], [5, 6, 7], [7]])
def test_consecutive_rows_of_one_segment_are_a_view(snapshot, rows, wanted):
    """Claim: nothing is copied where rows lie together."""
    vectors = gather(snapshot, wanted)
    np.testing.assert_array_equal(vectors, rows(8)[1][wanted])
    assert any(np.shares_memory(vectors, one.vectors) for one in snapshot.segments)


def test_rows_across_two_segments_are_no_view(snapshot):
    """Claim: neighbours in different files are copied together."""
    vectors = gather(snapshot, [3, 4])
    assert not any(np.shares_memory(vectors, one.vectors) for one in snapshot.segments)


def test_rows_that_repeat_an_earlier_key_do_not_count(snapshot):
    """Claim: of equal keys only the first row, in segment order, counts."""
    counting = [rows.tolist() for _, rows in snapshot.counting_rows()]
    assert counting == [[0, 1, 2, 3], [0], [0]]


@pytest.mark.parametrize(
    "wanted",
    [[0, 1, 2, 3, 4, 5], [3, 4, 5], [1], [5, 6], [6, 7], [2, 0], [0, 4], [3, 3], []],
)
def test_rows_are_found_as_the_index_finds_them(snapshot, wanted):
    """Claim: keys in the order of their rows, out of it, repeated, or of rows that do
    not count, give the rows that the index alone gives."""
    keys = np.concatenate([one.keys for one in snapshot.segments])[wanted]
    np.testing.assert_array_equal(snapshot.find(keys), snapshot.index.find(keys))


def test_keys_that_run_on_into_nothing_are_missing(snapshot, rows):
    """Claim: a run of keys is compared to its end."""
    keys = np.concatenate([one.keys for one in snapshot.segments])
    asked = np.concatenate([keys[:2], rows(1, seed=5)[0]])
    assert snapshot.find(asked).tolist() == [0, 1, -1]
    asked = np.concatenate([keys[5:6], rows(9, seed=5)[0]])
    assert snapshot.find(asked).tolist() == [5, *[-1] * 9]


def test_the_segments_that_hold_rows_are_listed(snapshot):
    """Claim: each once, in order; a missing row is in none."""
    names = [one.name for one in snapshot.segments]
    held = snapshot.holding(np.array([7, -1, 0, 5]))
    assert [one.name for one in held] == [names[0], names[2]]


def test_rows_that_count_are_marked(snapshot):
    """Claim: the mask agrees with the rows that are listed."""
    assert snapshot.counts.tolist() == [True] * 6 + [False] * 2


def test_a_snapshot_of_nothing_is_empty():
    """Claim: no segments is a table without rows."""
    empty = Snapshot(())
    assert len(empty.index) == 0
    assert empty.counting_rows() == []


@pytest.fixture
def loader(store, rows, fingerprint):
    """A loader of three segments."""
    for seed in range(3):
        store.append(*rows(3, seed))
    return Loader(store.directory / "segments", fingerprint)


def test_segments_come_in_the_order_of_their_names(loader, store):
    """Claim: all of them, mapped."""
    names = [segment.name for segment in loader.load(())]
    assert names == sorted(segment.name for segment in store.segments)


def test_segments_that_are_known_are_not_mapped_again(loader):
    """Claim: a reload of an unchanged directory gives the same objects."""
    loaded = loader.load(())
    assert loader.load(loaded) == loaded


def test_segments_are_checked_once(loader, monkeypatch):
    """Claim: the second check reads nothing."""
    loaded = loader.load(())
    assert loader.check(loaded)
    monkeypatch.setattr("hashlib.file_digest", None)
    assert loader.check(loaded)


def test_damaged_segments_are_set_aside_and_not_loaded_again(loader, damage_rows):
    """Claim: check says no, and the next load leaves them out."""
    loaded = loader.load(())
    damage_rows(loaded[1])
    with pytest.warns(DamagedSegmentWarning):
        assert not loader.check(loaded)
    assert loader.load(loaded) == (loaded[0], loaded[2])


def test_a_segment_that_is_gone_is_no_damage(loader):
    """Claim: check says no without a warning."""
    loaded = loader.load(())
    loaded[0].path.unlink()
    assert not loader.check(loaded)
    assert len(loader.load(loaded)) == 2


def test_what_was_just_written_needs_no_check(loader, store, monkeypatch):
    """Claim: no digest is computed of it."""
    added = loader.add(store.segments[0].path)
    monkeypatch.setattr("hashlib.file_digest", None)
    assert loader.check([added])


def test_the_error_for_too_many_retries_directories_says_what_to_do(tmp_path):
    """Claim: three parts."""
    assert "wait until no other process" in str(too_many_retries(tmp_path))
