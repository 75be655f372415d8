"""Common beginnings, by bisection."""

from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets.formats.prefixes import common_prefix_length


@settings(deadline=None, max_examples=100)
@given(st.text("ab", max_size=20), st.text("ab", max_size=20))
def test_bisection_finds_what_counting_finds(a, b):
    """The length is that of the longest common beginning."""
    alike = [x == y for x, y in zip(a, b, strict=False)]
    assert common_prefix_length(a, b) == [*alike, False].index(False)


def test_sequences_of_anything_are_compared():
    """Turns of a conversation are compared like letters."""
    assert common_prefix_length([{"x": 1}, {"x": 2}], [{"x": 1}]) == 1
