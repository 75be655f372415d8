"""Vectors are checked before they are kept, on disk or in memory."""

import numpy as np
import pytest

from embrm.embed.cache.store import MemoryStore, check_vectors
from embrm.exceptions import FingerprintMismatchError, InvalidInputError


def test_good_vectors_pass(rows, fingerprint):
    """Claim: right shape, right dtype, finite is enough."""
    check_vectors(rows()[1], 5, fingerprint)


@pytest.mark.parametrize(
    ("vectors", "got"),
    [
        ([[0.0] * 4], "shape list"),
        (np.zeros(4, "float16"), r"shape \(4,\)"),
        (np.zeros((2, 4), "float16"), r"shape \(2, 4\)"),
    ],
)
def test_another_shape_is_refused(fingerprint, vectors, got):
    """Claim: one row per key."""
    with pytest.raises(InvalidInputError, match=rf"of shape \(1, 4\); got {got}"):
        check_vectors(vectors, 1, fingerprint)


@pytest.mark.parametrize(
    ("vectors", "got"),
    [
        (np.zeros((1, 3), "float16"), "d = 3 and dtype float16"),
        (np.zeros((1, 4), "float32"), "d = 4 and dtype float32"),
        (np.zeros((1, 4), ">f2"), "d = 4 and dtype >f2"),
    ],
)
def test_another_dim_or_dtype_is_refused(fingerprint, vectors, got):
    """Claim: vectors of another encoder are told by d and dtype."""
    expected = "d = 4 and dtype float16"
    with pytest.raises(FingerprintMismatchError, match=f"{expected}; got {got}"):
        check_vectors(vectors, 1, fingerprint)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_by_row(rows, fingerprint, bad):
    """Claim: one bad number is found and located."""
    vectors = rows()[1]
    vectors[3, 1] = bad
    with pytest.raises(InvalidInputError, match=r"finite vectors; got .* at row 3"):
        check_vectors(vectors, 5, fingerprint)


def test_what_is_not_finite_is_refused_by_item(rows, fingerprint):
    """Claim: a run names the item and not the row of the slice."""
    vectors = rows()[1]
    vectors[3, 1] = np.nan
    with pytest.raises(InvalidInputError, match="at item 33"):
        check_vectors(vectors, 5, fingerprint, items=np.arange(30, 35))


def test_large_float16_numbers_are_finite(fingerprint):
    """Claim: the check itself does not overflow."""
    check_vectors(np.full((1, 4), 65504, "float16"), 1, fingerprint)


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
