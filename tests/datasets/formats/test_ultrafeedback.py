"""UltraFeedback: one item for each completion, scored by the mean of its ratings."""

import math

import pytest

from embrm.datasets import read_preferences
from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError, LeftOutWarning

ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")


def completion(response: str, *ratings: str, **more: object) -> dict:
    annotations = {
        aspect: {"Rating": rating, "Rationale": "..."}
        for aspect, rating in zip(ASPECTS, ratings, strict=True)
    }
    return {"response": response, "annotations": annotations, **more}


GOOD = completion(
    "Soup is hot.",
    "5",
    "4",
    "5",
    "2",
    model="a-model",
    overall_score=7.5,
    **{"fine-grained_score": 4.0},
)
PARTLY = completion("Soup.", "3", "N/A", "4", "N/A", overall_score=10)
UNRATED = completion("Soup?", "N/A", "N/A", "N/A", "N/A")
ROW = {
    "source": "evol_instruct",
    "instruction": "What is soup?",
    "models": ["a-model", "b-model", "c-model"],
    "completions": [GOOD, PARTLY, UNRATED],
    "correct_answers": [],
    "incorrect_answers": [],
}


def read(row: dict) -> RowReader:
    reader = RowReader()
    find_format("ultrafeedback").read(row, reader)
    return reader


def test_each_completion_is_an_item_and_there_are_no_pairs():
    """The driver makes pairs from scores where they are wanted."""
    preferences = read_preferences([ROW])
    assert preferences.read_report.format == "ultrafeedback"
    assert preferences.items["response"].tolist() == ["Soup is hot.", "Soup.", "Soup?"]
    assert len(preferences) == 0


def test_an_item_has_the_four_ratings_and_both_scores():
    """Ratings are numbers although the source writes them as text."""
    item = read(ROW).items[0]
    assert [item[aspect] for aspect in ASPECTS] == [5.0, 4.0, 5.0, 2.0]
    assert (item["overall_score"], item["fine_grained_score"]) == (7.5, 4.0)
    assert (item["model"], item["source"]) == ("a-model", "evol_instruct")


def test_the_score_is_the_mean_of_the_ratings_that_are_there():
    """Not overall_score, which has 10 where 1 was meant."""
    items = read(ROW).items
    assert items[0]["score"] == 4.0
    assert items[1]["score"] == 3.5
    assert items[1]["overall_score"] == 10.0


def test_na_is_nan():
    """An aspect that was not rated is unknown, not zero."""
    _, partly, unrated = read(ROW).items
    assert math.isnan(partly["honesty"])
    assert math.isnan(unrated["score"])
    assert math.isnan(unrated["fine_grained_score"])


def test_an_aspect_that_is_not_annotated_is_nan():
    """Arrow fills records that lack a field with None."""
    annotations = GOOD["annotations"] | {"honesty": None}
    row = ROW | {"completions": [GOOD | {"annotations": annotations}]}
    assert math.isnan(read(row).items[0]["honesty"])


@pytest.mark.parametrize(
    ("completions", "reason", "message"),
    [
        ([], "completions has the wrong length", "got a list of 0"),
        (None, "completions is not a list", "got NoneType"),
        (["text"], "completion has no fields", "got str"),
        ([GOOD | {"annotations": None}], "annotations has no fields", "named fields"),
        ([GOOD | {"annotations": {"honesty": 4}}], "honesty has no fields", "got int"),
        ([GOOD | {"response": ""}], "empty response", "an empty one"),
        ([UNRATED], "no rating", "a number as at least one rating; got none"),
        (
            [completion("Soup.", "5", "6", "5", "5")],
            "honesty out of range",
            "from 1 to 5; got 6",
        ),
        (
            [completion("Soup.", "5", "good", "5", "5")],
            "honesty is not a number",
            "got 'good'",
        ),
        (
            [GOOD | {"overall_score": math.inf}],
            "overall_score is not a number",
            "finite number as overall_score",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(completions, reason, message):
    """Each defect has its own reason and says what was expected."""
    with pytest.raises(DataError, match=message) as caught:
        read(ROW | {"completions": completions})
    assert caught.value.reason == reason


def test_an_instruction_without_completions_says_nothing():
    """It is left out, even where it stands first."""
    with pytest.warns(LeftOutWarning, match="read as ultrafeedback: 2 rows, 1 kept"):
        read_preferences(
            [ROW | {"completions": []}, ROW], on_error="skip-uninformative"
        )
