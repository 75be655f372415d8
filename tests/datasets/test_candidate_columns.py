"""Which columns of a candidate-pool file are read, under which names."""

import numpy as np
import pandas as pd
import pytest

from embrm.datasets.candidate_columns import check_columns, read_columns
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
    with pytest.raises(DataError, match="ends in one of"):
        read_columns(path, {})
