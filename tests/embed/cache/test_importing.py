"""Published vectors go into a store under the keys of their texts."""

import json

import numpy as np
import pytest

from embrm.embed.base import Fingerprint
from embrm.embed.cache import VectorStore, import_vectors, open_published
from embrm.exceptions import FingerprintMismatchError, InvalidInputError


@pytest.fixture
def publish(tmp_path):
    """Writes vectors as somebody else would."""

    def write(vectors):
        np.save(tmp_path / "published.npy", vectors)
        return open_published(tmp_path / "published.npy")

    return write


def test_vectors_are_kept_under_their_keys(store, rows, publish):
    """Claim: float32 is stored in the fingerprint's float16."""
    keys, vectors = rows()
    report = import_vectors(store, keys, publish(vectors.astype("f4")))
    np.testing.assert_array_equal(store.take(keys), vectors)
    assert (report.n_rows, report.n_imported, report.n_known) == (5, 5, 0)
    assert (report.dtype, report.stored_as) == ("float32", "float16")
    assert json.loads(json.dumps(report.to_json()))["n_unique"] == 5


def test_large_files_are_imported_in_slices(store, rows, publish, monkeypatch):
    """Claim: each a segment, and the order stays."""
    monkeypatch.setattr("embrm.embed.cache.importing._SEGMENT_BYTES", 2 * 4 * 2)
    keys, vectors = rows()
    import_vectors(store, keys, publish(vectors))
    assert len(store.segments) == 3
    np.testing.assert_array_equal(store.take(keys), vectors)


def test_of_equal_texts_the_first_row_counts(store, rows, publish, monkeypatch):
    """Claim: within a slice and across slices."""
    monkeypatch.setattr("embrm.embed.cache.importing._SEGMENT_BYTES", 3 * 4 * 2)
    keys, vectors = rows()
    report = import_vectors(store, keys[[0, 1, 0, 2, 1]], publish(vectors))
    np.testing.assert_array_equal(store.take(keys[:3]), vectors[[0, 1, 3]])
    assert (report.n_rows, report.n_unique, report.n_imported) == (5, 3, 3)


def test_what_is_there_stays(store, rows, publish):
    """Claim: an import may be run again, and adds what is new."""
    keys, vectors = rows()
    store.append(keys[:2], vectors[:2])
    report = import_vectors(store, keys, publish(rows(seed=1)[1]))
    assert (report.n_known, report.n_imported) == (2, 3)
    np.testing.assert_array_equal(store.take(keys[:2]), vectors[:2])
    again = import_vectors(store, keys, publish(rows(seed=2)[1]))
    assert (again.n_known, again.n_imported, len(store.segments)) == (5, 0, 2)


@pytest.mark.parametrize("n", [4, 6])
def test_another_number_of_rows_is_refused(store, rows, publish, n):
    """Claim: nothing is guessed about which row is whose."""
    words = rf"each of the {n} items; got 5 vectors.*in their order"
    with pytest.raises(InvalidInputError, match=words):
        import_vectors(store, rows(n)[0], publish(rows()[1]))
    assert not store.directory.exists()


def test_another_width_is_refused(store, rows, publish):
    """Claim: the fingerprint says what d is."""
    with pytest.raises(FingerprintMismatchError, match=r"d = 4.*got d = 3"):
        import_vectors(store, rows()[0], publish(np.ones((5, 3), "f4")))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_before_anything_is_written(
    store, rows, publish, monkeypatch, bad
):
    """Claim: the row is named, also in a late slice."""
    monkeypatch.setattr("embrm.embed.cache.importing._SEGMENT_BYTES", 4 * 2)
    vectors = rows()[1]
    vectors[3, 2] = bad
    with pytest.raises(InvalidInputError, match="NaN or infinity at row 3"):
        import_vectors(store, rows()[0], publish(vectors))
    assert not store.directory.exists()


def test_numbers_too_large_for_float16_are_refused(store, rows, publish):
    """Claim: nothing turns into infinity; the cure is float32."""
    vectors = rows()[1].astype("f4")
    vectors[4, 0] = 1e5
    words = r"number too large for it at row 4.*state dtype float32"
    with pytest.raises(InvalidInputError, match=words):
        import_vectors(store, rows()[0], publish(vectors))


def test_numbers_too_large_for_float16_fit_float32(tmp_path, rows, publish):
    """Claim: the cure works, also from float64."""
    who = Fingerprint({"kind": "x"}, dim=4, dtype="float32")
    store = VectorStore(tmp_path / who.digest, who)
    vectors = np.full((5, 4), 1e5)
    import_vectors(store, rows()[0], publish(vectors))
    np.testing.assert_array_equal(store.take(rows()[0]), vectors)


def test_no_rows_are_no_error(store, rows, publish):
    """Claim: an empty file imports nothing."""
    empty = publish(np.empty((0, 4), "f4"))
    assert import_vectors(store, rows(0)[0], empty).n_imported == 0
    assert not store.directory.exists()
