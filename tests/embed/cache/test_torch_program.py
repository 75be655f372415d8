"""The program in a torch file is read and never run."""

import pickle
import pickletools
from collections import OrderedDict
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed.cache.stored_array import UnreadableFileError
from embrm.embed.cache.torch_program import Storage, Tensor, follow

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(PLAIN, st.integers(2, 5))
def test_plain_values_come_out_as_python_makes_them(value, protocol):
    """Claim: on lists, dicts, tuples and scalars it agrees with the unpickler."""
    assert follow(pickle.dumps(value, protocol)) == value


def test_an_ordered_dict_is_a_dict():
    """Claim: as state dicts are written, with what is attached left out."""
    value = OrderedDict(a=1)
    value._metadata = {"version": 1}
    assert follow(pickle.dumps(value, 2)) == {"a": 1}


class Runs:
    """Calls something when it is unpickled."""

    def __init__(self, what, *arguments):
        self.what, self.arguments = what, arguments

    def __reduce__(self):
        return self.what, self.arguments


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        Runs(eval, "1/0"),
        Runs(exec, "raise SystemExit"),
        Runs(__import__("os").system, "exit 1"),
        Runs(getattr, "", "join"),
        [Runs(print, "x")],
        {"a": Runs(__import__, "this")},
        Exception("x"),
        {1, 2},
        b"bytes",
        1j,
    ],
)
def test_anything_else_is_refused_and_not_run(value, protocol, capfd):
    """Claim: no name is looked up, nothing is called, nothing is printed."""
    with pytest.raises(UnreadableFileError):
        follow(pickle.dumps(value, protocol))
    assert capfd.readouterr() == ("", "")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_programs_end_cleanly(data):
    """Claim: whatever bytes are changed, there is a value or one kind of error."""
    raw = bytearray(pickle.dumps({"a": [1, 2.5, ("x", None)], "b": True}, 2))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    with suppress(UnreadableFileError):
        follow(bytes(raw))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(pickletools.opcodes), max_size=12))
def test_any_instructions_end_cleanly(instructions):
    """Claim: also in an order that makes no sense."""
    raw = b"".join(one.code.encode("latin-1") + b"\x01" for one in instructions)
    with suppress(UnreadableFileError):
        follow(raw)


def tensor(
    *, start="K\x00", shape="K\x02K\x03\x86", stride="K\x03K\x01\x86", of="Float"
):
    """Write the program of one tensor."""
    text = (
        "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
        f"ctorch\n{of}Storage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
        f"{start}{shape}{stride}\x89ccollections\nOrderedDict\n)RtR."
    )
    return text.encode("latin-1")


def test_a_tensor_is_described():
    """Claim: its storage, where it starts and its shape."""
    made = follow(tensor(start="K\x04"))
    assert made == Tensor(Storage("float32", "0"), 4, (2, 3))


def test_a_tensor_of_labels_is_described_without_its_dtype():
    """Claim: it may stand beside vectors."""
    assert follow(tensor(of="Long")).storage.dtype == "other"


@pytest.mark.parametrize(
    "change",
    [
        {"start": "J\xff\xff\xff\xff"},
        {"start": "\x88"},
        {"start": "X\x01\x00\x00\x001"},
        {"shape": "K\x02\x85"},
        {"shape": "K\x02N\x86"},
        {"shape": "(" + "K\x02" * 9 + "t", "stride": "(" + "K\x01" * 9 + "t"},
        {"shape": "\x8a\x09" + "\xff" * 8 + "\x00K\x01\x86"},
        {"of": "Quantized"},
    ],
)
def test_a_tensor_that_makes_no_sense_is_refused(change):
    """Claim: negative, boolean, missing, too many or too large numbers."""
    with pytest.raises(UnreadableFileError):
        follow(tensor(**change))


def test_a_transposed_tensor_is_refused():
    """Claim: the error says what to call."""
    with pytest.raises(UnreadableFileError, match=r"call \.contiguous\(\) first"):
        follow(tensor(stride="K\x01K\x02\x86"))


@pytest.mark.parametrize("raw", [b"", b"\x80\x02", b"\x80\x02NN.", b"\x80\x02."])
def test_a_program_that_does_not_end_in_one_value_is_refused(raw):
    """Claim: cut programs are told from whole ones."""
    with pytest.raises(UnreadableFileError):
        follow(raw)
