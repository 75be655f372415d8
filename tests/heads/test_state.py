"""HeadState nests, joins, and says what it lacks."""

import numpy as np
import pytest

from embrm.exceptions import IntegrityError
from embrm.heads.state import HeadState


@pytest.fixture
def state():
    return HeadState({"coef": np.ones(2)}, {"alpha": 1.0}, {"model": b"tree"})


def test_a_prefix_can_be_taken_off_again(state):
    """without_prefix undoes with_prefix, and leaves the rest out."""
    joined = state.with_prefix("inner__") | HeadState({}, {"other": 1}, {})
    nested = joined.without_prefix("inner__")
    assert dict(nested.values) == {"alpha": 1.0}
    assert dict(nested.blobs) == {"model": b"tree"}
    np.testing.assert_array_equal(nested.arrays["coef"], np.ones(2))


def test_joining_keeps_both_sides(state):
    """| is the union."""
    joined = state | HeadState({"mean": np.zeros(2)}, {"n": 3}, {"more": b""})
    assert set(joined.arrays) == {"coef", "mean"}
    assert dict(joined.values) == {"alpha": 1.0, "n": 3}
    assert set(joined.blobs) == {"model", "more"}


def test_what_is_there_is_returned(state):
    """The accessors return what the mappings hold."""
    assert state.array("coef", ndim=1) is state.arrays["coef"]
    assert state.value("alpha", float) == 1.0
    assert state.blob("model") == b"tree"


def test_a_missing_array_is_an_integrity_error(state):
    """Damaged states fail with a message, not with KeyError."""
    with pytest.raises(IntegrityError, match=r"array 'bias' with 1 dim.*got none"):
        state.array("bias", ndim=1)


def test_an_array_of_another_shape_is_an_integrity_error(state):
    """The number of dimensions is checked."""
    with pytest.raises(IntegrityError, match=r"2 dimensions.*got shape \(2,\)"):
        state.array("coef", ndim=2)


@pytest.mark.parametrize(("name", "got"), [("beta", "none"), ("alpha", "float")])
def test_a_missing_or_mistyped_value_is_an_integrity_error(state, name, got):
    """Values are checked for their type."""
    with pytest.raises(IntegrityError, match=f"'{name}' of type int.*got {got}"):
        state.value(name, int)


def test_a_missing_blob_is_an_integrity_error(state):
    """A native model file may be missing too."""
    with pytest.raises(IntegrityError, match="model file 'booster'"):
        state.blob("booster")
