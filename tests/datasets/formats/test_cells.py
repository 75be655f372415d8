"""Cells: labels, margins, weights, and the columns that are carried."""

import math

import pytest

from embrm.datasets.formats.cells import carried, label_of, margin_and_weight
from embrm.exceptions import DataError


@pytest.mark.parametrize(
    ("row", "y"), [({}, 1.0), ({"y": 0}, 0.0), ({"y": "0.5"}, 0.5), ({"y": 1}, 1.0)]
)
def test_labels_are_probabilities(row, y):
    """Without a label chosen is preferred for certain."""
    assert label_of(row) == y


@pytest.mark.parametrize("y", [None, math.nan, -1, 1.01, ""])
def test_a_label_out_of_range_or_missing_is_refused(y):
    """Ratings of -1 and +1 are answered with the mapping."""
    with pytest.raises(DataError, match=r"e\.g\. -1/\+1 by \(y \+ 1\) / 2"):
        label_of({"y": y})


@pytest.mark.parametrize("y", [True, "yes", [1], math.inf])
def test_a_label_that_is_no_number_is_refused(y):
    """Truth values are for unpaired data."""
    with pytest.raises(DataError, match="a finite number as y"):
        label_of({"y": y})


def test_margins_and_weights_that_are_missing_are_left_out():
    """Null is no margin, not a margin of zero."""
    row = {"margin": None, "weight": 2}
    assert margin_and_weight(row) == {"weight": 2.0}


@pytest.mark.parametrize("name", ["margin", "weight"])
def test_negative_margins_and_weights_are_refused(name):
    """The sign says who won, which is what the order is for."""
    with pytest.raises(DataError, match=f"{name} >= 0; got -1. To mend: swap chosen"):
        margin_and_weight({name: -1})


def test_strings_and_numbers_are_carried():
    """Lists, mappings and missing values are not."""
    row = {"used": 1, "s": "x", "n": 2, "b": True, "l": [1], "d": {}, "none": None}
    assert carried(row, ["used"]) == {"s": "x", "n": 2, "b": True}


def test_columns_of_the_pair_table_are_carried_under_another_name():
    """A source's own row numbers do not overwrite ours."""
    assert carried({"source_row": 7, "first": "x"}, []) == {
        "source_source_row": 7,
        "source_first": "x",
    }
