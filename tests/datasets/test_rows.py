"""Sources and rows: places and names in errors."""

import pytest

from embrm.datasets.formats.base import refusal
from embrm.datasets.rows import Source, in_lines, in_rows, named_rows, naming
from embrm.exceptions import DataError


def _bad():
    return refusal(expected="a", got="b", cure="c", reason="why")


def _one_then_broken():
    yield 1, {"prompt": "p"}
    raise _bad()


def test_a_refusal_has_three_parts():
    """A refusal says what was expected, what was got and what to do."""
    with pytest.raises(DataError, match=r"^expected a; got b\. To mend: c\.$"):
        raise _bad()


def test_naming_puts_the_place_first():
    """An error inside names its place."""
    wanted = pytest.raises(DataError, match=r"^prefs\.csv, line 3: expected a")
    with wanted, naming("prefs.csv, line 3"):
        raise _bad()


def test_naming_keeps_the_reason():
    """The account's reason survives."""
    with pytest.raises(DataError) as caught, naming("here"):
        raise _bad()
    assert caught.value.reason == "why"


def test_an_error_that_ends_the_reading_names_the_source():
    """What a source raises is prefixed with its name."""
    source = Source("x.parquet", _one_then_broken(), in_rows("x.parquet"))
    with pytest.raises(DataError, match=r"^x\.parquet: expected a"):
        list(named_rows(source))


def test_places_are_lines_or_rows():
    """Text files count lines, tables rows."""
    assert (in_lines("a")(3), in_rows("b")(4)) == ("a, line 3", "b, row 4")
