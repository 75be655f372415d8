"""Parameters of the linear head are checked before anything is fitted."""

import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads.linear.checks import (
    check_automatic,
    check_word,
)


def test_an_unknown_word_is_refused():
    """The known ones are listed."""
    with pytest.raises(InvalidInputError, match="link: one of logit, probit; got 'x'"):
        check_word("x", "link", ("logit", "probit"))


@pytest.mark.parametrize(
    ("value", "alpha", "wanted"),
    [("auto", None, None), ("auto", 1.0, False), (True, 1.0, True), (0, None, False)],
)
def test_auto_standardises_as_the_penalty_is_chosen(value, alpha, wanted):
    """A given penalty is that of the columns as they are."""
    assert check_automatic(value, "standardise", alpha) is wanted
