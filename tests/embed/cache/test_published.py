"""Vectors are found in files that others wrote, and nothing else is."""

import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from embrm.embed.cache import open_published
from embrm.exceptions import EmbrmError, InvalidInputError

X = np.arange(12, dtype="float32").reshape(4, 3) / 7


def everything(published):
    return published.read(0, len(published))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["npy", "safetensors", "pt"])
def test_vectors_are_read_from_each_format(tmp_path, kind, dtype):
    """Claim: shape, dtype and numbers, whatever the file is called."""
    path, vectors = tmp_path / "vectors", X.astype(dtype)
    if kind == "npy":
        np.save(path.with_suffix(".npy"), vectors)
        path = path.with_suffix(".npy").rename(path)
    elif kind == "safetensors":
        save_file({"v": vectors}, path)
    else:
        torch.save(torch.from_numpy(vectors), path)
    found = open_published(path)
    assert (len(found), found.dim, found.dtype) == (4, 3, dtype)
    np.testing.assert_array_equal(everything(found), vectors)


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_bfloat16_is_widened(tmp_path, kind):
    """Claim: to the same numbers in float32."""
    tensor = torch.from_numpy(X).bfloat16()
    save_torch_file({"v": tensor}, tmp_path / "x")
    if kind == "pt":
        torch.save(tensor, tmp_path / "x")
    found = open_published(tmp_path / "x")
    assert found.dtype == "bfloat16"
    np.testing.assert_array_equal(everything(found), tensor.float().numpy())


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.data())
def test_rows_are_those_of_all_parts_in_order(tmp_path, counts, data):
    """Claim: any slice of a list of tensors is that of their concatenation."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 2)).astype("f4") for n in counts]
    torch.save([torch.from_numpy(part) for part in parts], tmp_path / "x.pt")
    found, whole = open_published(tmp_path / "x.pt"), np.concatenate(parts)
    assert len(found) == len(whole)
    if len(whole):
        start = data.draw(st.integers(0, len(whole) - 1))
        stop = data.draw(st.integers(start + 1, len(whole)))
        np.testing.assert_array_equal(found.read(start, stop), whole[start:stop])


def test_leading_axes_are_rows(tmp_path):
    """Claim: prompts x responses x d is read response by response."""
    cube = np.arange(24, dtype="f4").reshape(2, 4, 3)
    np.save(tmp_path / "x.npy", cube)
    found = open_published(tmp_path / "x.npy")
    np.testing.assert_array_equal(everything(found), cube.reshape(8, 3))


def test_single_vectors_in_a_list_are_rows(tmp_path):
    """Claim: one tensor for each item."""
    torch.save(list(torch.from_numpy(X)), tmp_path / "x.pt")
    np.testing.assert_array_equal(everything(open_published(tmp_path / "x.pt")), X)


def test_an_array_is_chosen_by_name(tmp_path):
    """Claim: where there are several."""
    save_file({"a": X, "b": X + 1}, tmp_path / "x")
    found = open_published(tmp_path / "x", tensor="b")
    np.testing.assert_array_equal(everything(found), X + 1)


def test_labels_beside_the_vectors_do_not_matter(tmp_path):
    """Claim: only arrays of floating-point numbers are candidates."""
    save_file({"labels": np.arange(4), "v": X}, tmp_path / "x")
    assert len(open_published(tmp_path / "x")) == 4


@pytest.mark.parametrize("tensor", [None, "c"])
def test_it_must_be_clear_which_array_is_meant(tmp_path, tensor):
    """Claim: the error lists names and shapes."""
    save_file({"a": X, "b": X}, tmp_path / "x")
    with pytest.raises(InvalidInputError, match=r"2 of them \('a' \(4, 3\), 'b'"):
        open_published(tmp_path / "x", tensor=tensor)


def test_a_file_without_vectors_is_refused(tmp_path):
    """Claim: the fix says what shape is needed."""
    np.save(tmp_path / "x.npy", np.arange(3))
    with pytest.raises(InvalidInputError, match=r"got 0 of them.*shape \(n, d\)"):
        open_published(tmp_path / "x.npy")


def test_a_list_of_unlike_tensors_is_not_joined(tmp_path):
    """Claim: widths must agree."""
    torch.save([torch.ones(2, 3), torch.ones(2, 4)], tmp_path / "x.pt")
    with pytest.raises(InvalidInputError, match="got 2 of them"):
        open_published(tmp_path / "x.pt")


class Runs:
    """Calls something when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit",)


def objects(path):
    np.save(path, np.array([Runs()], dtype=object), allow_pickle=True)


def fortran(path):
    np.save(path, np.asfortranarray(X))


def cut(path):
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:-1])


def header(path, text):
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(100))


BAD = {
    "an array of objects": objects,
    "an array in Fortran order": fortran,
    "a cut array": cut,
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Runs())),
    "an old torch file": lambda path: torch.save(
        torch.ones(2), path, _use_new_zipfile_serialization=False
    ),
    "a torch file that runs something": lambda path: torch.save([Runs()], path),
    "an empty file": lambda path: path.write_bytes(b""),
    "a few bytes": lambda path: path.write_bytes(b"abc"),
    "a bad npy header": lambda path: path.write_bytes(
        b"\x93NUMPY\x01\x00\x10\x00" + b"__import__('os')"
    ),
    "text": lambda path: path.write_text("prompt,response\n" * 10),
    "no JSON": lambda path: header(path, b"{x}"),
    "deep JSON": lambda path: header(path, b"[" * 9000),
    "a list": lambda path: header(path, b"[]"),
    "an entry that is none": lambda path: header(path, b'{"a": 1}'),
    "an array outside": lambda path: header(
        path,
        json.dumps(
            {"a": {"dtype": "F32", "shape": [99], "data_offsets": [0, 396]}}
        ).encode(),
    ),
    "an array before": lambda path: header(
        path,
        json.dumps(
            {"a": {"dtype": "F32", "shape": [1], "data_offsets": [-9, 4]}}
        ).encode(),
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_other_files_are_refused_and_nothing_is_run(tmp_path, what):
    """Claim: one error, which says how to save vectors instead."""
    path = tmp_path / "x.npy"
    BAD[what](path)
    with pytest.raises(InvalidInputError, match=r"\.npy, .*Fix: save the array"):
        open_published(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """Claim: the error of the system, with the path."""
    with pytest.raises(
        EmbrmError, match=r"read vectors from .*nowhere\.npy; got .*ENO"
    ):
        open_published(tmp_path / "nowhere.npy")
