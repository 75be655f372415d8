"""Extras: labels, margins, weights, and the columns that are carried."""

import math

import pytest

from embrm.datasets.formats.extras import extras_of, texts_among
from embrm.exceptions import DataError, NoPreferenceError


@pytest.mark.parametrize(
    ("row", "y"),
    [
        ({}, 1.0),
        ({"y": 0}, 0.0),
        ({"y": "0.5"}, 0.5),
        ({"y": 1}, 1.0),
        ({"y": True}, 1.0),
        ({"y": False}, 0.0),
    ],
)
def test_labels_are_probabilities(row, y):
    """Without a label chosen is preferred for certain."""
    assert extras_of(row) == {"y": y}


@pytest.mark.parametrize("y", [-1, 1.01])
def test_a_label_out_of_range_is_refused(y):
    """Ratings of -1 and +1 are answered with the mapping."""
    with pytest.raises(DataError, match=r"e\.g\. -1/\+1 by \(y \+ 1\) / 2"):
        extras_of({"y": y})


@pytest.mark.parametrize("y", [None, math.nan, "", "N/A"])
def test_a_missing_label_says_nothing(y):
    """Where there is a column of labels, a gap in it is not a 1."""
    with pytest.raises(NoPreferenceError, match=r"label y in \[0, 1\].*got none.*drop"):
        extras_of({"y": y})


@pytest.mark.parametrize("y", ["yes", [1], math.inf])
def test_a_label_that_is_no_number_is_refused(y):
    """Words are for unpaired data."""
    with pytest.raises(DataError, match="a finite number as y"):
        extras_of({"y": y})


def test_margins_and_weights_that_are_missing_are_left_out():
    """Null is no margin, not a margin of zero."""
    row = {"margin": None, "weight": 2}
    assert extras_of(row) == {"y": 1.0, "weight": 2.0}


@pytest.mark.parametrize(
    ("name", "cure"), [("margin", "swap chosen and rejected"), ("weight", "drop the")]
)
def test_negative_margins_and_weights_are_refused(name, cure):
    """The sign of a margin says who won, which is what the order is for."""
    with pytest.raises(DataError, match=f"{name} >= 0; got -1. To mend: {cure}"):
        extras_of({name: -1})


@pytest.mark.parametrize("name", ["margin", "weight"])
def test_infinite_margins_and_weights_are_refused(name):
    """Both are finite."""
    with pytest.raises(DataError, match=f"a finite number as {name}; got inf"):
        extras_of({name: math.inf})


def test_strings_and_numbers_are_carried():
    """Lists, mappings and missing values are not."""
    row = {"used": 1, "s": "x", "n": 2, "b": True, "l": [1], "d": {}, "none": None}
    assert extras_of(row, "used") == {"y": 1.0, "s": "x", "n": 2, "b": True}


def test_columns_of_the_pair_table_are_carried_under_another_name():
    """A source's own row numbers do not overwrite ours."""
    assert extras_of({"source_row": 7, "first": "x"}) == {
        "y": 1.0,
        "source_source_row": 7,
        "source_first": "x",
    }


def test_texts_are_carried_where_they_are_texts():
    """A column that is absent or holds no text is no column of the item."""
    row = {"model": "a-model", "source": None, "split": 3}
    assert texts_among(row, "model", "source", "split", "domain") == {
        "model": "a-model"
    }
