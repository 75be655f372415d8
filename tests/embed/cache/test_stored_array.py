"""A stored array knows its bytes."""

import numpy as np
import pytest

from embrm.embed.cache.stored_array import (
    StoredArray,
    UnreadableFileError,
    as_dtype_name,
)


def test_an_array_is_viewed_in_the_bytes_of_its_file():
    """Claim: at its offset, in its shape and dtype, without a copy."""
    numbers = np.arange(6, dtype="<f4")
    whole = np.frombuffer(b"xyz" + numbers.tobytes() + b"end", np.uint8)
    view = StoredArray(3, (2, 3), "float32").view(whole)
    np.testing.assert_array_equal(view, numbers.reshape(2, 3))
    assert np.shares_memory(view, whole)


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("float16", (5, 2), True),
        ("bfloat16", (2,), True),
        ("float64", (), False),
        ("float32", (4, 0), False),
        ("other", (5, 2), False),
    ],
)
def test_only_floating_point_arrays_with_a_width_hold_vectors(dtype, shape, expected):
    """Claim: labels, scalars and empty vectors do not."""
    assert StoredArray(0, shape, dtype).holds_vectors is expected


def test_other_dtypes_have_no_size():
    """Claim: they are not read, so it is not known."""
    assert StoredArray(0, (3,), "other").n_bytes == 0


@pytest.mark.parametrize("array", [(7, (1,)), (8, (2,)), (8, (-1, 2)), (8, (2**70,))])
def test_an_array_must_lie_within_its_file(array):
    """Claim: neither before nor behind, nor of negative length."""
    with pytest.raises(UnreadableFileError, match="outside the file"):
        StoredArray(*array, "float32").check_bounds(8, 15)


def test_dtypes_are_named():
    """Claim: those that can be read; the rest is other."""
    names = [as_dtype_name(dtype) for dtype in ("<f2", "<f4", "<f8", ">f4", "i8")]
    assert names == ["float16", "float32", "float64", "other", "other"]
