"""Parameters of the linear head are checked before anything is fitted."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads.linear.checks import (
    check_annotator,
    check_automatic,
    check_number_or,
    check_word,
)


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


def test_an_unknown_word_is_refused():
    """The known ones are listed."""
    with pytest.raises(InvalidInputError, match="link: one of logit, probit; got 'x'"):
        check_word("x", "link", ("logit", "probit"))


def test_annotators_are_numbered_in_the_order_of_their_names():
    """Objects are taken by their text."""
    names, codes = check_annotator(np.array(["b", "a", "b"], dtype=object), "estimate")
    assert (names.tolist(), codes.tolist()) == (["a", "b"], [1, 0, 1])


@pytest.mark.parametrize(
    ("annotator", "noise", "message"),
    [
        (["a"], None, "annotator with noise='estimate'; got noise=None"),
        ([0.5], "estimate", "annotator of shape .*; got shape .1,., dtype float64"),
        ([["a"]], "estimate", "annotator of shape"),
    ],
)
def test_annotators_that_cannot_be_used_are_refused(annotator, noise, message):
    """Without an estimate nothing would be done with them."""
    with pytest.raises(InvalidInputError, match=message):
        check_annotator(annotator, noise)


@pytest.mark.parametrize(
    ("value", "alpha", "wanted"),
    [("auto", None, None), ("auto", 1.0, False), (True, 1.0, True), (0, None, False)],
)
def test_auto_standardises_as_the_penalty_is_chosen(value, alpha, wanted):
    """A given penalty is that of the columns as they are."""
    assert check_automatic(value, "standardise", alpha) is wanted
