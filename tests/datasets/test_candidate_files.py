"""Columns and vectors of pool files are found, and bad ones refused."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from embrm.datasets._candidate_files import check_columns, open_vectors, read_columns
from embrm.exceptions import DataError, InvalidInputError

FRAME = pd.DataFrame(
    {
        "prompt_id": [1, 1, 2],
        "gold": [0.5, 1.5, -1.0],
        "model": ["a", "b", "a"],
        "vector": [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
    }
)


def written(directory, suffix, frame=FRAME):
    path = directory / f"pool{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".csv":
        frame.drop(columns="vector").to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_vectors_come_by_themselves(tmp_path, suffix):
    """And columns without a meaning do not come at all."""
    frame, vectors = read_columns(written(tmp_path, suffix), {})
    assert list(frame.columns) == ["prompt_id", "gold"]
    np.testing.assert_array_equal(vectors, FRAME["vector"].tolist())


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_the_same_rows_from_every_kind_of_file(tmp_path, suffix):
    """CSV cells are typed."""
    frame, vectors = read_columns(written(tmp_path, suffix), {}, with_vectors=False)
    assert vectors is None
    assert frame["gold"].tolist() == FRAME["gold"].tolist()
    assert frame["prompt_id"].astype(int).tolist() == [1, 1, 2]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_arrow_lists_keep_their_dtype(tmp_path, dtype):
    """Vectors are as large in memory as in the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(np.arange(6, dtype=dtype))
    lists = pa.FixedSizeListArray.from_arrays(flat, 3)
    path = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"prompt_id": [0, 0], "vector": lists}), path)
    vectors = read_columns(path, {})[1]
    assert vectors.dtype == dtype
    assert vectors.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_columns_can_be_renamed(tmp_path):
    """A column that was given another of our names has lost its own."""
    frame = FRAME.assign(score=[7, 8, 9]).drop(columns="vector")
    path = tmp_path / "other.parquet"
    frame.to_parquet(path)
    read, _ = read_columns(path, {"gold": "score", "prompt_id": "model"})
    assert read["gold"].tolist() == [7, 8, 9]
    assert read["prompt_id"].tolist() == ["a", "b", "a"]
    swapped, _ = read_columns(path, {"length": "gold"})
    assert "gold" not in swapped


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[0.0], [0.0, 1.0], [1.0]], "lists of numbers of one length"),
        (["a", "b", "c"], "lists of numbers of one length"),
        ([["a"], ["b"], ["c"]], "lists of numbers of one length"),
        ([[], [], []], "lists of numbers of one length"),
        ([[1.0], None, [1.0]], "lists of numbers of one length"),
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_ragged_vectors_are_refused(tmp_path, suffix, rows, words):
    """Whatever holds them."""
    with pytest.raises(DataError, match=words):
        read_columns(written(tmp_path, suffix, FRAME.assign(vector=rows)), {})


@pytest.mark.parametrize(
    ("drop", "named", "words"),
    [
        (["prompt_id"], {}, "one column 'prompt_id'; got columns gold, model, vector"),
        (["gold"], {}, "one column 'gold'; .* --column gold=YOURS"),
        ([], {"gold": "score"}, "one column 'score'; got columns prompt_id, gold"),
    ],
)
def test_a_missing_column_lists_those_that_are_there(tmp_path, drop, named, words):
    """The file is named first."""
    path = written(tmp_path, ".parquet", FRAME.drop(columns=drop))
    with pytest.raises(DataError, match=f"^pool.parquet: expected {words}"):
        read_columns(path, named, needed=["gold"])


def test_unknown_names_are_refused():
    """Our names are listed."""
    with pytest.raises(InvalidInputError, match=r"prompt_id, gold, .*; got 'score'"):
        check_columns({"score": "gold"})


def test_a_damaged_parquet_file_is_refused(tmp_path):
    """It says what to do."""
    path = tmp_path / "pool.parquet"
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"pool.parquet: expected a whole Parquet file"):
        read_columns(path, {})


@pytest.mark.parametrize("name", ["no.parquet", "no.jsonl"])
def test_a_missing_file_is_refused(tmp_path, name):
    """The file is named."""
    with pytest.raises(DataError, match=f"{name}: expected a file that exists"):
        read_columns(tmp_path / name, {})


def test_another_kind_of_file_is_refused(tmp_path):
    """The endings are listed."""
    path = tmp_path / "pool.xlsx"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"ends in \.jsonl"):
        read_columns(path, {})


MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)


def saved(directory, suffix, matrix):
    path = directory / f"vectors{suffix}"
    if suffix == ".npy":
        np.save(path, matrix)
    else:
        save_file({"vectors": matrix}, path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_vectors_are_mapped_and_not_read(tmp_path, suffix, dtype):
    """The same numbers, in the dtype of the file, as a read-only map of it."""
    opened = open_vectors(saved(tmp_path, suffix, MATRIX.astype(dtype)), n_rows=4)
    assert isinstance(opened, np.memmap)
    assert opened.dtype == dtype
    assert not opened.flags.writeable
    np.testing.assert_array_equal(opened, MATRIX)


def test_columns_that_lie_together_are_read_right(tmp_path):
    """Fortran order, as numpy.save writes a transposed matrix."""
    path = saved(tmp_path, ".npy", np.asfortranarray(MATRIX))
    np.testing.assert_array_equal(open_vectors(path), MATRIX)


def test_objects_are_refused(tmp_path):
    """They would have to be unpickled."""
    path = tmp_path / "vectors.npy"
    np.save(path, np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(
        DataError, match=r"vectors.npy: expected a whole .npy file with"
    ):
        open_vectors(path)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_a_file_cut_short_is_refused(tmp_path, suffix):
    """Found when it is opened, not in the middle of a run."""
    path = saved(tmp_path, suffix, MATRIX)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="write it again"):
        open_vectors(path)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_other_bytes_are_refused(tmp_path, suffix):
    """Whatever the name says."""
    path = tmp_path / f"vectors{suffix}"
    path.write_bytes(b"not vectors")
    with pytest.raises(DataError, match="write it again"):
        open_vectors(path)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
@pytest.mark.parametrize("matrix", [MATRIX[0], MATRIX.astype(np.int64)])
def test_what_is_no_matrix_of_floats_is_refused(tmp_path, suffix, matrix):
    """A vector, or integers."""
    with pytest.raises(DataError, match="expected a matrix of"):
        open_vectors(saved(tmp_path, suffix, matrix))


def test_another_number_of_rows_is_refused(tmp_path):
    """Both numbers are in the message."""
    path = saved(tmp_path, ".npy", MATRIX)
    with pytest.raises(DataError, match=r"5 vectors, one per row .*; got 4"):
        open_vectors(path, n_rows=5)


def test_several_tensors_are_refused(tmp_path):
    """Their names are listed: which one is meant is not guessed."""
    path = tmp_path / "vectors.safetensors"
    save_file({"a": MATRIX, "b": MATRIX}, path)
    with pytest.raises(DataError, match="2 tensors: a, b"):
        open_vectors(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no.npy", "no.npy: expected a file that exists; got no such file"),
        ("vectors.pkl", "ends in .npy or .safetensors; got '.pkl'"),
    ],
)
def test_missing_files_and_other_kinds_are_refused(tmp_path, name, words):
    """The file is named."""
    with pytest.raises(DataError, match=words):
        open_vectors(tmp_path / name)


def test_a_directory_is_refused(tmp_path):
    """It may have the right ending."""
    (tmp_path / "vectors.npy").mkdir()
    with pytest.raises(DataError, match="got a directory"):
        open_vectors(tmp_path / "vectors.npy")
