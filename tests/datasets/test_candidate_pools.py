"""Candidate pools from files."""

import numpy as np
import pandas as pd
import pytest

from embrm.datasets import read_candidate_pool, read_candidates
from embrm.exceptions import DataError

ROWS = pd.DataFrame(
    {
        "prompt_id": ["a", "a", "b"],
        "prompt": ["why?", "why?", "how?"],
        "response": ["because", "no", "thus"],
        "gold": [1, 0, 2],
    }
)


@pytest.fixture
def write(tmp_path):
    def write(frame=ROWS, suffix=".parquet"):
        path = tmp_path / f"pool{suffix}"
        if suffix == ".csv":
            frame.to_csv(path, index=False)
        elif suffix == ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        else:
            frame.to_parquet(path)
        return path

    return write


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.npy"
    np.save(path, np.eye(3, dtype=np.float16))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_pool_with_vectors_beside_it(write, vectors, suffix):
    """Ids, gold and texts from one file, vectors mapped from the other."""
    pool = read_candidate_pool(write(suffix=suffix), vectors)
    assert pool.prompt_ids.tolist() == ["a", "a", "b"]
    assert pool.gold.tolist() == [1.0, 0.0, 2.0]
    assert pool.texts[2] == ("how?", "thus")
    assert isinstance(pool.items, np.memmap)
    assert pool.items.dtype == np.float16


def test_texts_without_vectors_can_be_embedded_afterwards(write):
    """`to_pool` takes the vectors; without them it says how to get some."""
    candidates = read_candidates(write())
    assert candidates.to_pool(np.eye(3)).items.shape == (3, 3)
    with pytest.raises(DataError, match=r"pool.parquet: expected vectors of the items"):
        candidates.to_pool()
    with pytest.raises(DataError, match="3 vectors, one per row of the file; got 2"):
        candidates.to_pool(np.eye(2))


def test_equal_prompts_are_one_prompt_where_there_are_no_ids(write):
    """However they are spelt: a text is one user turn."""
    turn = [{"role": "user", "content": "why?"}]
    frame = ROWS.drop(columns="prompt_id")
    frame = frame.assign(prompt=[[{"role": "user", "content": "how?"}], turn, turn])
    assert read_candidates(write(frame)).prompt_ids.tolist() == [0, 1, 1]
    rows = read_candidates(write(ROWS.drop(columns="prompt_id")))
    assert rows.prompt_ids.tolist() == [0, 0, 1]


def test_lengths_are_characters_or_a_column_of_their_own(write):
    """For judges that like long answers."""
    assert read_candidates(write()).lengths.tolist() == [7, 2, 4]
    given = write(ROWS.assign(length=[10, 20, 30]))
    assert read_candidates(given).lengths.tolist() == [10, 20, 30]
    none = read_candidates(write(ROWS[["prompt_id", "gold"]]))
    assert (none.lengths, none.texts) == (None, None)


def test_ids_of_several_types_become_text(write):
    """1 and "a" cannot be sorted together; integers stay integers."""
    path = write(ROWS.assign(prompt_id=[1, 1, 2]), ".jsonl")
    assert read_candidates(path).prompt_ids.dtype.kind == "i"
    path.write_text('{"prompt_id": 1}\n{"prompt_id": "a"}\n{"prompt_id": 1}\n')
    assert read_candidates(path).prompt_ids.tolist() == ["1", "a", "1"]


