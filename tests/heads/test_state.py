"""HeadState nests, joins, and says what it lacks."""

from types import SimpleNamespace

import numpy as np
import pytest

from embrm.exceptions import IntegrityError
from embrm.heads import HeadState, StoredArray, StoredNumbers, StoredPart, StoredValue
from embrm.heads.state import NotStored, collect_state, read_state, restore_state


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


class Part:
    """What has a state of its own."""

    def __init__(self, size):
        self.size = size

    def get_state(self):
        return HeadState(values={"size": self.size})


TABLE = (
    StoredArray("coef_", "d"),
    StoredArray("scale_", "d", default=lambda s: np.ones(len(s.arrays["coef"]))),
    StoredValue("alpha_", float),
    StoredValue("tie_", float, default=lambda _: np.nan),
    StoredValue("names_", list, default=lambda _: np.empty(0), decode=np.array),
    StoredPart("part_", lambda s: Part(s.value("size", int)), flag="has_part"),
    NotStored("start_"),
)


def make(**changes):
    fitted = {
        "coef_": np.arange(3.0),
        "scale_": np.full(3, 2.0),
        "alpha_": 0.5,
        "tie_": 1.5,
        "names_": np.array(["a", "b"]),
        "part_": Part(7),
        "start_": np.zeros(3),
    }
    return SimpleNamespace(**fitted | changes)


def test_a_table_says_what_is_stored_and_how():
    """Arrays as arrays, the rest as JSON, parts under a prefix."""
    state = collect_state(make(), TABLE)
    assert set(state.arrays) == {"coef", "scale"}
    assert dict(state.values) == {
        "alpha": 0.5,
        "tie": 1.5,
        "names": ["a", "b"],
        "has_part": True,
        "part__size": 7,
    }
    again = SimpleNamespace()
    restore_state(again, TABLE, state)
    np.testing.assert_array_equal(again.scale_, np.full(3, 2.0))
    assert (again.alpha_, again.tie_, again.part_.size) == (0.5, 1.5, 7)
    assert again.names_.tolist() == ["a", "b"]
    assert again.start_ is None


def test_what_is_nothing_is_not_stored():
    """NaN is no JSON; a part may be missing."""
    state = collect_state(make(tie_=np.nan, part_=None), TABLE)
    assert "tie" not in state.values
    again = SimpleNamespace()
    restore_state(again, TABLE, state)
    assert np.isnan(again.tie_)
    assert again.part_ is None


def test_older_states_have_defaults():
    """Of what was not stored then; anything else is missed."""
    old = HeadState({"coef": np.ones(2)}, {"alpha": 1.0, "has_part": False})
    again = SimpleNamespace()
    restore_state(again, TABLE, old)
    assert again.scale_.tolist() == [1.0, 1.0]
    assert again.names_.tolist() == []
    with pytest.raises(IntegrityError, match="value 'alpha'"):
        restore_state(again, TABLE, HeadState(old.arrays, {"has_part": False}))


def test_numbers_that_json_lacks_are_stored_in_one_array():
    """Infinity and NaN among them; how many there are is checked."""
    numbers = StoredNumbers(("alpha_", "tie_"))
    state = collect_state(SimpleNamespace(alpha_=np.inf, tie_=np.nan), [numbers])
    again = read_state([numbers], state)
    assert again["alpha_"] == np.inf
    assert np.isnan(again["tie_"])
    with pytest.raises(IntegrityError, match=r"2 numbers in 'numbers'.*got 3"):
        read_state([numbers], HeadState({"numbers": np.zeros(3)}))


def test_an_infinite_value_needs_a_default():
    """A value of None in an older state is one that was not stored."""
    table = [StoredValue("alpha_", float, default=lambda _: np.inf)]
    assert not collect_state(SimpleNamespace(alpha_=np.inf), table).values
    assert read_state(table, HeadState(values={"alpha": None}))["alpha_"] == np.inf


def test_dimensions_of_one_name_have_one_size():
    """Of arrays, of lists, and of what is known beforehand."""
    table = [
        StoredArray("first_", "d rank"),
        StoredArray("second_", "d rank", default=lambda _: None),
        StoredValue("names_", list, shape="rank"),
    ]
    first = HeadState({"first": np.ones((3, 2))}, {"names": ["a", "b"]})
    assert read_state(table, first, d=3)["second_"] is None
    with pytest.raises(IntegrityError, match=r"'first' of size d = 4.*got 3"):
        read_state(table, first, d=4)
    with pytest.raises(IntegrityError, match=r"'second' of size rank = 2.*got 1"):
        read_state(table, first | HeadState({"second": np.ones((3, 1))}))
    with pytest.raises(IntegrityError, match=r"'names' of size rank = 2.*got 3"):
        read_state(table, first | HeadState(values={"names": ["a", "b", "c"]}))
