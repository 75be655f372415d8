"""Rows of a frame as JSON."""

import io
import json
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embrm.cli.rows import json_rows, write_json_lines


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, None),
        (float("nan"), None),
        (float("-inf"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (True, True),
        (np.bool_(True), True),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        ("字", "字"),
        (pd.Timestamp("2026-11-20 10:00"), "2026-11-20 10:00:00"),
        (Decimal("1.50"), "1.50"),
        ([1, float("nan")], [1, None]),
        ((1, 2), [1, 2]),
        (np.array([[1.5], [2.5]]), [[1.5], [2.5]]),
        ({1: {"a": np.int8(1)}}, {"1": {"a": 1}}),
    ],
    ids=str,
)
def test_every_cell_becomes_json(cell, expected):
    """Missing is None; what JSON does not have is text."""
    frame = pd.DataFrame({"x": pd.Series([cell], dtype=object)})
    ((_, value),) = next(json_rows(frame)).items()
    assert value == expected
    json.dumps(value, allow_nan=False)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_as_the_same_bits(number):
    """JSON lines lose no digit."""
    stream = io.StringIO()
    write_json_lines(pd.DataFrame({"x": [number]}), stream)
    read = json.loads(stream.getvalue())["x"]
    assert read == number
    assert math.copysign(1, read) == math.copysign(1, number)


def test_columns_of_any_name_and_the_order_of_rows_stay():
    """One object per row, keys in the order of the columns."""
    frame = pd.DataFrame([[1, "a"], [2, "b"]], columns=[0, "x"], index=[5, 5])
    assert list(json_rows(frame)) == [{"0": 1, "x": "a"}, {"0": 2, "x": "b"}]
