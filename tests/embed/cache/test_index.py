"""The index finds exactly the keys it holds, and the first row of each."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed.cache.index import KeyIndex, check_keys
from embrm.exceptions import InvalidInputError

# Few different halves, so that keys often share their first eight bytes or are equal.
half = st.sampled_from([b"\x00" * 8, b"a" * 8, b"\xff" * 8])
keys = st.lists(st.builds(bytes.__add__, half, half), max_size=12).map(
    lambda values: np.frombuffer(b"".join(values) or b"", "V16")
)


@settings(max_examples=200, deadline=None)
@given(keys, keys)
def test_the_index_agrees_with_a_dictionary(held, asked):
    """Claim: find returns the first row of each key, -1 for keys that are not held."""
    first: dict[bytes, int] = {}
    for row, key in enumerate(held):
        first.setdefault(bytes(key), row)
    index = KeyIndex(held)
    assert index.find(asked).tolist() == [first.get(bytes(key), -1) for key in asked]
    assert index.rows.tolist() == sorted(first.values())
    assert len(index) == len(first)


def test_a_million_keys_are_checked_in_two_seconds():
    """Claim: indexing and looking up a million keys takes less than 2 CPU seconds."""
    held = np.frombuffer(np.random.default_rng(0).bytes(16_000_000), "V16")
    started = time.process_time()
    found = KeyIndex(held).find(held)
    assert time.process_time() - started < 2
    assert (found == np.arange(len(held))).all()


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        ([b"a" * 16], "list"),
        (np.zeros((2, 16), np.uint8), r"shape \(2, 16\), dtype uint8"),
        (np.zeros((2, 2), "V16"), r"shape \(2, 2\), dtype \|V16"),
        (np.zeros(2, "V8"), r"dtype \|V8"),
    ],
)
def test_what_are_no_keys_is_refused(wrong, got):
    """Claim: only one-dimensional V16 arrays are keys."""
    with pytest.raises(InvalidInputError, match=f"dtype V16; got .*{got}.*item_keys"):
        check_keys(wrong)
