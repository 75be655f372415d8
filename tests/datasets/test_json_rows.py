"""JSON files become rows; what is malformed is refused by line."""

import gzip
import io
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets._json_rows import (
    json_source,
    jsonl_source,
    parse_json,
    stream_source,
)
from embrm.datasets._rows import ReadLimits
from embrm.exceptions import DataError

LIMITS = ReadLimits(max_line_bytes=1_000_000, max_json_bytes=1_000_000)


def _json(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    return json_source(path, LIMITS)


def _stream(data):
    return list(stream_source(io.BytesIO(data), "stdin", LIMITS).rows)


@settings(max_examples=50)
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


@pytest.mark.parametrize("literal", ["Infinity", "-Infinity"])
def test_literals_that_json_lacks_are_refused(literal):
    """Infinity is no JSON, and no missing value either."""
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
    source = jsonl_source(path, LIMITS)
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
        ('{"a": [{"b": 1}], "b": [{"b": 2}]}', "an object with 2 lists"),
        ('{"a": [1], "b": [2, 3]}', "an object with 2 lists"),
        ('{"a": 1}', "an object with 0 lists"),
        ("3", "a int"),
    ],
)
def test_a_json_file_without_one_list_is_refused(tmp_path, text, got):
    """Splits side by side, and lists of several lengths, are no rows."""
    with pytest.raises(DataError, match=f"a list of objects.*got {got}"):
        list(_json(tmp_path, text).rows)


@pytest.mark.parametrize(
    "text",
    [
        '{"prompt": ["Hi", "Why?"], "score": [1, 2]}',
        (
            '{"8b6ad1d3-0c0b-4a8e-9d7f-3f1f2a6c1b11": {"prompt": "Hi", "score": 1}, '
            '"8b6ad1d3-0c0b-4a8e-9d7f-3f1f2a6c1b12": {"prompt": "Why?", "score": 2}}'
        ),
    ],
)
def test_columns_and_records_by_id_are_read_as_rows(tmp_path, text):
    """Argilla writes both, `DataFrame.to_dict` and `Dataset.to_dict` the first."""
    rows = [{"prompt": "Hi", "score": 1}, {"prompt": "Why?", "score": 2}]
    assert [row for _, row in _json(tmp_path, text).rows] == rows


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
        list(json_source(path, LIMITS).rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size < 100_000
    assert peak < 10_000_000


def test_json_lines_under_the_name_json_have_no_bound(tmp_path):
    """They are streamed; the bound is for what is held whole."""
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}\n' * 200)
    assert len(list(json_source(path, ReadLimits(100, 100)).rows)) == 200


def test_columns_side_by_side_are_refused_with_what_pandas_should_write(tmp_path):
    """The default of DataFrame.to_json is no list of rows."""
    with pytest.raises(DataError, match=r"Fix: write one object per line.*orient="):
        list(_json(tmp_path, '{"prompt": {"0": "p"}, "chosen": {"0": "a"}}').rows)
