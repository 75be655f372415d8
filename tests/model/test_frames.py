"""What a reward model takes from a frame."""

import pandas as pd
import pytest

from embrm.datasets import read_preferences
from embrm.exceptions import DataError
from embrm.model.frames import (
    item_texts,
    prompt_hashes,
    prompt_keys,
    response_lengths,
)


def test_texts_are_taken_by_column_name():
    """Renamed columns are found through `columns`."""
    df = pd.DataFrame({"question": ["a"], "response": ["b"]})
    assert item_texts(df, {"prompt": "question"}) == [("a", "b")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p", "response": None}, "text and nothing at row 1 .index 'y'"),
        ({"prompt": None, "response": "r"}, "nothing and text"),
        ({"prompt": "p", "response": "  "}, "an empty text"),
        ({"prompt": "p", "response": 3}, "int"),
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
    """The error says how to rename."""
    with pytest.raises(DataError, match=r"column 'response'; got columns \['prompt'\]"):
        item_texts(pd.DataFrame({"prompt": ["p"]}))


def test_both_spellings_of_a_prompt_are_one_group():
    """Text and a single user turn have one key and one hash."""
    turn = [{"role": "user", "content": "Hi"}]
    df = pd.DataFrame({"prompt": ["Hi", turn]})
    assert len(set(prompt_keys(df))) == 1
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
