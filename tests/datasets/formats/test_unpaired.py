"""Unpaired: single responses labelled good or bad."""

import pytest

from embrm.datasets import read_preferences
from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError

ROW = {"prompt": "What is soup?", "completion": "A hot liquid food.", "label": True}


def read(row: dict) -> RowReader:
    reader = RowReader()
    find_format("unpaired").read(row, reader)
    return reader


def test_a_row_is_a_labelled_item_and_no_pair():
    """The label is a boolean column of items."""
    preferences = read_preferences([ROW, ROW | {"completion": "No.", "label": False}])
    assert preferences.read_report.format == "unpaired"
    assert preferences.items["label"].tolist() == [True, False]
    assert preferences.items["label"].dtype == bool
    assert len(preferences) == 0


def test_the_response_may_be_called_response():
    """`completion` is TRL's word for it."""
    row = {"prompt": "?", "response": "Soup.", "label": 1}
    preferences = read_preferences([row])
    assert preferences.read_report.format == "unpaired"
    assert preferences.items["response"].tolist() == ["Soup."]


def test_a_completion_may_be_one_message():
    """TRL's conversational form."""
    message = {"role": "assistant", "content": "Soup."}
    turns = [{"role": "user", "content": "?"}]
    item = read({"prompt": turns, "completion": [message], "label": False}).items[0]
    assert (item["prompt"], item["response"]) == (turns, "Soup.")


@pytest.mark.parametrize(
    ("label", "read_as"),
    [
        (1, True),
        (0, False),
        (1.0, True),
        ("true", True),
        ("False", False),
        ("0", False),
    ],
)
def test_labels_are_read_as_true_or_false(label, read_as):
    """As booleans, as 1 and 0, and as words."""
    assert read(ROW | {"label": label}).items[0]["label"] is read_as


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        (
            {"label": float("nan")},
            "missing label",
            "true or false, or 1 .*got none",
        ),
        ({"label": None}, "missing label", "got none"),
        ({"label": 3}, "values mean something else", "got 3.*if its numbers rate"),
        ({"label": "fine"}, "label is not true or false", "got 'fine'"),
        ({"completion": None}, "missing response", "got none"),
        ({"completion": []}, "response is not text", "got list"),
        ({"completion": "\t"}, "empty response", "an empty one"),
        ({"prompt": {"role": "user"}}, "malformed prompt", "got dict"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(change, reason, message):
    """Each defect has its own reason and says what was expected."""
    with pytest.raises(DataError, match=message) as caught:
        read(ROW | change)
    assert caught.value.reason == reason


def test_a_message_of_the_user_is_no_completion():
    """The answer is the assistant's."""
    with pytest.raises(DataError, match="begins with a turn of the assistant"):
        read(ROW | {"completion": [{"role": "user", "content": "?"}]})
