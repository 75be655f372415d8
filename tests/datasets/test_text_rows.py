"""JSON and CSV files become rows; what is malformed is refused by line."""

import csv
import gzip
import io
import json
import tracemalloc

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets._text_rows import (
    csv_source,
    json_source,
    jsonl_source,
    parse_json,
    stream_source,
    typed,
)
from embrm.exceptions import DataError

LIMIT = 1_000_000


def _json(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    return json_source(path, LIMIT, LIMIT)


def _stream(data):
    return list(stream_source(io.BytesIO(data), "stdin", LIMIT).rows)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(codec="utf-8")),
            st.text(st.characters(codec="utf-8")) | st.integers(-(2**63), 2**63),
        )
    )
)
def test_rows_come_back_as_written(rows):
    """JSON lines read back as the objects they were."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert _stream(data) == list(enumerate(rows, start=1))


def test_blank_lines_are_no_rows_but_are_lines():
    """Numbers are those of an editor."""
    assert _stream(b'\n{"a": 1}\n  \n{"a": 2}') == [(2, {"a": 1}), (4, {"a": 2})]


def test_crlf_ends_lines_too():
    """Files from Windows are read."""
    assert _stream(b'{"a": 1}\r\n\r\n{"a": 2}\r\n') == [(1, {"a": 1}), (3, {"a": 2})]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_literals_that_json_lacks_are_refused(literal):
    """NaN and Infinity are no JSON."""
    with pytest.raises(DataError, match=f"the literal {literal}. Fix: write null"):
        parse_json(f'{{"a": {literal}}}')


def test_malformed_json_names_the_column():
    """The message of the parser and the column are in the error."""
    with pytest.raises(DataError, match=r"malformed JSON \(Expecting.*at column 7\)"):
        parse_json('{"a": }')


def test_malformed_json_over_lines_names_the_line():
    """In a file of several lines the line is named."""
    with pytest.raises(DataError, match="at line 2, column 7"):
        parse_json('{"b": 1,\n "a": }')


def test_deep_nesting_is_refused():
    """A hundred thousand brackets are a DataError, not a crash."""
    with pytest.raises(DataError, match="nested too deeply"):
        parse_json("[" * 100_000 + "]" * 100_000)


def test_an_integer_of_thousands_of_digits_is_refused():
    """Python's limit on digits becomes a DataError."""
    with pytest.raises(
        DataError, match=r"hundreds of digits or more. Fix: write it as"
    ):
        parse_json("1" * 10_000)


@pytest.mark.parametrize(
    ("text", "kind"), [("[1]", "list"), ('"a"', "str"), ("3", "int")]
)
def test_a_line_that_is_no_object_is_refused(text, kind):
    """A row has named columns."""
    [(number, error)] = _stream(text.encode())
    assert number == 1
    with pytest.raises(DataError, match=f"objects with named columns; got a {kind}"):
        raise error


def test_a_bad_line_does_not_end_the_reading():
    """What follows a malformed line is read."""
    _, last = _stream(b'{"a": \n{"a": 2}\n')
    assert last == (2, {"a": 2})


def test_a_file_is_a_stream_of_lines(tmp_path):
    """The first line is there before the last is read."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    source = jsonl_source(path, LIMIT)
    assert next(source.rows) == (1, {"a": 1})
    source.rows.close()


def test_a_list_of_objects_is_rows(tmp_path):
    """A .json file holds a list."""
    source = _json(tmp_path, '\ufeff[{"a": 1},\n {"a": 2}]')
    assert list(source.rows) == [(1, {"a": 1}), (2, {"a": 2})]
    assert source.place(2) == "a.json, row 2"


def test_an_object_with_one_list_is_rows(tmp_path):
    """Rows may stand under one key, beside scalars."""
    source = _json(tmp_path, '{"version": 2, "data": [{"a": 1}]}')
    assert list(source.rows) == [(1, {"a": 1})]


def test_an_entry_that_is_no_object_is_a_bad_row(tmp_path):
    """One bad entry of a list is one bad row."""
    (_, error), good = _json(tmp_path, '[3, {"a": 1}]').rows
    assert good == (2, {"a": 1})
    assert error.reason == "not an object"


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ('{"a": [1], "b": [2]}', "an object with 2 lists"),
        ('{"a": 1}', "an object with 0 lists"),
        ("3", "a int"),
    ],
)
def test_a_json_file_without_one_list_is_refused(tmp_path, text, got):
    """Columns side by side are not rows."""
    with pytest.raises(DataError, match=f"a list of objects.*got {got}"):
        list(_json(tmp_path, text).rows)


def test_lines_under_the_name_json_are_read_as_lines(tmp_path):
    """Many publish JSON lines as .json."""
    source = _json(tmp_path, '{"a": [1]}\n\n{"a": [2]}\n')
    assert list(source.rows) == [(1, {"a": [1]}), (3, {"a": [2]})]
    assert source.place(3) == "a.json, line 3"


def test_an_object_printed_over_lines_is_not_lines(tmp_path):
    """Indented JSON is read whole."""
    text = json.dumps({"data": [{"a": 1}]}, indent=1)
    assert list(_json(tmp_path, text).rows) == [(1, {"a": 1})]


def test_an_empty_json_file_has_no_rows(tmp_path):
    """Emptiness is for the caller to judge."""
    assert list(_json(tmp_path, " \n").rows) == []


@pytest.mark.parametrize(
    "text", ["[" + " " * 30_000_000 + "]", "\n" * 3_000_000, '{"a": [' + "1," * 10**7]
)
def test_a_gzip_bomb_is_refused_unread(tmp_path, text):
    """What a small file unpacks to is bounded, and never held beyond the bound."""
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(text.encode()))
    tracemalloc.start()
    with pytest.raises(DataError, match="a JSON file of at most 1000000 bytes, unpack"):
        list(json_source(path, LIMIT, LIMIT).rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size < 100_000
    assert peak < 10_000_000


def test_json_lines_under_the_name_json_have_no_bound(tmp_path):
    """They are streamed; the bound is for what is held whole."""
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}\n' * 200)
    assert len(list(json_source(path, 100, 100).rows)) == 200


def test_columns_side_by_side_are_refused_with_what_pandas_should_write(tmp_path):
    """The default of DataFrame.to_json is no list of rows."""
    with pytest.raises(DataError, match=r"Fix: write one object per line.*orient="):
        list(_json(tmp_path, '{"prompt": {"0": "p"}, "chosen": {"0": "a"}}').rows)


def _rows(tmp_path, data, limit=LIMIT):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    return list(csv_source(path, limit).rows)


@settings(deadline=None, max_examples=30)
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
    assert [row for _, row in csv_source(path, LIMIT).rows] == rows


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
    rows = list(csv_source(path, 100).rows)
    assert rows[-1] == (7, {"prompt": "p", "chosen": "a"})
    assert rows[0][1].reason == "line too long"


def test_a_record_over_many_lines_within_the_limit_is_read(tmp_path):
    """Texts have line ends."""
    path = tmp_path / "a.csv"
    path.write_text('prompt,chosen\n"p\np","a\n\nb"\n')
    assert list(csv_source(path, 13).rows) == [
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
