"""The files of a store have the names and the bytes that are specified."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest

from embrm.embed.cache._layout import (
    NotASegmentError,
    arrow_schema,
    encode,
    keys_of,
    list_segments,
    names_in,
    new_prefix,
    open_batch,
    read_meta,
    segment_name,
    split_name,
    vectors_of,
    vectors_to_arrow,
    write_meta,
)
from embrm.exceptions import FingerprintMismatchError, IntegrityError


@pytest.fixture
def directory(tmp_path, fingerprint):
    """A store's directory with its meta.json."""
    path = tmp_path / fingerprint.digest
    path.mkdir()
    write_meta(path, fingerprint)
    return path


def test_the_fingerprint_comes_back(directory, fingerprint):
    """Claim: what is read equals what was written."""
    assert read_meta(directory) == fingerprint


def test_people_can_read_it(directory, fingerprint):
    """Claim: it is indented JSON with layout, digest and the whole fingerprint."""
    text = (directory / "meta.json").read_text()
    assert json.loads(text) == {
        "layout": "1",
        "digest": fingerprint.digest,
        "fingerprint": {
            "fields": {"kind": "fake", "seed": 0},
            "dim": 4,
            "dtype": "float16",
        },
    }
    assert text.count("\n") > 5


def test_no_file_is_fine(tmp_path):
    """Claim: a store without meta.json is not refused."""
    assert read_meta(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"{}",
        b'{"layout": 1}',
        b'{"layout": "1"}',
        b'{"layout": "1", "fingerprint": []}',
        b'{"layout": "1", "fingerprint": {"fields": {}, "dim": "x", "dtype": "a"}}',
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_refused(directory, content):
    """Claim: an unreadable layout is an error with a fix, never a guess."""
    (directory / "meta.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"readable layout.*delete the file"):
        read_meta(directory)


def test_a_later_layout_is_refused(directory):
    """Claim: a store of a later embrm is left alone."""
    (directory / "meta.json").write_text('{"layout": "2"}')
    with pytest.raises(IntegrityError, match=r"layout 1; got layout 2.*upgrade embrm"):
        read_meta(directory)


def test_an_edited_fingerprint_is_refused(directory):
    """Claim: the file must agree with the directory's name."""
    path = directory / "meta.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(
        FingerprintMismatchError, match=r"with digest .*undo the change"
    ):
        read_meta(directory)


DIGEST = "0123456789abcdef" * 2


@pytest.mark.parametrize("host", ["node-7", "a b/c", "ünï", "", "x" * 300])
def test_every_host_gives_a_name_that_splits_again(monkeypatch, host):
    """Claim: whatever the machine is called, the name has the right form."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    prefix = new_prefix()
    assert split_name(segment_name(prefix, DIGEST)) == (prefix, DIGEST)
    assert len(segment_name(prefix, DIGEST)) < 200


def test_names_of_one_process_are_all_different():
    """Claim: two appends in one microsecond do not collide."""
    assert len({new_prefix() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("last", "stamp"),
    [
        ("20990101T000000000000Z", "20990101T000000000001Z"),
        ("20991231T999999999999Z", "20991232T000000000000Z"),
        ("99999999T999999999999Z", "99999999T999999999999Z"),
    ],
)
def test_a_new_name_sorts_behind_the_last(last, stamp):
    """Claim: also where the clock that named it was ahead, up to the end of time."""
    prefix = new_prefix(f"{last}-h-1-0123abcd-{DIGEST}.arrow")
    assert prefix[:22] == stamp
    assert split_name(segment_name(prefix, DIGEST))


def test_a_clock_that_is_ahead_is_left_alone():
    """Claim: the time is the machine's own where that sorts behind."""
    last = f"20000101T000000000000Z-h-1-0123abcd-{DIGEST}.arrow"
    assert new_prefix(last)[:4] > "2020"


def test_names_in_a_directory_that_is_not_there_are_none(tmp_path):
    """Claim: looking creates nothing."""
    (tmp_path / "a").touch()
    assert names_in(tmp_path) == ["a"]
    assert names_in(tmp_path / "nowhere") == []


def test_a_name_says_when_where_and_who():
    """Claim: a person can read date, host and process from it."""
    assert re.fullmatch(r"20\d{6}T\d{12}Z-[\w.]+-\d+-[0-9a-f]{8}", new_prefix())


@pytest.mark.parametrize("change", [".tmp", ".damaged", "x", "\n"])
def test_other_endings_are_no_segments(change):
    """Claim: temporary, damaged and foreign files are ignored."""
    assert split_name(segment_name(new_prefix(), DIGEST) + change) is None


def test_segments_are_listed_in_the_order_of_their_names(tmp_path):
    """Claim: the directory's own order does not matter, other files are left out."""
    names = [f"2026010{n}T000000000000Z-h-1-0123abcd-{DIGEST}.arrow" for n in (3, 1, 2)]
    for name in [*names, "notes.txt", names[0] + ".tmp"]:
        (tmp_path / name).touch()
    assert [path.name for path in list_segments(tmp_path)] == sorted(names)


def test_a_missing_directory_holds_no_segments(tmp_path):
    """Claim: nothing has to be created for reading."""
    assert list_segments(tmp_path / "none") == []


def test_rows_come_back(rows, fingerprint):
    """Claim: keys and vectors, bit for bit."""
    keys, vectors = rows()
    batch = open_batch(encode(keys, vectors, fingerprint))
    assert keys_of(batch).tobytes() == keys.tobytes()
    assert vectors_of(batch, fingerprint).tobytes() == vectors.tobytes()


def test_keys_can_be_read_alone(rows, fingerprint):
    """Claim: the batch then has no other column, and the metadata."""
    batch = open_batch(encode(*rows(), fingerprint), keys_only=True)
    assert batch.schema.names == ["key"]
    assert keys_of(batch).tobytes() == rows()[0].tobytes()
    assert batch.schema.metadata[b"embrm.fingerprint"].decode() == fingerprint.digest


def test_the_schema_says_how_many_rows_there_are(fingerprint):
    """Claim: layout, owner and count are in the metadata."""
    metadata = arrow_schema(fingerprint, 7).metadata
    assert (metadata[b"embrm.layout"], metadata[b"embrm.rows"]) == (b"1", b"7")


def test_rows_that_are_strided_are_written_in_order(rows, fingerprint):
    """Claim: a view is stored as what it shows."""
    vectors = rows(6)[1][::2]
    array = vectors_to_arrow(vectors, fingerprint)
    np.testing.assert_array_equal(array.to_pylist(), vectors)


def test_other_bytes_are_no_segment():
    """Claim: told by an error of its own."""
    with pytest.raises(NotASegmentError, match="no Arrow file"):
        open_batch(pa.py_buffer(b"nothing of ours"))
