"""HelpSteer: attributes of rated rows, signs and ties of preference rows."""

import math

import pytest

from embrm.datasets import read_preferences
from embrm.datasets.formats import RowReader, find_format
from embrm.exceptions import DataError

RATED = {
    "prompt": "What is soup?",
    "response": "A liquid food.",
    "helpfulness": 3,
    "correctness": 4,
    "coherence": 4,
    "complexity": 1,
    "verbosity": 0,
}
PREFERENCE_2 = {
    "split": "train",
    "prompt": "What is soup?",
    "response_1": "A liquid food.",
    "response_2": "A dish.",
    "preference_strength": -2,
    "preference_statement": "Response 1 is better.",
}
PREFERENCE_3 = {
    "domain": "general",
    "language": "english",
    "context": [{"role": "user", "content": "What is soup?"}],
    "response1": "A liquid food.",
    "response2": "A dish.",
    "overall_preference": 1,
}
SHAPES = {
    "helpsteer2": RATED,
    "helpsteer2-preference": PREFERENCE_2,
    "helpsteer3": PREFERENCE_3,
}


def read(name: str, row: dict) -> RowReader:
    reader = RowReader()
    find_format(name).read(row, reader)
    return reader


def test_a_rated_row_is_an_item_whose_score_is_helpfulness():
    """The five attributes are columns; there are no pairs."""
    preferences = read_preferences([RATED])
    assert preferences.read_report.format == "helpsteer2"
    assert len(preferences) == 0
    (item,) = preferences.items.to_dict("records")
    assert item["score"] == item["helpfulness"] == 3.0
    assert (item["correctness"], item["verbosity"]) == (4.0, 0.0)


@pytest.mark.parametrize("missing", [None, math.nan, "N/A"])
def test_one_attribute_that_is_missing_is_nan(missing):
    """Copies with means of annotators have fractions and gaps."""
    (item,) = read("helpsteer2", RATED | {"verbosity": missing, "coherence": 2.5}).items
    assert math.isnan(item["verbosity"])
    assert item["coherence"] == 2.5


@pytest.mark.parametrize(
    ("strength", "y"), [(-3, 1.0), (-1, 1.0), (0, 0.5), (1, 0.0), (3, 0.0)]
)
@pytest.mark.parametrize(
    ("row", "column"),
    [(PREFERENCE_2, "preference_strength"), (PREFERENCE_3, "overall_preference")],
)
def test_negative_strength_means_that_the_first_response_is_better(
    row, column, strength, y
):
    """The size of the strength is a column, its sign is the label."""
    preferences = read_preferences([row | {column: strength}])
    assert preferences.y.tolist() == [y]
    assert preferences.pairs["strength"].tolist() == [abs(strength)]
    first = preferences.pairs["first"][0]
    assert preferences.items["response"][first] == "A liquid food."


def test_strength_0_is_a_tie_between_two_responses():
    """A reader that takes one response as chosen and rejected makes a junk pair."""
    preferences = read_preferences([PREFERENCE_3 | {"overall_preference": 0}])
    first, second = preferences.pairs[["first", "second"]].to_numpy()[0]
    assert first != second
    assert preferences.y.tolist() == [0.5]


def test_no_weight_or_margin_is_chosen_for_the_user():
    """Scaled Bradley-Terry is a choice: strength is offered, nothing more."""
    preferences = read_preferences([PREFERENCE_2])
    assert preferences.weight is None
    assert preferences.margin is None


def test_split_domain_and_language_go_along():
    """What the files group their pairs by is a column of pairs."""
    assert read("helpsteer2-preference", PREFERENCE_2).pairs[0]["split"] == "train"
    pair = read("helpsteer3", PREFERENCE_3).pairs[0]
    assert (pair["domain"], pair["language"]) == ("general", "english")


@pytest.mark.parametrize("name", ["helpsteer2", "helpsteer2-preference"])
def test_turn_markers_become_messages(name):
    """The first turn has no marker; text keeps its own line ends."""
    prompt = "Soup?\n<extra_id_1>Assistant\nYes.\nHot.\n<extra_id_1>User\nWhy?"
    item = read(name, SHAPES[name] | {"prompt": prompt}).items[0]
    assert item["prompt"] == [
        {"role": "user", "content": "Soup?"},
        {"role": "assistant", "content": "Yes.\nHot."},
        {"role": "user", "content": "Why?"},
    ]


def test_a_marker_that_opens_an_empty_last_turn_adds_nothing():
    """Some exports end with the marker of the answer to come."""
    prompt = "<extra_id_0>System\nBe brief.\n<extra_id_1>User\nWhy?\n"
    item = read(
        "helpsteer2", RATED | {"prompt": prompt + "<extra_id_1>Assistant\n"}
    ).items[0]
    assert item["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
    ]


def test_a_prompt_that_only_speaks_of_markers_stays_text():
    """Only a marker with a role on its own line opens a turn."""
    prompt = "What does <extra_id_1> mean in T5?"
    item = read("helpsteer2", RATED | {"prompt": prompt}).items[0]
    assert item["prompt"] == prompt


def test_a_prompt_that_is_a_list_of_messages_stays_one():
    """Converted copies hold conversations already."""
    turns = PREFERENCE_3["context"]
    assert read("helpsteer2", RATED | {"prompt": turns}).items[0]["prompt"] == turns


@pytest.mark.parametrize(
    ("name", "change", "reason", "message"),
    [
        ("helpsteer2", {"helpfulness": 5}, "helpfulness out of range", "from 0 to 4"),
        (
            "helpsteer2",
            dict.fromkeys(RATED.keys() - {"prompt", "response"}),
            "no rating",
            "a number as at least one rating; got none",
        ),
        ("helpsteer2", {"complexity": [1]}, "complexity is not a number", "got list"),
        ("helpsteer2", {"response": ""}, "empty response", "an empty one"),
        (
            "helpsteer2",
            {"prompt": None},
            "missing prompt",
            "a prompt with text in it; got none",
        ),
        (
            "helpsteer2",
            {"prompt": "<extra_id_1>User\n\n<extra_id_1>Assistant\n"},
            "empty prompt",
            "prompt with text in it; got an empty",
        ),
        (
            "helpsteer2-preference",
            {"preference_strength": 4},
            "preference_strength out of range",
            "from -3 to 3; got 4",
        ),
        (
            "helpsteer2-preference",
            {"preference_strength": float("nan")},
            "missing preference_strength",
            "got none",
        ),
        (
            "helpsteer2-preference",
            {"response_2": "A liquid food."},
            "identical chosen and rejected",
            "same response twice",
        ),
        (
            "helpsteer3",
            {"overall_preference": "much better"},
            "overall_preference is not a number",
            "got 'much better'",
        ),
        (
            "helpsteer3",
            {"context": [{"role": "user"}]},
            "malformed messages",
            "string 'content'",
        ),
        (
            "helpsteer3",
            {"context": []},
            "empty prompt",
            "prompt with text in it; got an empty",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(name, change, reason, message):
    """Each defect has its own reason and says what was expected."""
    with pytest.raises(DataError, match=message) as caught:
        read(name, SHAPES[name] | change)
    assert caught.value.reason == reason
