"""Vectors of a server: found at once, committed together, the first commit counts."""

import numpy as np
import pytest

from embrm.embed import embed_items
from embrm.embed.cache import VectorCache
from embrm.embed.keys import item_keys
from embrm.exceptions import EmbrmError
from embrm.serve.vectors import ServingCache
from tests.serve.stubs import Lengths


@pytest.fixture
def texts():
    return [("Hi", "x" * n) for n in range(1, 6)]


def segments(directory):
    return sorted(directory.glob("*/segments/*.arrow"))


def test_vectors_of_many_calls_are_committed_as_one_segment(tmp_path, texts):
    """None is written before the commit, and each once."""
    cache, encoder = ServingCache(tmp_path), Lengths()
    for text in texts:
        embed_items([text], encoder, cache)
    assert (segments(tmp_path), cache.n_pending) == ([], 5)
    assert cache.commit() == 5
    assert (len(segments(tmp_path)), cache.n_pending, cache.commit()) == (1, 0, 0)
    assert embed_items(texts, Lengths(), VectorCache(tmp_path)).n_embedded == 0


def test_a_vector_is_found_before_and_after_its_commit(tmp_path, texts):
    """No text is embedded twice."""
    cache, encoder = ServingCache(tmp_path), Lengths()
    first = embed_items(texts, encoder, cache).vectors
    again = embed_items(texts, encoder, cache).vectors
    cache.commit()
    after = embed_items(texts, encoder, cache).vectors
    assert len(encoder.texts) == 5
    assert first.tobytes() == again.tobytes() == after.tobytes()


def test_without_a_directory_vectors_stay_in_memory(texts):
    """The result is the same, and nothing is written."""
    cache, encoder = ServingCache(), Lengths()
    embed_items(texts, encoder, cache)
    assert embed_items(texts, encoder, cache).n_embedded == 0
    assert (cache.commit(), cache.stores()) == (0, [])


def test_of_two_servers_the_first_commit_counts_for_both(tmp_path, texts):
    """The other's vector is replaced, and it hears of it."""
    changed = []
    one, other = ServingCache(tmp_path), ServingCache(tmp_path)
    other.on_change = changed.extend
    first = embed_items(texts, Lengths(), one).vectors
    second = embed_items(texts, Lengths(noise=1e-3), other).vectors
    assert (first != second).any()
    assert (one.commit(), other.commit()) == (5, 0)
    assert sorted(changed) == sorted(key.tobytes() for key in item_keys(texts))
    for cache in (one, other):
        again = embed_items(texts, Lengths(), cache).vectors
        assert again.tobytes() == first.tobytes()


def test_an_earlier_segment_that_shows_late_is_noticed_at_the_next_commit(
    tmp_path, texts
):
    """Segments are ordered by their names, not by when they come to light."""
    other = tmp_path / "other"
    embed_items(texts, Lengths(), VectorCache(other))
    cache = ServingCache(tmp_path / "shared")
    changed = []
    cache.on_change = changed.extend
    embed_items(texts, Lengths(noise=1e-3), cache)
    assert cache.commit() == 5
    (late,) = segments(other)
    place = segments(tmp_path / "shared")[0].parent
    (place / late.name).write_bytes(late.read_bytes())
    cache.commit()
    assert len(changed) == 5
    kept = embed_items(texts, Lengths(noise=9), cache).vectors
    assert kept.tobytes() == embed_items(texts, Lengths()).vectors.tobytes()


def test_what_could_not_be_committed_waits_for_the_next_try(
    tmp_path, texts, monkeypatch
):
    """A full disk loses nothing while the server lives."""
    cache = ServingCache(tmp_path)
    embed_items(texts, Lengths(), cache)

    def refuse(*_):
        raise EmbrmError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("embrm.embed.cache.store.write_segment", refuse)
        with pytest.raises(EmbrmError, match="full"):
            cache.commit()
    assert cache.n_pending == 5
    assert cache.commit() == 5


def test_memory_for_recent_vectors_is_bounded(tmp_path):
    """The oldest go, and are found on disk."""
    cache = ServingCache(tmp_path, max_bytes=1)
    store = cache.open(Lengths().fingerprint)
    texts = [("Hi", "x" * n) for n in range(1, 9001)]
    keys = item_keys(texts)
    for start in range(0, 9000, 3000):
        part = slice(start, start + 3000)
        store.append(keys[part], np.ones((3000, 2), "float32"))
        cache.commit()
        store.refresh()
    assert len(store._recent) == 4096
    assert store.contains(keys).all()
    assert store.take(keys).shape == (9000, 2)
