"""Constructor parameters are checked with a message that names them."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads.parameters import check_count, check_number_or, check_real


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(3)])
def test_a_number_in_range_is_returned_as_float(value):
    """Integers and numpy numbers become floats."""
    got = check_real(value, "alpha", 0.0, open_at_low=True)
    assert type(got) is float
    assert got == value


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, "1", None, True, [1.0]])
def test_a_real_that_is_out_of_range_or_no_number_is_refused(value):
    """Zero is out of an open range; so are NaN, infinity and booleans."""
    with pytest.raises(InvalidInputError, match=r"alpha: a finite number, 0 < alpha"):
        check_real(value, "alpha", 0.0, open_at_low=True)


def test_a_closed_range_takes_its_lower_end():
    """0 is in [0, 1)."""
    assert check_real(0, "dropout", 0.0, 1.0, open_at_low=False) == 0.0


def test_the_upper_end_is_outside():
    """1 is not in [0, 1)."""
    with pytest.raises(InvalidInputError, match=r"0 <= dropout < 1; got 1"):
        check_real(1, "dropout", 0.0, 1.0, open_at_low=False)


def test_a_count_is_returned_as_int():
    """numpy integers become int."""
    assert type(check_count(np.int32(3), "patience", 1)) is int


@pytest.mark.parametrize("value", [0, -2, 1.0, "3", None, True])
def test_a_count_that_is_too_small_or_no_integer_is_refused(value):
    """A float is no count, even 1.0."""
    with pytest.raises(
        InvalidInputError, match=r"patience: an integer >= 1; got .*set_params\(pat"
    ):
        check_count(value, "patience", 1)


def test_a_word_stands_for_a_choice_to_be_made():
    """Numbers are numbers."""
    assert check_number_or("auto", "alpha", "auto", np.inf) is None
    assert check_number_or(2, "alpha", "auto", np.inf) == 2.0


@pytest.mark.parametrize(
    ("value", "message"),
    [("best", "alpha that is 'auto' or a finite number"), (None, "alpha: a finite")],
)
def test_another_word_or_none_is_refused(value, message):
    """The message names the word."""
    with pytest.raises(InvalidInputError, match=message):
        check_number_or(value, "alpha", "auto", np.inf)
