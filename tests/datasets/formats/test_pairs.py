"""Plain pairs. The golden cases are in test_registry."""

import pytest

from embrm.datasets import read_preferences
from embrm.exceptions import DataError

ROW = {"prompt": "p", "chosen": "a", "rejected": "b"}


def test_the_three_columns_are_enough():
    """Without a label chosen is preferred."""
    assert read_preferences([ROW]).y.tolist() == [1.0]


@pytest.mark.parametrize("column", ["prompt", "chosen", "rejected"])
def test_each_of_the_three_columns_is_needed(column):
    """The missing one is named, beside those there are."""
    row = {name: text for name, text in ROW.items() if name != column}
    with pytest.raises(DataError, match=f"format pairs: .*got no '{column}' among"):
        read_preferences([row], format="pairs")


def test_a_negative_margin_is_refused_with_its_fix():
    """A margin says how much, the order says who."""
    with pytest.raises(DataError, match=r"row 1: .*got -0\.5. Fix: swap chosen and"):
        read_preferences([{**ROW, "margin": -0.5}])


def test_missing_margins_are_nan():
    """Some rows may have a margin and others not."""
    rows = [{**ROW, "margin": 1}, {**ROW, "margin": None}]
    assert read_preferences(rows).pairs["margin"].isna().tolist() == [False, True]


SIDES = [
    *(("better", "worse"), ("best_response", "worst_response"), ("y_w", "y_l")),
    *(("preferred_answer", "dispreferred_answer"), ("preferred", "rejected")),
    *(("accepted", "rejected"), ("winning_response", "losing_response")),
    *(("win", "lose"), ("answer_w", "answer_l"), ("response_j", "response_k")),
]


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize(("better", "worse"), SIDES)
def test_names_that_say_which_is_better_are_read(better, worse, turned):
    """The name decides, not the order of the columns."""
    sides = {better: "a", worse: "b"}
    row = dict(reversed(sides.items())) if turned else sides
    prefs = read_preferences([{"prompt": "p", **row}])
    texts = prefs.items["response"].loc[prefs.pairs.loc[0, ["first", "second"]]]
    assert (texts.tolist(), prefs.y.tolist()) == (["a", "b"], [1.0])
