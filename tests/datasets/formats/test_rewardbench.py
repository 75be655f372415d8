"""RewardBench 1 and 2: rows become pairs with all that official scoring needs."""

import numpy as np
import pandas as pd
import pytest

from embrm.datasets import read_preferences
from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError

ROW_1 = {
    "prompt": "How do I open a jar?",
    "chosen": "Warm the lid under hot water.",
    "chosen_model": "a-model",
    "rejected": "Jars are round.",
    "rejected_model": "b-model",
    "subset": "alpacaeval-easy",
    "id": 7,
}
ROW_2 = {
    "id": "tied:3",
    "prompt": "Name a primary colour.",
    "chosen": ["Red", "Blue"],
    "rejected": ["Grey", "Pink", "Grey"],
    "num_correct": 2,
    "num_incorrect": 3,
    "total_completions": 5,
    "subset": "Ties",
}


def read(name: str, row: dict) -> RowReader:
    reader = RowReader()
    find_format(name).read(row, reader)
    return reader


def test_version_1_gives_one_pair_with_subset_and_id():
    """Chosen stands first; the id becomes text."""
    preferences = read_preferences([ROW_1])
    assert preferences.read_report.format == "rewardbench"
    (pair,) = preferences.pairs.to_dict("records")
    assert (pair["y"], pair["subset"], pair["benchmark_id"]) == (
        1.0,
        "alpacaeval-easy",
        "7",
    )
    assert preferences.items["response"][pair["first"]] == ROW_1["chosen"]


@pytest.mark.parametrize("column", ["y", "margin", "weight"])
def test_pairs_with_labels_margins_or_weights_are_not_taken_for_version_1(column):
    """A benchmark has none: such rows are plain pairs, and keep what they say."""
    preferences = read_preferences([ROW_1 | {column: 0.25}])
    assert preferences.read_report.format == "pairs"
    (pair,) = preferences.pairs.to_dict("records")
    assert (pair[column], pair["subset"], pair["id"]) == (0.25, "alpacaeval-easy", 7)


def test_version_1_carries_its_other_columns():
    """Who wrote the responses is a column of pairs."""
    (pair,) = read("rewardbench", ROW_1).pairs
    assert (pair["chosen_model"], pair["rejected_model"]) == ("a-model", "b-model")


def test_a_pair_of_version_1_without_subset_or_id_is_a_pair():
    """Columns of that name are common, and may have gaps."""
    rows = [ROW_1, ROW_1 | {"rejected": "Ask.", "subset": None, "id": float("nan")}]
    preferences = read_preferences(rows)
    assert preferences.read_report.n_kept == 2
    assert preferences.pairs[["subset", "benchmark_id"]].isna().all(axis=1).sum() == 1


def test_version_1_takes_a_conversation_as_prompt():
    """A prompt may be a list of messages."""
    turns = [{"role": "user", "content": "Hi"}]
    assert read("rewardbench", ROW_1 | {"prompt": turns}).items[0]["prompt"] == turns


def test_version_2_pairs_each_chosen_with_each_rejected():
    """Two chosen and three rejected are six pairs, told apart by their indices."""
    pairs = read("rewardbench2", ROW_2).pairs
    cells = [(pair["chosen_index"], pair["rejected_index"]) for pair in pairs]
    assert cells == [(i, j) for i in range(2) for j in range(3)]
    assert all(pair["y"] == 1.0 for pair in pairs)


def test_version_2_keeps_the_ids_of_ties():
    """The official score of "Ties" joins "ref:N" and "tied:N" by their ids."""
    pairs = read("rewardbench2", ROW_2).pairs
    assert {pair["benchmark_id"] for pair in pairs} == {"tied:3"}
    assert {pair["subset"] for pair in pairs} == {"Ties"}


def test_version_2_items_carry_nothing_but_text():
    """A text that is chosen in one row and rejected in another is one item."""
    other = ROW_2 | {"id": "ref:3", "chosen": ["Grey"], "rejected": ["Red"]}
    preferences = read_preferences([ROW_2, other])
    assert preferences.read_report.format == "rewardbench2"
    assert sorted(preferences.items["response"]) == ["Blue", "Grey", "Pink", "Red"]
    assert len(preferences) == 7


def test_lists_may_be_arrays_as_parquet_gives_them():
    """Arrow hands lists over as NumPy arrays."""
    row = ROW_2 | {"chosen": np.array(["Red"], dtype=object)}
    preferences = read_preferences(pd.DataFrame([row]))
    assert preferences.read_report.format == "rewardbench2"
    assert len(preferences) == 3


def test_ids_that_pandas_made_float_stay_whole():
    """7.0 is the id 7."""
    assert read("rewardbench", ROW_1 | {"id": 7.0}).pairs[0]["benchmark_id"] == "7"


@pytest.mark.parametrize(
    ("name", "change", "reason", "message"),
    [
        (
            "rewardbench",
            {"prompt": None},
            "missing prompt",
            "a prompt with text in it; got none",
        ),
        (
            "rewardbench",
            {"prompt": " "},
            "empty prompt",
            "prompt with text in it; got an empty",
        ),
        ("rewardbench", {"prompt": 3}, "malformed prompt", "a str or a list"),
        ("rewardbench", {"chosen": None}, "missing response", "got none"),
        ("rewardbench", {"rejected": " \n"}, "empty response", "an empty one"),
        ("rewardbench", {"subset": " "}, "missing subset", "subset; got none"),
        ("rewardbench", {"id": [1]}, "id is not a name", "got a list"),
        ("rewardbench2", {"subset": None}, "missing subset", "subset; got none"),
        ("rewardbench2", {"id": float("nan")}, "missing id", "as id; got none"),
        (
            "rewardbench",
            {"rejected": ROW_1["chosen"]},
            "identical chosen and rejected",
            "same response twice",
        ),
        ("rewardbench2", {"chosen": []}, "chosen has the wrong length", "list of 0"),
        ("rewardbench2", {"rejected": "Grey"}, "rejected is not a list", "got str"),
        ("rewardbench2", {"chosen": ["Red", 1]}, "response is not text", "got int"),
        (
            "rewardbench2",
            {"chosen": ["Red", "Pink"]},
            "identical chosen and rejected",
            "same response twice",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(name, change, reason, message):
    """Each defect has its own reason and says what was expected."""
    row = (ROW_1 if name == "rewardbench" else ROW_2) | change
    with pytest.raises(DataError, match=message) as caught:
        read(name, row)
    assert caught.value.reason == reason


def test_a_missing_column_is_named():
    """Read as a format whose columns it lacks, a row is told which one."""
    row = {name: value for name, value in ROW_2.items() if name != "id"}
    with pytest.raises(DataError, match="no 'id' among"):
        read_preferences([row], format="rewardbench2")
