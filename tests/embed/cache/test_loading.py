"""The loader knows which segments are whole."""

import pytest

from embrm.embed.cache.loading import Loader, restless
from embrm.exceptions import DamagedSegmentWarning


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


def test_the_error_for_restless_directories_says_what_to_do(tmp_path):
    """Claim: three parts."""
    assert "wait until no other process" in str(restless(tmp_path))
