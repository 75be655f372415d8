"""A cache is a directory of stores that never mix."""

import numpy as np
import pytest

from embrm.embed import Fingerprint, HashingEncoder, item_keys
from embrm.embed.base import recognise
from embrm.embed.cache import VectorCache
from embrm.exceptions import InvalidInputError


def test_the_layout_on_disk_is_as_documented(cache, fingerprint, rows):
    """Claim: DIR/<digest>/meta.json and DIR/<digest>/segments/*.arrow."""
    cache.open(fingerprint).append(*rows())
    (directory,) = cache.directory.iterdir()
    assert directory.name == fingerprint.digest
    assert sorted(path.name for path in directory.iterdir()) == [
        "meta.json",
        "segments",
    ]
    (segment,) = (directory / "segments").iterdir()
    assert segment.suffix == ".arrow"


def test_an_open_store_is_opened_once(cache, fingerprint, rows, monkeypatch):
    """Claim: segments are compared with their digests once for each cache object."""
    cache.open(fingerprint).append(*rows())
    fresh = VectorCache(cache.directory, verify="open")
    checked = []
    from embrm.embed.cache import _segment as module

    original = module.check_digest
    monkeypatch.setattr(
        module, "check_digest", lambda path: (checked.append(path), original(path))
    )
    assert fresh.open(fingerprint) is fresh.open(fingerprint)
    assert len(checked) == 1


def test_opening_again_shows_what_others_appended(cache, fingerprint, rows):
    """Claim: open is up to date also the second time."""
    store = cache.open(fingerprint)
    VectorCache(cache.directory).open(fingerprint).append(*rows())
    assert cache.open(fingerprint).contains(rows()[0]).all()
    assert len(store) == 5


def test_stores_are_listed_with_counts(cache, fingerprint, rows):
    """Claim: rows, segments and bytes by fingerprint."""
    other = Fingerprint({"kind": "other"}, dim=2, dtype="float32")
    for seed in range(2):
        cache.open(fingerprint).append(*rows(3, seed))
    cache.open(other).append(*rows(7, who=other))
    infos = {info.fingerprint: info for info in map(hashable, cache.stores())}
    one, two = infos[fingerprint.digest], infos[other.digest]
    assert (one.n_segments, one.n_rows) == (2, 6)
    assert (two.n_segments, two.n_rows) == (1, 7)
    paths = (cache.directory / other.digest / "segments").iterdir()
    assert two.n_bytes == sum(path.stat().st_size for path in paths)


def hashable(info):
    """Replace the fingerprint by its digest."""
    from dataclasses import replace

    return replace(info, fingerprint=info.fingerprint.digest)


def test_damaged_and_temporary_files_are_counted(cache, fingerprint, rows):
    """Claim: info shows what prune would remove and what verify would find."""
    store = cache.open(fingerprint)
    store.append(*rows())
    path = store.segments[0].path
    (path.parent / (path.name + ".damaged")).touch()
    (path.parent / "x.tmp").touch()
    path.write_bytes(b"nothing")
    (info,) = cache.stores()
    assert (info.n_damaged, info.n_temporary, info.n_unreadable, info.n_rows) == (
        1,
        1,
        1,
        0,
    )


def test_a_store_with_an_unreadable_meta_is_listed(cache, fingerprint, rows):
    """Claim: info works on a store that open refuses."""
    cache.open(fingerprint).append(*rows())
    (cache.directory / fingerprint.digest / "meta.json").write_text("{")
    (info,) = cache.stores()
    assert (info.fingerprint, info.n_rows) == (None, 5)
    assert info.to_json()["fingerprint"] is None


def test_info_is_json(cache, fingerprint, rows):
    """Claim: to_json holds the fingerprint and the counts."""
    cache.open(fingerprint).append(*rows())
    (info,) = cache.stores()
    assert info.to_json()["fingerprint"] == fingerprint.to_json()
    assert info.to_json()["n_rows"] == 5


def test_a_segment_that_goes_meanwhile_is_not_counted(
    cache, fingerprint, rows, monkeypatch
):
    """Claim: info next to a compaction does not fail."""
    cache.open(fingerprint).append(*rows())

    def gone(path):
        raise FileNotFoundError(2, "gone", str(path))

    monkeypatch.setattr("embrm.embed.cache.vector_cache.count_rows", gone)
    assert cache.stores()[0].n_rows == 0


def test_other_directories_are_no_stores(cache, fingerprint, rows):
    """Claim: only directories named by a digest are looked at, and no links."""
    cache.open(fingerprint).append(*rows())
    (cache.directory / "notes").mkdir()
    (cache.directory / ("f" * 32)).touch()
    (cache.directory / ("a" * 32)).symlink_to(cache.directory / fingerprint.digest)
    assert [info.digest for info in cache.stores()] == [fingerprint.digest]


def test_a_cache_that_is_not_there_is_empty(cache):
    """Claim: listing creates nothing."""
    assert cache.stores() == []
    assert not cache.directory.exists()


def test_a_file_is_no_cache(tmp_path, fingerprint):
    """Claim: the mistake is named at once."""
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match=r"a directory.*got the file"):
        VectorCache(tmp_path / "file").open(fingerprint)


def test_float64_cannot_be_stored(cache):
    """Claim: the dtype is refused before anything is embedded."""
    who = Fingerprint({}, dim=4, dtype="float64")
    with pytest.raises(InvalidInputError, match=r"float16 or float32; got float64"):
        cache.open(who)


def test_verification_can_be_switched_off(cache, fingerprint, rows, monkeypatch):
    """Claim: with verify="never" no digest is computed."""
    cache.open(fingerprint).append(*rows())
    monkeypatch.setattr("hashlib.file_digest", None)
    store = VectorCache(cache.directory, verify="never").open(fingerprint)
    np.testing.assert_array_equal(store.take(rows()[0]), rows()[1])


def test_the_repr_says_where(cache):
    """Claim: printing a cache shows its directory."""
    assert repr(cache) == f"VectorCache({str(cache.directory)!r})"


class Known:
    """An encoder that keeps what it was shown."""

    fingerprint = Fingerprint({"kind": "known"}, dim=1, dtype="float32")

    def encode(self, texts, *, on_batch=None):
        return np.zeros((len(texts), 1), dtype=np.float32)

    def recognise(self, known):
        self.shown = {fingerprint.digest for fingerprint in known}
        return False


def test_encoders_are_shown_the_stores_of_a_cache(tmp_path):
    """Except those that cannot be read."""
    cache = VectorCache(tmp_path)
    made = [
        Fingerprint({"kind": "example", "n": n}, dim=1, dtype="float32")
        for n in range(3)
    ]
    for one in made:
        cache.open(one).append(item_keys([("a", "b")]), np.ones((1, 1), "float32"))
    (tmp_path / made[0].digest / "meta.json").write_text("{")
    (tmp_path / made[1].digest / "meta.json").unlink()
    encoder = Known()
    cache.open_for(encoder)
    assert encoder.shown == {made[2].digest}


def test_encoders_are_shown_single_fingerprints():
    """Such as that of a saved model."""
    encoder, saved = Known(), Fingerprint({"kind": "a"}, dim=1, dtype="float32")
    recognise(encoder, [saved])
    assert encoder.shown == {saved.digest}


def test_other_encoders_are_left_alone(tmp_path):
    """They know from their files who they are."""
    encoder, cache = HashingEncoder(), VectorCache(tmp_path / "none")
    assert cache.open_for(encoder) is cache.open(encoder.fingerprint)
