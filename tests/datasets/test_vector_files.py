"""Matrices of vectors in files."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from embrm.datasets.vector_files import open_vectors
from embrm.exceptions import DataError

MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)


def written(directory, suffix, matrix):
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
    opened = open_vectors(written(tmp_path, suffix, MATRIX.astype(dtype)), n_rows=4)
    assert isinstance(opened, np.memmap)
    assert opened.dtype == dtype
    assert not opened.flags.writeable
    np.testing.assert_array_equal(opened, MATRIX)


def test_columns_that_lie_together_are_read_right(tmp_path):
    """Fortran order, as numpy.save writes a transposed matrix."""
    path = written(tmp_path, ".npy", np.asfortranarray(MATRIX))
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
    path = written(tmp_path, suffix, MATRIX)
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
        open_vectors(written(tmp_path, suffix, matrix))


def test_another_number_of_rows_is_refused(tmp_path):
    """Both numbers are in the message."""
    path = written(tmp_path, ".npy", MATRIX)
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
