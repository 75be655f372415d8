"""CSV files become rows; what is malformed is refused by line."""

import csv

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets._csv_rows import csv_source
from embrm.datasets._csv_rows import typed as typed_as
from embrm.datasets._rows import ReadLimits
from embrm.datasets.formats import TEXT_COLUMNS
from embrm.exceptions import DataError

LIMIT = 1_000_000


def typed(row):
    return typed_as(row, TEXT_COLUMNS)


def _rows(tmp_path, data, limit=LIMIT):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    return list(csv_source(path, ReadLimits(limit)).rows)


@settings(max_examples=30)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                name: st.text(st.characters(codec="utf-8", exclude_characters="\0"))
                for name in ("prompt", "response")
            }
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_pandas_writes_comes_back(tmp_path_factory, rows):
    """Commas, quotes and line ends inside a field survive."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    pd.DataFrame(rows).to_csv(path, index=False, quoting=csv.QUOTE_ALL)
    assert [row for _, row in csv_source(path, ReadLimits(LIMIT)).rows] == rows


def test_records_are_numbered_by_their_first_line(tmp_path):
    """A field over two lines, and blank lines, do not confuse the numbers."""
    rows = _rows(tmp_path, b'a,b\n"x\ny",1\n\n3,4\n')
    assert rows == [(2, {"a": "x\ny", "b": "1"}), (5, {"a": "3", "b": "4"})]


def test_bom_and_crlf_are_accepted(tmp_path):
    """Spreadsheets write both."""
    assert _rows(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n") == [(2, {"a": "1", "b": "2"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1", "expected 2 fields, as in the header; got 1"),
        (b"1,2,3", "expected 2 fields, as in the header; got 3"),
        (b'"1"x,2', "malformed CSV"),
        (b"\xff,2", "not UTF-8 at byte offset 4"),
        (b"1," + b"x" * 200, "at most 100 bytes"),
    ],
)
def test_a_bad_record_does_not_end_the_reading(tmp_path, line, message):
    """The record after a bad one is read."""
    (number, error), last = _rows(tmp_path, b"a,b\n" + line + b"\n5,6\n", 100)
    assert (number, last) == (2, (3, {"a": "5", "b": "6"}))
    with pytest.raises(DataError, match=message):
        raise error


def test_a_quote_that_never_closes_is_an_error(tmp_path):
    """The rest of the file does not become one silent field."""
    [(number, error)] = _rows(tmp_path, b'a,b\n"1,2\n3,4\n')
    assert number == 2
    with pytest.raises(DataError, match="unexpected end of data"):
        raise error


def test_a_bad_line_inside_a_quoted_field_costs_its_record(tmp_path):
    """A record with a bad line is one bad record."""
    (number, error), *_ = _rows(tmp_path, b'a,b\n"1\n\xff\n2",3\n5,6\n')
    assert number == 3
    assert error.reason == "not UTF-8"


def test_a_field_longer_than_the_limit_is_refused(tmp_path):
    """Lines within the limit do not add up to a field beyond it."""
    [(_, error), *_] = _rows(tmp_path, b'a\n"' + b"x\n" * 80 + b'"\n', 100)
    with pytest.raises(DataError, match="at most 100 bytes"):
        raise error


def test_long_fields_are_read_and_the_limit_of_csv_is_put_back(tmp_path):
    """Python's own limit of 128 kB is lifted for the reading alone."""
    before = csv.field_size_limit()
    [(_, row)] = _rows(tmp_path, b"a\n" + b"x" * 200_000 + b"\n")
    assert (len(row["a"]), csv.field_size_limit()) == (200_000, before)


@pytest.mark.parametrize(
    ("header", "message"),
    [(b"a,a", "'a' twice"), (b"a,", "a column without a name"), (b"\xff", "not UTF-8")],
)
def test_a_bad_header_is_refused(tmp_path, header, message):
    """Without names there are no rows."""
    with pytest.raises(DataError, match=message):
        _rows(tmp_path, header + b"\n1,2\n")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        (" 7 ", 7),
        ("True", True),
        ("false", False),
        ("", None),
        ("007", "007"),
        ("1234567890123456789012", "1234567890123456789012"),
        ("0.5", 0.5),
        ("07.5", 7.5),
        ("A>B", "A>B"),
        ("nan", "nan"),
        ("1_000", "1_000"),
    ],
)
def test_cells_become_what_they_look_like(cell, value):
    """Numbers, truth values and missing cells are recognised."""
    assert typed({"score": cell}) == {"score": value}
    assert type(typed({"score": cell})["score"]) is type(value)


@pytest.mark.parametrize("column", ["prompt", "response", "output_1", "pair_id", "id"])
def test_text_and_ids_stay_text(column):
    """A response of "42" is a text."""
    assert typed({column: "42"}) == {column: "42"}


@pytest.mark.parametrize(("column", "value"), [("response", ""), ("subset", None)])
def test_an_empty_text_is_empty_and_an_empty_name_is_missing(column, value):
    """An empty response is a defect of the row; an empty subset is none."""
    assert typed({column: ""}) == {column: value}


def test_a_record_over_many_lines_is_as_long_as_a_line_at_most(tmp_path):
    """A quoted field that never ends is not collected; what follows is read."""
    path = tmp_path / "a.csv"
    lines = "\n".join(["x" * 50] * 3)
    path.write_text(f'prompt,chosen\n"{lines}","{lines}"\np,a\n')
    rows = list(csv_source(path, ReadLimits(100)).rows)
    assert rows[-1] == (7, {"prompt": "p", "chosen": "a"})
    assert rows[0][1].reason == "line too long"


def test_a_record_over_many_lines_within_the_limit_is_read(tmp_path):
    """Texts have line ends."""
    path = tmp_path / "a.csv"
    path.write_text('prompt,chosen\n"p\np","a\n\nb"\n')
    assert list(csv_source(path, ReadLimits(13)).rows) == [
        (2, {"prompt": "p\np", "chosen": "a\n\nb"})
    ]


@pytest.mark.parametrize("column", ["id", "prompt_id", "chosen_model", "category"])
def test_names_that_look_like_numbers_stay_text(column):
    """A model called 7 is no number."""
    assert typed({column: "7"}) == {column: "7"}


@pytest.mark.parametrize("column", ["valid", "paid", "model_size"])
def test_columns_that_only_sound_like_names_are_typed(column):
    """Not every word that ends in "id" is one."""
    assert typed({column: "7"}) == {column: 7}
