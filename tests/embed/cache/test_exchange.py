"""Vectors go to other tools, and come from them, unchanged."""

import errno
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embrm.embed import Fingerprint
from embrm.embed.cache import VectorStore, export, import_vectors, open_published
from embrm.exceptions import (
    DamagedSegmentWarning,
    EmbrmError,
    FingerprintMismatchError,
    InvalidInputError,
)


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path)
    return pa.ipc.open_file(str(path)).read_all()


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_every_key_is_written_once_with_its_vector(
    cache, rows, tmp_path, suffix, dtype
):
    """Claim: first wins, hexadecimal keys, the stored dtype, bit for bit."""
    who = Fingerprint({"kind": "x"}, dim=3, dtype=dtype)
    store = cache.open(who)
    keys, vectors = rows(6, who=who)
    store.append(keys[:4], vectors[:4])
    store.append(keys[2:], rows(4, seed=1, who=who)[1])
    report = export(store, tmp_path / f"out{suffix}")
    table = read(tmp_path / f"out{suffix}")
    assert table["key"].to_pylist() == [bytes(key).hex() for key in keys]
    got = np.array(table["vector"].to_pylist(), dtype)
    assert got.tobytes() == store.take(keys).tobytes()
    assert report.n_rows == 6
    assert report.n_bytes == (tmp_path / f"out{suffix}").stat().st_size
    assert table.schema.metadata[b"embrm.fingerprint"] == who.digest.encode()


def test_pandas_reads_the_export(store, rows, tmp_path):
    """Claim: a data scientist gets a frame of keys and arrays."""
    store.append(*rows())
    export(store, tmp_path / "out.parquet")
    frame = pd.read_parquet(tmp_path / "out.parquet")
    np.testing.assert_array_equal(np.stack(frame["vector"]), rows()[1])


def test_large_stores_are_written_in_batches(store, rows, tmp_path, monkeypatch):
    """Claim: memory does not grow with the store, and the order stays."""
    monkeypatch.setattr("embrm.embed.cache.exchange._BATCH_ROWS", 2)
    store.append(*rows())
    export(store, tmp_path / "out.arrow")
    assert read(tmp_path / "out.arrow").column("key").num_chunks == 3
    assert len(read(tmp_path / "out.arrow")) == 5


def test_an_empty_store_is_an_empty_table(store, tmp_path):
    """Claim: no rows is no error."""
    assert export(store, tmp_path / "out.parquet").n_rows == 0
    assert read(tmp_path / "out.parquet").num_rows == 0


def test_an_existing_file_is_replaced(store, rows, tmp_path):
    """Claim: exporting twice leaves the second table, and no temporary file."""
    out = tmp_path / "out.arrow"
    export(store, out)
    store.append(*rows())
    export(store, str(out))
    assert len(read(out)) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out.arrow"]


def test_another_ending_is_refused(store, tmp_path):
    """Claim: the error names the formats."""
    endings = r"\.parquet, \.arrow, \.npy; got .*'\.csv'"
    with pytest.raises(InvalidInputError, match=endings):
        export(store, tmp_path / "out.csv")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_an_array_is_written_with_its_keys_beside_it(cache, rows, tmp_path, dtype):
    """Claim: numpy reads both, without objects, in the order of the store."""
    who = Fingerprint({"kind": "x"}, dim=3, dtype=dtype)
    store = cache.open(who)
    keys, vectors = rows(6, who=who)
    store.append(keys[:4], vectors[:4])
    store.append(keys[2:], rows(4, seed=1, who=who)[1])
    export(store, tmp_path / "out.npy")
    array = np.load(tmp_path / "out.npy", allow_pickle=False)
    assert array.tobytes() == store.take(keys).tobytes()
    assert (array.shape, array.dtype) == ((6, 3), dtype)
    beside = np.load(tmp_path / "out.keys.npy", allow_pickle=False)
    np.testing.assert_array_equal(beside, keys.view(np.uint8).reshape(-1, 16))


@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
def test_chosen_rows_are_written_in_their_order(
    store, rows, tmp_path, monkeypatch, name
):
    """Claim: as asked for, with repetitions, also over several batches."""
    monkeypatch.setattr("embrm.embed.cache.exchange._BATCH_ROWS", 2)
    keys, vectors = rows()
    store.append(keys, vectors)
    order = [4, 0, 0, 2, 1]
    assert export(store, tmp_path / name, keys=keys[order]).n_rows == 5
    got = (
        np.load(tmp_path / name)
        if name.endswith("npy")
        else np.array(read(tmp_path / name)["vector"].to_pylist(), "float16")
    )
    np.testing.assert_array_equal(got, vectors[order])


def test_chosen_rows_must_be_there(store, rows, tmp_path):
    """Claim: the error counts them all, and nothing is written."""
    store.append(*rows())
    keys = np.concatenate([rows()[0], rows(2, seed=1)[0]])
    with pytest.raises(InvalidInputError, match=r"got 2 of 7 missing.*embed them"):
        export(store, tmp_path / "out.npy", keys=keys)
    assert not (tmp_path / "out.npy").exists()


def test_damage_is_not_exported(store, rows, tmp_path, damage_rows):
    """Claim: what goes to other tools was compared with its digest."""
    store.append(*rows())
    damage_rows(store.segments[0])
    fresh = VectorStore(store.directory, store.fingerprint)
    with pytest.warns(DamagedSegmentWarning):
        assert export(fresh, tmp_path / "out.parquet").n_rows == 0


def test_a_failed_export_leaves_the_old_file(store, rows, tmp_path, monkeypatch):
    """Claim: a full disk destroys nothing."""
    store.append(*rows())
    export(store, tmp_path / "out.arrow")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EmbrmError, match=r"export vectors to .*ENOSPC.*free space"):
        export(store, tmp_path / "out.arrow")
    assert len(read(tmp_path / "out.arrow")) == 5


def test_the_report_is_json(store, tmp_path):
    """Claim: to_json can be printed by the command line."""
    report = export(store, tmp_path / "out.arrow")
    assert json.loads(json.dumps(report.to_json()))["n_rows"] == 0


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
    monkeypatch.setattr("embrm.embed.cache.exchange._SEGMENT_BYTES", 2 * 4 * 2)
    keys, vectors = rows()
    import_vectors(store, keys, publish(vectors))
    assert len(store.segments) == 3
    np.testing.assert_array_equal(store.take(keys), vectors)


def test_of_equal_texts_the_first_row_counts(store, rows, publish, monkeypatch):
    """Claim: within a slice and across slices."""
    monkeypatch.setattr("embrm.embed.cache.exchange._SEGMENT_BYTES", 3 * 4 * 2)
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
    monkeypatch.setattr("embrm.embed.cache.exchange._SEGMENT_BYTES", 4 * 2)
    vectors = rows()[1]
    vectors[3, 2] = bad
    with pytest.raises(InvalidInputError, match="NaN or infinity at row 3"):
        import_vectors(store, rows()[0], publish(vectors))
    assert not store.directory.exists()


def test_numbers_too_large_for_float16_are_refused(store, rows, publish):
    """Claim: nothing turns into infinity; the fix is float32."""
    vectors = rows()[1].astype("f4")
    vectors[4, 0] = 1e5
    words = r"number too large for it at row 4.*state dtype float32"
    with pytest.raises(InvalidInputError, match=words):
        import_vectors(store, rows()[0], publish(vectors))


def test_numbers_too_large_for_float16_fit_float32(tmp_path, rows, publish):
    """Claim: the fix works, also from float64."""
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
