"""verify reads every byte and reports what is wrong."""

import json

import pytest

from embrm.embed.base import Fingerprint
from embrm.embed.cache import verify
from embrm.exceptions import DamagedSegmentWarning


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

    monkeypatch.setattr("embrm.embed.cache.verification.read_segment", gone)
    assert verify(filled).ok


def test_the_report_is_json(filled):
    """Claim: to_json can be printed by the command line."""
    values = json.loads(json.dumps(verify(filled).to_json()))
    assert values["ok"] is True
    assert values["stores"][0]["n_rows"] == 12
