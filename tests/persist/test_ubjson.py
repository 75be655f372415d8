"""UBJSON is read within bounds."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.exceptions import IntegrityError
from embrm.persist.ubjson import parse_ubjson


def length(n: int) -> bytes:
    return b"L" + struct.pack(">q", n)


def text(value: str) -> bytes:
    return length(len(value.encode())) + value.encode()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"Z", None),
        (b"T", True),
        (b"F", False),
        (b"i\xff", -1),
        (b"U\xff", 255),
        (b"I" + struct.pack(">h", -300), -300),
        (b"l" + struct.pack(">i", 70000), 70000),
        (b"L" + struct.pack(">q", 2**40), 2**40),
        (b"d" + struct.pack(">f", 0.5), 0.5),
        (b"D" + struct.pack(">d", 0.1), 0.1),
        (b"S" + text("字"), "字"),
        (b"[]", []),
        (b"[Ti\x01]", [True, 1]),
        (b"[#" + length(2) + b"TF", [True, False]),
        (b"{}", {}),
        (b"{" + text("a") + b"[T]" + text("b") + b"Z}", {"a": [True], "b": None}),
    ],
)
def test_values_are_read(data, value):
    """All that XGBoost writes."""
    assert parse_ubjson(data) == value


def test_typed_arrays_are_ndarrays():
    """Big-endian, as they stand."""
    data = b"[$l#" + length(3) + struct.pack(">iii", 1, -2, 3)
    array = parse_ubjson(data)
    np.testing.assert_array_equal(array, [1, -2, 3])
    assert array.dtype == np.dtype(">i4")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "whole values"),
        (b"{", "whole values"),
        (b"[", "whole values"),
        (b"x", "markers of UBJSON; got 'x'"),
        (b"TT", "bytes after its end"),
        (b"S" + length(5) + b"abc", "whole values"),
        (b"S" + length(-1), "lengths >= 0"),
        (b"S" + length(2**62) + b"abc", "whole values"),
        (b"SU\x01a", "lengths of type L"),
        (b"S" + length(1) + b"\xff", "text in UTF-8"),
        (b"[$l#" + length(2**61), "whole values"),
        (b"[$l#" + length(3) + b"\0" * 11, "whole values"),
        (b"[$S#" + length(1) + text("a"), "markers of UBJSON; got 'S'"),
        (b"[$lT", "a count after a type"),
        (b"[#" + length(2**61), "whole values"),
        (b"{" + text("a") + b"T" + text("a") + b"T}", "each key once"),
        (b"[" * 1000 + b"]" * 1000, "nested 16 deep"),
    ],
)
def test_lies_about_lengths_and_types_are_refused(data, message):
    """Nothing is read outside the bytes, nothing is allocated for what is not there."""
    with pytest.raises(IntegrityError, match=message):
        parse_ubjson(data)


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_read_or_refused(data):
    """No other error."""
    try:
        parse_ubjson(data)
    except IntegrityError:
        return
