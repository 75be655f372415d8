"""Numbers, counts, shares and names from outside are checked in one place."""

import numpy as np
import pytest

from embrm._validation import (
    check_choice,
    check_count,
    check_deltas,
    check_inner_share,
    check_level,
    check_number,
    check_positive,
    check_share,
    type_name,
)
from embrm.exceptions import InvalidInputError


@pytest.mark.parametrize(
    "value", [0, -1.0, float("inf"), float("nan"), "1", True, None]
)
def test_what_is_not_positive_is_an_error(value):
    """Nor is what is no number."""
    with pytest.raises(InvalidInputError, match="expected a finite beta > 0"):
        check_positive(value, "beta")


def test_zero_may_be_allowed():
    """Where a parameter may be off."""
    check_positive(0.0, "threshold", zero=True)
    with pytest.raises(InvalidInputError, match="expected a finite threshold >= 0"):
        check_positive(-0.1, "threshold", zero=True)


def test_what_is_not_finite_is_an_error():
    """An array is reported by its shape alone."""
    with pytest.raises(
        InvalidInputError, match=r"strength; got an array of shape \(2,"
    ):
        check_number(np.ones(2), "strength")


@pytest.mark.parametrize("value", [-0.01, 1.01, "most", np.nan])
def test_what_is_no_share_is_an_error(value):
    """Shares lie between 0 and 1."""
    with pytest.raises(InvalidInputError, match=r"expected rate in \[0, 1\]"):
        check_share(value, "rate")


def test_numbers_of_numpy_are_numbers():
    """Counts and shares may come out of an array."""
    check_share(np.float32(0.5), "rate")
    assert check_count(np.int64(3), "votes") == 3


@pytest.mark.parametrize("value", [1, 2.0, True])
def test_what_is_no_count_is_an_error(value):
    """Or is too small."""
    with pytest.raises(InvalidInputError, match="expected an integer k >= 2"):
        check_count(value, "k", low=2)


def test_deltas_that_are_not_finite_are_an_error():
    """They are counted, not shown."""
    with pytest.raises(InvalidInputError, match="expected finite deltas; got 2 that"):
        check_deltas([1.0, np.nan, np.inf])


def test_a_class_is_told_from_its_instances():
    """Forgotten parentheses are a common slip."""
    assert (type_name(dict), type_name({})) == ("the class dict", "dict")


@pytest.mark.parametrize("value", [0, 1, 95, "x", None, True, np.nan])
def test_a_level_is_a_number_between_zero_and_one(value):
    """95 is not 0.95, and a text is no number."""
    with pytest.raises(InvalidInputError, match=r"level in \(0, 1\); got .*0\.95"):
        check_level(value)
    with pytest.raises(InvalidInputError, match=r"test_size in \(0, 1\)"):
        check_inner_share(value, "test_size", "0.2")


def test_an_unknown_choice_is_answered_with_the_known_ones():
    """The message lists the names to choose from; an array is none of them."""
    with pytest.raises(InvalidInputError, match="kind one of a, b; got 'c'"):
        check_choice("c", "kind", ("a", "b"))
    with pytest.raises(InvalidInputError, match=r"got an array of shape \(2,\)"):
        check_choice(np.array(["a", "b"]), "kind", ("a", "b"))
