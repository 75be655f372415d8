"""What a reward model takes from a frame."""

import pandas as pd

from embrm.datasets import read_preferences
from embrm.model.items import prompt_hashes, response_lengths, row_items


def test_both_spellings_of_a_prompt_are_one_group():
    """Text and a single user turn have one key and one hash."""
    turn = [{"role": "user", "content": "Hi"}]
    df = pd.DataFrame({"prompt": ["Hi", turn], "response": ["a", "b"]})
    assert len(set(row_items(df).prompts().tolist())) == 1
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
