"""Several segments look like one table in which the first of equal keys counts."""

import numpy as np
import pytest

from embrm.embed.cache.names import new_prefix
from embrm.embed.cache.segment import read_segment, write_segment
from embrm.embed.cache.snapshot import Snapshot


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


def test_a_snapshot_of_nothing_is_empty():
    """Claim: no segments is a table without rows."""
    empty = Snapshot(())
    assert len(empty.index) == 0
    assert empty.counting_rows() == []
