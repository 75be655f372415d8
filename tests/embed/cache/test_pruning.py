"""prune removes leftovers, and vectors only when their store is named."""

import errno
import json
import os

import pytest

from embrm.embed.base import Fingerprint
from embrm.embed.cache import prune
from embrm.exceptions import EmbrmError, InvalidInputError


@pytest.fixture
def filled(cache, store, rows):
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


def test_damaged_and_stale_files_go_and_nothing_else(filled, store, rows):
    """Claim: vectors, young temporary files and unknown files stay."""
    report = prune(filled)
    assert removed(report) == ["a.arrow.damaged", "meta.json.old.tmp", "old.tmp"]
    assert report.n_bytes == 15
    left = sorted(path.name for path in (store.directory / "segments").iterdir())
    assert left[1:] == ["new.tmp", "notes.txt"]
    assert filled.open(store.fingerprint).contains(rows()[0]).all()


def test_a_second_prune_finds_nothing(filled):
    """Claim: pruning is idempotent."""
    prune(filled)
    assert prune(filled).removed == ()


def test_a_dry_run_only_reports(filled):
    """Claim: the same report, nothing removed."""
    first = prune(filled, dry_run=True)
    assert prune(filled, dry_run=True) == first
    assert removed(prune(filled)) == removed(first)


def test_each_kind_can_be_left_out(filled):
    """Claim: damaged and temporary are chosen separately."""
    assert removed(prune(filled, damaged=False, dry_run=True)) == [
        "meta.json.old.tmp",
        "old.tmp",
    ]
    assert removed(prune(filled, temporary=False)) == ["a.arrow.damaged"]


def test_the_age_can_be_chosen(filled):
    """Claim: a temporary file older than asked goes."""
    assert "new.tmp" in removed(prune(filled, older_than=-1))


def test_a_named_store_goes_with_its_vectors(filled, store, rows):
    """Claim: only the store that is named goes."""
    other = Fingerprint({"kind": "other"}, dim=4, dtype="float16")
    filled.open(other).append(*rows())
    report = prune(filled, fingerprints=[store.fingerprint.digest])
    assert report.removed == (store.fingerprint.digest,)
    assert report.n_bytes > 500
    assert [info.digest for info in filled.stores()] == [other.digest]
    assert not filled.open(store.fingerprint).contains(rows()[0]).any()


def test_a_removed_store_can_be_filled_again(filled, store, rows):
    """Claim: an open store survives its removal."""
    prune(filled, fingerprints=[store.fingerprint.digest])
    store.append(*rows())
    assert filled.open(store.fingerprint).contains(rows()[0]).all()


@pytest.mark.parametrize("digest", ["f" * 32, "..", "", "*"])
def test_an_unknown_name_removes_nothing(filled, digest):
    """Claim: a typing error is an error before anything is removed."""
    with pytest.raises(InvalidInputError, match=r"unknown .*cache info"):
        prune(filled, fingerprints=[digest])
    assert len(prune(filled, dry_run=True).removed) == 3


def test_an_error_is_passed_on_with_advice(filled, monkeypatch):
    """Claim: what cannot be removed is a clean error."""

    def refuse(*args, **kwargs):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.unlink", refuse)
    with pytest.raises(EmbrmError, match=r"prune the cache.*EACCES.*writable"):
        prune(filled)


def test_a_cache_that_is_not_there_needs_no_pruning(cache):
    """Claim: nothing is removed and nothing fails."""
    assert prune(cache).removed == ()


def test_the_report_is_json(filled):
    """Claim: to_json can be printed by the command line."""
    values = json.loads(json.dumps(prune(filled, dry_run=True).to_json()))
    assert (values["dry_run"], len(values["removed"])) == (True, 3)
