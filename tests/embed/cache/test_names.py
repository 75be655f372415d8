"""Names order segments by time and are told from all others."""

import re

import pytest

from embrm.embed.cache.names import (
    list_segments,
    names_in,
    new_prefix,
    segment_name,
    split_name,
)

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
