"""Cells of a row are read as numbers, names, labels and margins, or refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets.formats._fields import (
    check_rated,
    common_prefix_length,
    extras_of,
    first_fields,
    in_short,
    is_number,
    is_text_list,
    list_of,
    name_of,
    number,
    record_of,
    texts_among,
    whole_number,
)
from embrm.exceptions import DataError, NoPreferenceError

ANSWER = {"role": "assistant", "content": "Blue."}


@settings(max_examples=100)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_as_text(value):
    """JSON and CSV spell the same float alike."""
    assert number(value, "score") == number(repr(value), "score") == value


@pytest.mark.parametrize("value", [np.float32(2), np.int64(2), "2", " 2.0 ", 2])
def test_numbers_of_every_kind_are_read(value):
    """NumPy scalars and text are numbers too."""
    assert number(value, "score") == 2.0
    assert whole_number(value, "score") == 2


@pytest.mark.parametrize("value", [None, math.nan, "", " ", "N/A", "nan", "NA"])
def test_a_missing_number_is_nan_and_a_missing_whole_number_says_nothing(value):
    """A rating may be missing; a rank may not."""
    assert math.isnan(number(value, "rank"))
    with pytest.raises(NoPreferenceError, match="whole number as rank; got none"):
        whole_number(value, "rank")


@pytest.mark.parametrize("value", [10**400, "1e999", "nanometre", True, [3], {}])
def test_what_is_no_finite_number_is_refused(value):
    """Infinity never enters by overflow; the message shows little of the value."""
    with pytest.raises(DataError, match="finite number as score") as caught:
        number(value, "score")
    assert len(str(caught.value)) < 200


def test_a_number_out_of_range_is_refused():
    """The range is named."""
    with pytest.raises(DataError, match=r"score from 1 to 5; got 6. Fix: bring the"):
        number(6, "score", low=1, high=5)


def test_a_fraction_is_no_whole_number():
    """2.5 is neither 2 nor 3."""
    with pytest.raises(DataError, match=r"a whole number as rank; got 2.5. Fix: ro"):
        whole_number(2.5, "rank")


def test_truth_values_are_no_numbers():
    """Python counts True as 1."""
    assert [is_number(value) for value in (True, 1, 1.5, "1")] == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "none"), (math.nan, "none"), ("A=B", "'A=B'"), (3, "3"), ([3], "list")],
)
def test_a_wrong_value_is_shown_in_short(value, shown):
    """Lists are named by their kind."""
    assert in_short(value) == shown


def test_a_long_value_is_never_shown_at_length():
    """Thirty characters tell what it is."""
    assert len(in_short("a" * 10_000)) == 30


@pytest.mark.parametrize(
    ("value", "name"), [("tied:3", "tied:3"), (7, "7"), (7.0, "7"), (0, "0")]
)
def test_names_are_text(value, name):
    """An id is the same as a number, a float of a frame, and text."""
    assert name_of(value, "id") == name


@pytest.mark.parametrize(
    ("value", "got"), [(None, "none"), ("", "none"), (7.5, "a float"), ([7], "a list")]
)
def test_what_is_no_name_is_refused(value, got):
    """A benchmark cannot be scored without."""
    with pytest.raises(DataError, match=f"name or number as id; got {got}. Fix: f"):
        name_of(value, "id")


def test_a_list_of_texts_is_no_list_of_messages():
    """Benchmarks list texts, conversations list messages."""
    values = (["a", "b"], [ANSWER], "ab", [])
    assert [is_text_list(value) for value in values] == [True, False, False, True]


@pytest.mark.parametrize(
    ("value", "fields"),
    [([ANSWER, 3], {"role", "content"}), ([], set()), ([3], set()), (None, set())],
)
def test_the_first_record_names_its_fields(value, fields):
    """Detection looks at the first entry alone."""
    assert first_fields(value) == fields


@pytest.mark.parametrize(
    ("value", "length", "got"),
    [(["a"], 3, "a list of 1"), ("abc", None, "str"), ({"a": 1}, 1, "dict")],
)
def test_a_list_of_another_length_or_none_at_all_is_refused(value, length, got):
    """The length asked for is named, or that there must be one entry."""
    asked = length or "one or more"
    with pytest.raises(DataError, match=f"a list of {asked} as ranks; got {got}. Fix"):
        list_of(value, "ranks", length)


@pytest.mark.parametrize("value", [None, [], ()])
def test_a_list_without_entries_says_nothing(value):
    """It is left out where rows that say nothing are."""
    with pytest.raises(NoPreferenceError, match="a list of one or more as completions"):
        list_of(value, "completions")


def test_a_record_has_named_fields():
    """Whatever else it is, it cannot be read."""
    assert record_of(ANSWER, "completion") is ANSWER
    with pytest.raises(DataError, match=r"named fields as completion; got str. Fix"):
        record_of("text", "completion")


def test_one_rating_is_enough():
    """A row says something if one of its ratings is there."""
    check_rated([math.nan, 0.0])
    with pytest.raises(NoPreferenceError, match=r"at least one rating; got none\. Fix"):
        check_rated([math.nan, math.nan])


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
    ("name", "fix"), [("margin", "swap chosen and rejected"), ("weight", "drop the")]
)
def test_negative_margins_and_weights_are_refused(name, fix):
    """The sign of a margin says who won, which is what the order is for."""
    with pytest.raises(DataError, match=f"{name} >= 0; got -1. Fix: {fix}"):
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


@settings(max_examples=100)
@given(st.text("ab", max_size=20), st.text("ab", max_size=20))
def test_bisection_finds_what_counting_finds(a, b):
    """The length is that of the longest common beginning."""
    alike = [x == y for x, y in zip(a, b, strict=False)]
    assert common_prefix_length(a, b) == [*alike, False].index(False)


def test_sequences_of_anything_are_compared():
    """Turns of a conversation are compared like letters."""
    assert common_prefix_length([{"x": 1}, {"x": 2}], [{"x": 1}]) == 1
