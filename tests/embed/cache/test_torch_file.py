"""Tensors are found in what torch.save wrote."""

import io
import zipfile

import numpy as np
import pytest
import torch

from embrm.embed.cache.stored_array import UnreadableFileError
from embrm.embed.cache.torch_file import read_torch_file

X = torch.arange(12, dtype=torch.float32).reshape(4, 3) / 7


@pytest.fixture
def saved(tmp_path):
    """Saves a value and finds its tensors."""

    def save(value, **options):
        path = tmp_path / "x.pt"
        torch.save(value, path, **options)
        arrays, is_list = read_torch_file(path)
        whole = np.fromfile(path, np.uint8)
        viewed = {
            name: array.view(whole) for name, array in arrays.items() if array.n_bytes
        }
        return viewed, is_list

    return save


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_tensor_is_found(saved, dtype):
    """Claim: its numbers, bit for bit."""
    arrays, is_list = saved(X.to(dtype))
    np.testing.assert_array_equal(arrays["tensor"], X.to(dtype).numpy())
    assert not is_list


def test_a_bfloat16_tensor_is_found(saved):
    """Claim: as its bits."""
    bits = X.bfloat16().view(torch.int16).numpy().view("u2")
    np.testing.assert_array_equal(saved(X.bfloat16())[0]["tensor"], bits)


def test_tensors_in_a_dict_have_names(saved):
    """Claim: beside values of other kinds, which are left out."""
    arrays, is_list = saved({"x": X, "n": 3, "labels": torch.arange(4), "who": "me"})
    np.testing.assert_array_equal(arrays["x"], X.numpy())
    assert (sorted(arrays), is_list) == (["x"], False)


def test_tensors_in_a_list_have_numbers(saved):
    """Claim: also views that share their storage."""
    arrays, is_list = saved([X, X[1:3], X[3]])
    assert is_list
    for name, expected in {"0": X, "1": X[1:3], "2": X[3]}.items():
        np.testing.assert_array_equal(arrays[name], expected.numpy())


def test_a_list_with_other_values_is_no_list_of_tensors(saved):
    """Claim: its rows are not joined without a word."""
    arrays, is_list = saved((X, "notes"))
    assert (list(arrays), is_list) == (["0"], False)


def test_parameters_and_state_dicts_are_read(saved):
    """Claim: what a model's state holds."""
    layer = torch.nn.Linear(3, 2)
    arrays, _ = saved(layer.state_dict())
    np.testing.assert_array_equal(arrays["weight"], layer.weight.detach().numpy())
    arrays, _ = saved(torch.nn.Parameter(X))
    np.testing.assert_array_equal(arrays["tensor"], X.numpy())


@pytest.mark.parametrize("value", [torch.nn.Linear(2, 2), X.numpy(), 3, "text"])
def test_other_values_are_refused(saved, value):
    """Claim: a model, a numpy array, a number and a text are no tensors."""
    with pytest.raises(UnreadableFileError):
        saved(value)


def test_a_long_list_is_refused(saved, monkeypatch):
    """Claim: memory is bounded."""
    monkeypatch.setattr("embrm.embed.cache.torch_file._MAX_VALUES", 2)
    with pytest.raises(UnreadableFileError, match="no tensor, list or dict"):
        saved([X, X, X])


def rewritten(change, compression=zipfile.ZIP_STORED, value=X):
    """Save a tensor and write its archive again, with members changed."""
    raw = io.BytesIO()
    torch.save(value, raw)
    out = io.BytesIO()
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(out, "w", compression) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return out.getvalue()


def same(name, content):
    return content


@pytest.mark.parametrize(
    ("raw", "got"),
    [
        (rewritten(same, zipfile.ZIP_DEFLATED), "compressed"),
        (rewritten(lambda n, c: None if "pkl" in n else c), "did not write"),
        (rewritten(lambda n, c: None if "data/" in n else c), "without its numbers"),
        (rewritten(lambda n, c: c[:8] if "data/" in n else c), "outside the file"),
        (rewritten(lambda n, c: b"big" if "order" in n else c), "most significant"),
        (rewritten(same)[:-30], "damaged archive"),
        (b"PK\x03\x04", "damaged archive"),
    ],
)
def test_archives_that_are_not_whole_are_refused(tmp_path, raw, got):
    """Claim: compressed, cut, without numbers, too short, of another byte order."""
    (tmp_path / "x.pt").write_bytes(raw)
    with pytest.raises(UnreadableFileError, match=got):
        read_torch_file(tmp_path / "x.pt")


def test_a_huge_program_is_not_read(tmp_path, monkeypatch):
    """Claim: the list of tensors is bounded."""
    monkeypatch.setattr("embrm.embed.cache.torch_file._MAX_PROGRAM_BYTES", 10)
    (tmp_path / "x.pt").write_bytes(rewritten(same))
    with pytest.raises(UnreadableFileError, match="did not write"):
        read_torch_file(tmp_path / "x.pt")


def test_flipped_bits_end_cleanly(tmp_path):
    """Claim: of 400 damaged archives each is read or refused."""
    raw = rewritten(same, value={"a": X, "b": [1, 2]})
    rng, path = np.random.default_rng(0), tmp_path / "x.pt"
    n_refused = 0
    for bit in rng.choice(8 * len(raw), 400, replace=False):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            read_torch_file(path)
        except UnreadableFileError:
            n_refused += 1
    assert n_refused > 40
