"""What the tests of each family of checks share."""

import pytest

from embrm.testing import check_head


@pytest.fixture
def assert_fails():
    """A function that asserts that a head fails a check, and is told why."""

    def check(head, name):
        with pytest.raises(
            AssertionError, match=rf"fails 1 of 1 checks:\n  {name}: \S"
        ):
            check_head(head, checks=[name])

    return check
