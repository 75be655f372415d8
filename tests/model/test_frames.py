"""What a reward model takes from a frame."""

import numpy as np
import pandas as pd
import pytest

from embrm.datasets import read_preferences
from embrm.exceptions import DataError, InvalidInputError
from embrm.model.frames import (
    item_texts,
    prompt_hashes,
    response_lengths,
    row_prompts,
)


def test_texts_are_taken_by_column_name():
    """Renamed columns are found through `columns`."""
    df = pd.DataFrame({"question": ["a"], "response": ["b"]})
    assert item_texts(df, {"prompt": "question"}) == [("a", "b")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"prompt": "p", "response": None},
            r"frame, row 2 \(index y\): .*got none.*dropna\(subset=\['response'\]\)",
        ),
        ({"prompt": None, "response": "r"}, "a prompt with text; got none"),
        ({"prompt": float("nan"), "response": "r"}, "a prompt with text; got none"),
        ({"prompt": pd.NA, "response": "r"}, "a prompt with text; got none"),
        ({"prompt": "p", "response": "  "}, "a response with text; got an empty one"),
        ({"prompt": " ", "response": "r"}, "a prompt with text; got an empty one"),
        ({"prompt": "p", "response": 3}, "got a int.*write responses as text"),
        ({"prompt": 3, "response": "r"}, "a str or a list of messages; got int"),
        ({"prompt": [{"role": "user"}], "response": "r"}, "row 2 .*at message 0"),
        ({"prompt": "p", "response": "\ud800"}, "half of a surrogate pair"),
        ({"prompt": "\ud800", "response": "r"}, "half of a surrogate pair"),
    ],
)
def test_rows_without_text_are_named(row, message):
    """The error holds position and index of the row."""
    df = pd.DataFrame(
        [{"prompt": "p", "response": "r"}, row], index=["x", "y"], dtype=object
    )
    with pytest.raises(DataError, match=message):
        item_texts(df)


def test_a_missing_column_is_named_with_those_there_are():
    """The error says how to rename, in Python and on the command line."""
    message = r"column 'response'; got 0 among the columns prompt.*--column response="
    with pytest.raises(DataError, match=message):
        item_texts(pd.DataFrame({"prompt": ["p"]}))


def test_a_column_that_stands_twice_is_refused():
    """Nobody can say which is meant."""
    frame = pd.DataFrame([["p", "q", "r"]], columns=["prompt", "prompt", "response"])
    with pytest.raises(DataError, match="one column 'prompt'; got 2"):
        item_texts(frame)


@pytest.mark.parametrize(
    "data", [None, "items.jsonl", [{"prompt": "p", "response": "r"}], np.zeros((2, 2))]
)
def test_what_is_no_frame_is_refused(data):
    """The error says how to make one."""
    with pytest.raises(InvalidInputError, match=r"got .*pass pd\.DataFrame\(rows\)"):
        item_texts(data)


@pytest.mark.parametrize(
    "dtype", ["object", "string", "string[python]", "string[pyarrow]", "category"]
)
def test_texts_of_every_dtype_are_taken(dtype):
    """However pandas holds them, they are the same texts."""
    df = pd.DataFrame({"prompt": ["a", "b"], "response": ["c", "d"]}).astype(dtype)
    assert item_texts(df) == [("a", "c"), ("b", "d")]


def test_both_spellings_of_a_prompt_are_one_group():
    """Text and a single user turn have one key and one hash."""
    turn = [{"role": "user", "content": "Hi"}]
    df = pd.DataFrame({"prompt": ["Hi", turn]})
    assert len(set(row_prompts(df).tolist())) == 1
    assert len(set(prompt_hashes(["Hi", turn]).tolist())) == 1


def test_hashes_are_the_same_on_every_machine():
    """The hash is a fixed function of the text: it is stored with models."""
    assert prompt_hashes(["Hi", "你好"]).tolist() == [
        4177375035225124520,
        10384999119268690531,
    ]


def test_lengths_are_in_characters_of_both_ends():
    """One column for first, one for second."""
    rows = [{"prompt": "p", "chosen": "four", "rejected": "两个"}]
    assert response_lengths(read_preferences(rows)).tolist() == [[4, 2]]
