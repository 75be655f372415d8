"""Tables: frames, iterables and Parquet, in plain Python values."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embrm.datasets.tables import (
    frame_source,
    iterable_source,
    native,
    parquet_source,
)
from embrm.exceptions import DataError


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.nan, None),
        (np.float64("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (None, None),
        ((1, "a"), [1, "a"]),
        (np.array([np.array(["a"]), None], dtype=object), [["a"], None]),
        ({"a": np.array([1])}, {"a": [1]}),
        (float("inf"), float("inf")),
        (np.longdouble(0.5), 0.5),
        (Decimal("0.5"), 0.5),
        (Decimal("sNaN"), None),
        (10**400, 10**400),
    ],
)
def test_values_become_plain_python(value, plain):
    """Whatever pandas, numpy or Arrow hold, formats see plain values."""
    assert native(value) == plain
    assert type(native(value)) is type(plain)


def test_a_frame_yields_its_rows_in_order():
    """All chunks of a long frame are read."""
    frame = pd.DataFrame({"n": np.arange(20_000)})
    rows = list(frame_source(frame).rows)
    assert rows == [(n + 1, {"n": n}) for n in range(20_000)]


def test_places_in_a_frame_name_row_and_index():
    """Both the position and the label are given."""
    source = frame_source(pd.DataFrame({"n": [1, 2]}, index=["x", "y"]))
    assert source.place(2) == "frame, row 2 (index y)"


def test_two_columns_of_one_name_are_refused():
    """One of them would be lost."""
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(DataError, match="different names; got 'a' twice"):
        frame_source(frame)


def test_column_names_that_are_no_text_become_text():
    """A frame may number its columns."""
    assert list(frame_source(pd.DataFrame([[7]])).rows) == [(1, {"0": 7})]


def test_entries_that_are_no_mapping_are_bad_rows():
    """One bad entry is one bad row."""
    (_, error), good = iterable_source([3, {"a": np.int64(1)}]).rows
    assert good == (2, {"a": 1})
    assert error.reason == "not an object"


def test_an_iterable_is_read_as_far_as_needed():
    """Generators are streamed."""
    rows = iterable_source({"n": n} for n in range(2)).rows
    assert next(rows) == (1, {"n": 0})


def test_a_value_nested_without_end_is_a_bad_row():
    """A list that holds itself is a DataError."""
    endless = []
    endless.append(endless)
    [(_, error)] = iterable_source([{"a": endless}]).rows
    assert error.reason == "nested too deeply"


def test_parquet_yields_nested_plain_values(tmp_path):
    """Lists of structs are lists of dicts."""
    path = tmp_path / "a.parquet"
    rows = [{"a": [{"role": "user", "content": "Hi"}], "x": 0.5}, {"a": [], "x": None}]
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert list(parquet_source(path).rows) == [(1, rows[0]), (2, rows[1])]


@pytest.mark.parametrize("keep", [0, 10, 100])
def test_a_truncated_parquet_file_is_refused(tmp_path, keep):
    """A damaged file is a DataError."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="whole Parquet file"):
        list(parquet_source(path).rows)


def test_damage_in_the_middle_of_a_parquet_file_is_refused(tmp_path):
    """Damaged pages are found while reading."""
    path = tmp_path / "a.parquet"
    table = pa.table({"a": [f"text {n}" for n in range(1000)]})
    pq.write_table(table, path, write_page_checksum=False)
    data = bytearray(path.read_bytes())
    data[4:400] = b"\xff" * 396
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read beyond row 0"):
        list(parquet_source(path).rows)


def test_an_integer_of_thousands_of_digits_is_a_bad_row():
    """Python would refuse to write it, in whatever message or column it ended."""
    (_, error), good = iterable_source([{"a": [10**5000]}, {"a": 1}]).rows
    assert good == (2, {"a": 1})
    assert error.reason == "number too long"


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    """A row would hold the last alone."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), path)
    with pytest.raises(
        DataError, match=r"different names; got 'a' twice\. To mend: re"
    ):
        list(parquet_source(path).rows)