def test_gold_may_be_left_out_unless_it_is_needed(write):
    """A pool without gold can be scored, and not simulated on."""
    path = write(ROWS.drop(columns="gold"))
    assert read_candidates(path).gold is None
    with pytest.raises(DataError, match="one column 'gold'; got columns prompt_id, "):
        read_candidates(path, needed=["gold"])


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("gold", [1.0, None, None], r"finite in column 'gold' .* row 2 \(2 such rows"),
        ("gold", ["1", "x", "2"], "a number in column 'gold' of every row; .* row 2"),
        ("gold", [True, False, True], "a number in column 'gold'"),
        ("prompt_id", ["a", None, "b"], "a value in column 'prompt_id' .* in row 2"),
        ("response", ["r", "s", None], "a value in column 'response' .* in row 3"),
        ("response", [1, 2, 3], "text in column 'response' .* in row 1"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_by_row(write, column, values, words):
    """The file, the column and the first such row."""
    with pytest.raises(DataError, match=f"^pool.parquet: expected {words}"):
        read_candidates(write(ROWS.assign(**{column: values})))


def test_numbers_that_stand_as_text_are_numbers(write):
    """As exported by tools that know no types."""
    path = write(ROWS.assign(gold=["1", "-2.5", "3e1"]))
    assert read_candidates(path).gold.tolist() == [1.0, -2.5, 30.0]


def test_a_file_without_rows_is_refused(write):
    """It says so, instead of making an empty pool."""
    with pytest.raises(DataError, match=r"pool.parquet: expected at least one row"):
        read_candidates(write(ROWS.iloc[:0]))


def test_vectors_of_other_rows_are_refused(write, vectors):
    """The number of rows tells."""
    with pytest.raises(DataError, match=r"vectors.npy: expected 2 vectors.*; got 3"):
        read_candidate_pool(write(ROWS.iloc[:2]), vectors)


@pytest.mark.realdata
def test_the_real_pool_is_read_with_its_vectors_mapped(shared_data):
    """600 prompts, gold with the standard deviation that its README names."""
    pool = read_candidate_pool(
        shared_data / "pool_dev.parquet", shared_data / "pool_dev_minilm_f16.npy"
    )
    assert (len(pool.prompts), len(pool), pool.items.shape[1]) == (600, 20_978, 384)
    assert isinstance(pool.items, np.memmap)
    assert 6.0 < pool.gold.std() < 6.2


def _arrays(folder, n=5, k=3, d=4, gold_shape=None):
    vectors = np.arange(n * k * d, dtype=np.float16).reshape(n, k, d)
    gold = np.linspace(0, 1, n * k).reshape(gold_shape or (n, k, 1))
    np.save(folder / "embd_toy.npy", vectors)
    np.save(folder / "reward_toy.npy", gold)
    return folder / "embd_toy.npy", vectors, gold


@pytest.mark.parametrize("gold_shape", [(5, 3, 1), (5, 3)])
def test_published_arrays_are_a_pool(tmp_path, gold_shape):
    """Vectors (prompts, K, d) and rewards (prompts, K, 1), as the paper's are."""
    path, vectors, gold = _arrays(tmp_path, gold_shape=gold_shape)
    pool = read_candidate_pool(path)
    assert pool.prompt_ids.tolist() == np.repeat(np.arange(5), 3).tolist()
    np.testing.assert_array_equal(pool.items, vectors.reshape(-1, 4))
    np.testing.assert_array_equal(pool.gold, gold.reshape(-1))
    assert isinstance(pool.items.base, np.memmap) or isinstance(pool.items, np.memmap)


def test_gold_of_other_vectors_is_refused(tmp_path):
    """As are arrays of another shape, and none at all."""
    path, *_ = _arrays(tmp_path)
    np.save(tmp_path / "reward_toy.npy", np.zeros((3, 5, 1)))
    with pytest.raises(DataError, match=r"reward_toy\.npy: .*got shape \(3, 5, 1\)"):
        read_candidate_pool(path)
    np.save(tmp_path / "reward_toy.npy", np.full((5, 3, 1), np.nan))
    with pytest.raises(DataError, match="finite gold scores; got another at prompt 0"):
        read_candidate_pool(path)
    (tmp_path / "reward_toy.npy").unlink()
    with pytest.raises(DataError, match="the rewards of these vectors beside them"):
        read_candidate_pool(path)
    np.save(path, np.zeros((5, 4)))
    with pytest.raises(DataError, match="with 3 axes"):
        read_candidate_pool(path)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
@pytest.mark.parametrize("as_list", [False, True])
def test_published_tensors_are_a_pool(tmp_path, dtype, as_list):
    """In .pt files the responses come first: (K, prompts, d)."""
    torch = pytest.importorskip("torch")
    tensor = torch.arange(3 * 5 * 4).reshape(3, 5, 4).to(getattr(torch, dtype))
    gold = torch.arange(15.0).reshape(3, 5, 1)
    torch.save(list(tensor) if as_list else tensor, tmp_path / "embd_toy.pt")
    torch.save(gold, tmp_path / "reward_toy.pt")
    pool = read_candidate_pool(tmp_path / "embd_toy.pt")
    np.testing.assert_array_equal(pool.items, tensor.float().reshape(15, 4).numpy())
    assert pool.prompt_ids.tolist() == [0, 1, 2, 3, 4] * 3
    assert pool.gold.tolist() == list(range(15))


def test_what_is_no_tensor_is_refused(tmp_path):
    """Nothing in the file is run."""
    path = tmp_path / "embd_toy.pt"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DataError, match="one tensor of floating-point numbers"):
        read_candidate_pool(path, tmp_path / "reward_toy.npy")
