"""What is typed names a cache and a store in it."""

import pytest

from embrm.cli.cache_opening import digests, find_digest, open_cache, open_store
from embrm.embed.base import Fingerprint
from embrm.embed.cache import VectorCache
from embrm.exceptions import IntegrityError, InvalidInputError


@pytest.fixture
def cache(tmp_path):
    """A cache with one vector."""
    import numpy as np

    from embrm.embed.keys import item_keys

    who = Fingerprint({"kind": "x"}, dim=1, dtype="float32")
    store = VectorCache(tmp_path).open(who)
    store.append(item_keys([("a", "b")]), np.ones((1, 1), "float32"))
    return str(tmp_path), who


def test_a_store_is_found_by_the_beginning_of_its_digest(cache):
    """Or by being there."""
    directory, who = cache
    assert find_digest(directory, who.digest[:5]) == who.digest
    assert digests(directory, None) == digests(directory, who.digest) == [who.digest]
    assert len(open_store(directory, who.digest)) == 1


def test_a_uri_is_a_directory_too(cache):
    """As pyarrow spells it."""
    directory, _ = cache
    assert str(open_cache(f"file://{directory}").directory) == directory


def test_no_cache_is_made_by_opening_it(tmp_path):
    """The error names what was typed."""
    with pytest.raises(InvalidInputError, match=r"no directory '.*nowhere'"):
        open_cache(str(tmp_path / "nowhere"))


def test_a_store_without_its_meta_is_not_opened(cache):
    """The cure is to embed again."""
    directory, who = cache
    (open_cache(directory).directory / who.digest / "meta.json").write_text("{")
    assert digests(directory, None) == []
    with pytest.raises(IntegrityError, match="got a damaged one"):
        open_store(directory, who.digest)
