"""A store in memory behaves as one on disk."""

import numpy as np

from embrm.embed.cache.memory import MemoryStore


def test_rows_come_back_in_any_order_like_from_disk(store, rows, fingerprint):
    """Claim: take gives the same bits from memory and from disk."""
    memory = MemoryStore(fingerprint)
    for seed in range(3):
        for one in (memory, store):
            one.append(*rows(4, seed))
    keys = np.concatenate([rows(4, 2)[0][::-1], rows(4, 0)[0]])
    assert memory.take(keys).tobytes() == store.take(keys).tobytes()
    assert not memory.take(keys).flags.writeable


def test_it_knows_what_it_holds(rows, fingerprint):
    """Claim: contains is true for what was appended, before and after a refresh."""
    memory = MemoryStore(fingerprint)
    assert not memory.contains(rows()[0]).any()
    memory.append(*rows())
    memory.refresh()
    assert memory.contains(rows()[0]).all()


def test_an_empty_store_gives_empty_vectors(rows, fingerprint):
    """Claim: no keys give shape (0, d) in the right dtype."""
    vectors = MemoryStore(fingerprint).take(rows(0)[0])
    assert (vectors.shape, vectors.dtype) == ((0, 4), "float16")
