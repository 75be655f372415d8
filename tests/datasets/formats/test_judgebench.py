"""JudgeBench: A against B, with an objective label."""

import pytest

from embrm.datasets import read_preferences
from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError

ROW = {
    "pair_id": "81ec57f2",
    "original_id": "10646",
    "source": "mmlu-pro-math",
    "question": "What is 7 times 8?",
    "response_model": "some-model",
    "response_A": "54",
    "response_B": "56",
    "label": "B>A",
}


def read(row: dict) -> RowReader:
    reader = RowReader()
    find_format("judgebench").read(row, reader)
    return reader


@pytest.mark.parametrize(("label", "y"), [("A>B", 1.0), ("B>A", 0.0), (" B>A ", 0.0)])
def test_the_label_says_whether_a_is_preferred(label, y):
    """Response A stands first, so "A>B" is y = 1."""
    preferences = read_preferences([ROW | {"label": label}])
    assert preferences.read_report.format == "judgebench"
    assert preferences.y.tolist() == [y]
    assert preferences.items["response"][preferences.pairs["first"][0]] == "54"


def test_the_pair_carries_id_source_and_model():
    """Scores are reported by source and by the model that wrote the responses."""
    pair = read(ROW).pairs[0]
    assert pair["benchmark_id"] == "81ec57f2"
    assert pair["source"] == "mmlu-pro-math"
    assert pair["response_model"] == "some-model"


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"label": "A=B"}, "unknown label", "got 'A=B'"),
        ({"label": None}, "missing label", "got none"),
        ({"label": 1}, "unknown label", "the label 'A>B' or 'B>A'; got 1"),
        ({"question": None}, "missing prompt", "a prompt with text in it; got none"),
        ({"response_A": 54}, "response is not text", "got int"),
        ({"response_A": "56"}, "identical chosen and rejected", "response twice"),
        ({"pair_id": ""}, "missing pair_id", "as pair_id"),
        ({"source": None}, "missing source", "as source"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(change, reason, message):
    """Each defect has its own reason and says what was expected."""
    with pytest.raises(DataError, match=message) as caught:
        read(ROW | change)
    assert caught.value.reason == reason
