"""LLMBar: two outputs and the number of the better one."""

import json

import pytest

from embrm.datasets import read_preferences
from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError

ROW = {"input": "Say hello.", "output_1": "Hello.", "output_2": "Bye.", "label": 1}


def read(row: dict) -> RowReader:
    reader = RowReader()
    find_format("llmbar").read(row, reader)
    return reader


@pytest.mark.parametrize(("label", "y"), [(1, 1.0), (2, 0.0), ("2", 0.0), (1.0, 1.0)])
def test_the_label_is_the_number_of_the_better_output(label, y):
    """Output 1 stands first, so label 1 is y = 1."""
    preferences = read_preferences([ROW | {"label": label}])
    assert preferences.read_report.format == "llmbar"
    assert preferences.y.tolist() == [y]


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"label": 0}, "label out of range", "label from 1 to 2; got 0"),
        ({"label": 1.5}, "label is not whole", "whole number as label; got 1.5"),
        ({"label": None}, "missing label", "whole number as label; got none"),
        ({"label": "first"}, "label is not a number", "got 'first'"),
        ({"label": True}, "label is not a number", "finite number as label; got True"),
        ({"input": ""}, "empty prompt", "prompt with text in it; got an empty"),
        ({"output_2": "Hello."}, "identical chosen and rejected", "response twice"),
        ({"output_1": ["Hello."]}, "response is not text", "got list"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(change, reason, message):
    """Each defect has its own reason and says what was expected."""
    with pytest.raises(DataError, match=message) as caught:
        read(ROW | change)
    assert caught.value.reason == reason


@pytest.mark.realdata
def test_the_real_file_is_read_whole(shared_data):
    """All 100 rows of LLMBar Natural, labels as in the file."""
    path = shared_data / "llmbar_natural.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    preferences = read_preferences(path)
    assert preferences.read_report.format == "llmbar"
    assert len(preferences) == preferences.read_report.n_kept == len(rows) == 100
    assert preferences.y.tolist() == [float(row["label"] == 1) for row in rows]
