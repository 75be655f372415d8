"""Writers, a compactor and readers share a store without locks."""

import numpy as np

from embrm.embed.cache import VectorCache, verify

N_WRITERS, N_BATCHES = 4, 20


def test_writers_and_readers_do_not_disturb_each_other(writers, tmp_path):
    """Claim: four writers of the same keys, one of which compacts now and then, and a
    reader beside them: no error, no torn row, and what was seen once stays seen."""
    who, batch = writers.module["WHO"], writers.module["batch"]
    expected = [batch(number, 0) for number in range(N_BATCHES)]
    cache = VectorCache(tmp_path)
    writers.start("write_together", str(tmp_path), N_WRITERS, N_BATCHES)
    n_reads, before = 0, set()
    while not writers.has_answer():
        store = cache.open(who)
        seen = {}
        for number, (keys, vectors) in enumerate(expected):
            found = store.contains(keys)
            if not found.any():
                continue
            taken = store.take(keys[found])
            np.testing.assert_array_equal(taken[:, 1:], vectors[found, 1:])
            assert np.isin(taken[:, 0], range(N_WRITERS)).all()
            seen[number] = len(taken)
        assert all(n == writers.module["BATCH"] for n in seen.values())
        assert before <= set(seen)
        n_reads, before = n_reads + 1, set(seen)
    assert writers.answer()["codes"] == [0] * N_WRITERS
    assert n_reads > 1

    keys = np.concatenate([keys for keys, _ in expected])
    one, two = (VectorCache(tmp_path).open(who) for _ in range(2))
    assert len(one) == N_BATCHES * writers.module["BATCH"]
    np.testing.assert_array_equal(one.take(keys), two.take(keys))
    assert verify(cache).ok
