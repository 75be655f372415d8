"""Ratings: which columns rate, and which describe."""

import math

import pandas as pd
import pytest

from embrm.datasets import read_preferences
from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError

ROW = {
    "prompt_id": "q001",
    "category": "facts",
    "prompt": "What is soup?",
    "response": "A hot liquid food.",
    "score": 3,
}


def read(row: dict) -> RowReader:
    reader = RowReader()
    find_format("ratings").read(row, reader)
    return reader


def test_a_row_is_a_scored_item_and_no_pair():
    """The score is a float column of items."""
    preferences = read_preferences([ROW, ROW | {"response": "No.", "score": 0.5}])
    assert preferences.read_report.format == "ratings"
    assert preferences.items["score"].tolist() == [3.0, 0.5]
    assert len(preferences) == 0


def test_text_columns_describe_the_item():
    """A source's own prompt id stands beside the one that groups equal prompts."""
    (item,) = read_preferences([ROW]).items.to_dict("records")
    assert item["category"] == "facts"
    assert item["source_prompt_id"] == "q001"
    assert item["prompt_id"] == 0


def test_every_numeric_column_rates():
    """Without a column `score`, whatever numbers there are rate the response."""
    row = {"prompt": "?", "response": "Soup.", "gold": -1.5, "clarity": 4}
    preferences = read_preferences([row])
    assert preferences.read_report.format == "ratings"
    (item,) = preferences.items.to_dict("records")
    assert (item["gold"], item["clarity"]) == (-1.5, 4.0)
    assert "score" not in item


def test_numbers_that_count_rows_do_not_rate():
    """Ids are carried as text, exactly."""
    item = read(ROW | {"id": 2**63, "user_id": 7, "index": 1, "key": 2}).items[0]
    assert (item["id"], item["user_id"], item["index"]) == (str(2**63), "7", "1")
    assert item["source_key"] == "2"
    assert not find_format("ratings").detect({"prompt": "", "response": "", "id": 1})


def test_lists_and_missing_columns_are_not_carried():
    """An item has columns of text, numbers and booleans."""
    item = read(ROW | {"tags": ["a"], "note": None, "checked": True}).items[0]
    assert item["checked"] is True
    assert not {"tags", "note"} & item.keys()


def test_one_missing_rating_of_several_is_nan():
    """Multi-attribute heads take NaN."""
    for missing in ("N/A", math.nan, None):
        row = ROW | {"clarity": 4, "score": missing}
        item = read(row).items[0]
        assert math.isnan(item["score"])
        assert item["clarity"] == 4.0
    assert math.isnan(read(ROW | {"clarity": "n/a"}).items[0]["clarity"])


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"score": None}, "no rating", "a number as at least one rating; got none"),
        (
            {"score": math.nan, "clarity": "N/A"},
            "no rating",
            "a number as at least one rating; got none",
        ),
        ({"score": "high"}, "score is not a number", "got 'high'"),
        ({"score": math.inf}, "score is not a number", "finite number as score"),
        ({"score": True}, "score is not a number", "got True"),
        ({"score": [3]}, "score is not a number", "got list"),
        ({"prompt": None}, "missing prompt", "a prompt with text in it; got none"),
        ({"prompt": b"?"}, "malformed prompt", "got bytes"),
        ({"response": 4}, "response is not text", "got int"),
        ({"response": ""}, "empty response", "an empty one"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(change, reason, message):
    """Each defect has its own reason and says what was expected."""
    with pytest.raises(DataError, match=message) as caught:
        read(ROW | change)
    assert caught.value.reason == reason


@pytest.mark.realdata
def test_a_real_pool_is_read_whole(shared_data):
    """Every row of a frame with `gold` for a rating becomes an item."""
    frame = pd.read_parquet(shared_data / "pool_dev.parquet").head(2000)
    preferences = read_preferences(frame)
    assert preferences.read_report.format == "ratings"
    assert preferences.read_report.n_kept == len(frame)
    n_distinct = len(frame.drop(columns="prompt_id").drop_duplicates())
    assert len(preferences.items) == n_distinct
    assert {"gold", "model", "source", "source_prompt_id"} <= set(preferences.items)


@pytest.mark.parametrize("name", ["rating", "reward", "overall_score"])
def test_a_rating_by_its_usual_name_is_the_score(name):
    """The account says so; a column `score` goes before it."""
    rows = [{"prompt": "p", "response": f"r{n}", name: n} for n in range(2)]
    read = read_preferences(rows)
    assert read.items["score"].tolist() == [0.0, 1.0]
    assert read.read_report.columns[name] == "rating: the score"
    both = read_preferences([row | {"score": -1} for row in rows])
    assert both.items["score"].tolist() == [-1.0, -1.0]
    lower = read_preferences(rows, lower_is_better=True)
    assert lower.items["score"].tolist() == [0.0, -1.0]


@pytest.mark.parametrize("name", ["Unnamed: 0", "#", "row", "annotator", "worker_no"])
def test_numbers_that_count_rows_or_people_rate_nothing(name):
    """Not even where they are the only ones."""
    with pytest.raises(DataError, match="says how good 'response' is"):
        read_preferences([{"prompt": "p", "response": "r", name: 1}])
