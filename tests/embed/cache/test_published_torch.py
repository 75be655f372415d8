"""Tensors are found in what torch.save wrote, and nothing in it is run."""

import io
import pickle
import zipfile
from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embrm.embed.cache import open_published
from embrm.exceptions import InvalidInputError, MissingDependencyError

X = torch.arange(12, dtype=torch.float32).reshape(4, 3) / 7
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@pytest.fixture
def found(tmp_path):
    """Saves a value and opens the vectors in it."""

    def save(value, tensor=None):
        torch.save(value, tmp_path / "x.pt")
        return everything(open_published(tmp_path / "x.pt", tensor=tensor))

    return save


def everything(published):
    return published.read(0, len(published))


def archive(program=None, *, value=X, change=None, compression=zipfile.ZIP_STORED):
    """Save a value and write its archive again: another program, changed members."""
    raw, out = io.BytesIO(), io.BytesIO()
    torch.save(value, raw)
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(out, "w", compression) as new:
        for name in old.namelist():
            content = old.read(name)
            if program is not None and name.endswith("data.pkl"):
                content = program
            content = content if change is None else change(name, content)
            if content is not None:
                new.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def opened(tmp_path):
    """Opens the vectors in the bytes of a file."""

    def read(raw, tensor=None):
        (tmp_path / "x.pt").write_bytes(raw)
        return everything(open_published(tmp_path / "x.pt", tensor=tensor))

    return read


def test_tensors_in_a_dict_have_names(found):
    """Claim: beside values of other kinds, which are left out."""
    value = {"x": X, "n": 3, "labels": torch.arange(4), "who": "me"}
    np.testing.assert_array_equal(found(value), X.numpy())
    np.testing.assert_array_equal(found(value, "x"), X.numpy())


def test_tensors_in_a_list_have_numbers(found):
    """Claim: also views that share their storage."""
    value = [X, X[1:3], X[3]]
    np.testing.assert_array_equal(found(value), torch.cat([X, X[1:3], X[3:]]).numpy())
    np.testing.assert_array_equal(found(value, "1"), X[1:3].numpy())


def test_a_list_with_other_values_is_no_list_of_tensors(found):
    """Claim: its rows are not joined without a word."""
    with pytest.raises(InvalidInputError, match="got 2 of them"):
        found((X, X, "notes"))


def test_parameters_and_state_dicts_are_read(found):
    """Claim: what a model's state holds."""
    layer = torch.nn.Linear(3, 2)
    weight = layer.weight.detach().numpy()
    np.testing.assert_array_equal(found(layer.state_dict(), "weight"), weight)
    np.testing.assert_array_equal(found(torch.nn.Parameter(X)), X.numpy())


def test_an_ordered_dict_is_a_dict(found):
    """Claim: as state dicts are written, with what is attached left out."""
    value = OrderedDict(a=X)
    value._metadata = {"version": 1}
    np.testing.assert_array_equal(found(value), X.numpy())


def test_the_file_is_mapped_and_cannot_be_written_to(tmp_path):
    """Claim: numbers are not copied before they are read, nor changed."""
    torch.save(X, tmp_path / "x.pt")
    (part,) = open_published(tmp_path / "x.pt").parts
    assert not part.flags.writeable
    assert not part.flags.owndata


def test_a_transposed_tensor_is_refused(found):
    """Claim: the error says what to call."""
    with pytest.raises(InvalidInputError, match=r"call \.contiguous\(\) first"):
        found(X.T)


@pytest.mark.parametrize("value", [torch.nn.Linear(2, 2), X.numpy()])
def test_values_that_torch_refuses_are_refused(found, value):
    """Claim: a model and a numpy array; the error says which reader said no."""
    with pytest.raises(InvalidInputError, match=r"got .*weights_only"):
        found(value)


@pytest.mark.parametrize("value", [3, "text", None, {1, 2}, 1j])
def test_plain_values_are_no_vectors(found, value):
    """Claim: a number, a text and a set are no tensors."""
    with pytest.raises(InvalidInputError, match="no tensor, list or dict"):
        found(value)


@pytest.mark.parametrize("value", [torch.eye(3).to_sparse(), X.to("meta"), X[0, 0]])
def test_tensors_without_rows_are_no_vectors(found, value):
    """Claim: sparse tensors, tensors without numbers and scalars."""
    with pytest.raises(InvalidInputError, match=r"0 of them|no tensor"):
        found(value)


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
        [Runs(open, "x")],
        {"a": Runs(__import__, "this")},
        Exception("x"),
    ],
)
def test_a_program_that_would_run_code_is_refused_and_not_run(
    opened, value, protocol, capfd
):
    """Claim: nothing is called, nothing is printed."""
    with pytest.raises(InvalidInputError, match=r"weights_only=True\) refuses it"):
        opened(archive(pickle.dumps(value, protocol)))
    assert capfd.readouterr() == ("", "")


def test_a_program_that_would_write_a_file_writes_none(opened, tmp_path):
    """Claim: the attack works on an unpickler, and not on this reader."""
    mark = tmp_path / "mark"
    program = pickle.dumps(Runs(mark.write_text, "run"), 2)
    with pytest.raises(InvalidInputError, match="refuses it"):
        opened(archive(program))
    assert not mark.exists()
    pickle.loads(program)
    assert mark.exists()


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(PLAIN, st.integers(2, 5), st.data())
def test_damaged_programs_end_cleanly(opened, value, protocol, data):
    """Claim: whatever bytes are changed, there are vectors or one kind of error."""
    raw = bytearray(pickle.dumps({"a": [1, 2.5, ("x", None)], "b": value}, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    with suppress(InvalidInputError):
        opened(archive(bytes(raw)))


def program(
    *,
    start="K\x00",
    shape="K\x02K\x03\x86",
    stride="K\x03K\x01\x86",
    of="Float",
    place="cpu",
):
    """Write the program of one tensor, of the first six numbers of X."""
    text = (
        "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
        f"ctorch\n{of}Storage\nX\x01\x00\x00\x000X{chr(len(place))}\x00\x00\x00{place}K\x0ctQ"
        f"{start}{shape}{stride}\x89ccollections\nOrderedDict\n)RtR."
    )
    return text.encode("latin-1")


def test_a_tensor_is_where_its_program_says(opened):
    """Claim: its storage, where it starts and its shape."""
    rows = opened(archive(program(start="K\x04")))
    np.testing.assert_array_equal(rows, X.ravel()[4:10].reshape(2, 3).numpy())


def test_a_tensor_of_a_gpu_is_read_without_one(opened):
    """Claim: embeddings are mostly saved where they were computed."""
    rows = opened(archive(program(place="cuda:0")))
    np.testing.assert_array_equal(rows, X.ravel()[:6].reshape(2, 3).numpy())


@pytest.mark.parametrize(
    "change",
    [
        {"start": "J\xff\xff\xff\xff"},
        {"start": "K\x07"},
        {"start": "X\x01\x00\x00\x001"},
        {"shape": "K\x02\x85"},
        {"shape": "K\x02N\x86"},
        {"shape": "\x8a\x09" + "\xff" * 8 + "\x00K\x01\x86"},
        {"shape": "J\xff\xff\xff\x7fK\x03\x86"},
        {"stride": "K\x00K\x01\x86"},
        {"of": "Double"},
        {"of": "Quantized"},
    ],
)
def test_a_tensor_that_makes_no_sense_is_refused(opened, change):
    """Claim: negative, missing or too large numbers, and rows that are one row."""
    with pytest.raises(InvalidInputError, match="Fix: save the array"):
        opened(archive(program(**change)))


@pytest.mark.parametrize(
    ("raw", "got"),
    [
        (archive(compression=zipfile.ZIP_DEFLATED), "compressed"),
        (archive(change=lambda n, c: None if "pkl" in n else c), "did not write"),
        (archive(change=lambda n, c: None if "data/" in n else c), "refuses it"),
        (archive(change=lambda n, c: c[:8] if "data/" in n else c), "outside the file"),
        (
            archive(change=lambda n, c: b"big" if "order" in n else c),
            "most significant",
        ),
        (archive()[:-30], "damaged archive"),
        (b"PK\x03\x04", "damaged archive"),
    ],
)
def test_archives_that_are_not_whole_are_refused(opened, raw, got):
    """Claim: compressed, cut, without numbers, too short, of another byte order."""
    with pytest.raises(InvalidInputError, match=got):
        opened(raw)


def test_a_huge_program_is_not_read(opened, monkeypatch):
    """Claim: the list of tensors is bounded."""
    monkeypatch.setattr("embrm.embed.cache.published._MAX_PROGRAM_BYTES", 10)
    with pytest.raises(InvalidInputError, match="did not write"):
        opened(archive())


def test_a_model_with_its_program_is_refused(tmp_path):
    """Claim: TorchScript archives hold code."""
    raw = archive(change=lambda n, c: c)
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as file:
        file.writestr("archive/constants.pkl", pickle.dumps(()))
        with zipfile.ZipFile(io.BytesIO(raw)) as old:
            for name in old.namelist():
                file.writestr(name, old.read(name))
    with pytest.raises(InvalidInputError, match="refuses it"):
        open_published(tmp_path / "x.pt")


def test_flipped_bits_end_cleanly(opened):
    """Claim: of 400 damaged archives each is read or refused."""
    raw = archive(value={"a": X, "b": [1, 2]})
    rng, n_refused = np.random.default_rng(0), 0
    for bit in rng.choice(8 * len(raw), 400, replace=False):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            opened(damaged)
        except InvalidInputError:
            n_refused += 1
    assert n_refused > 40


def test_an_old_torch_is_not_trusted(opened, monkeypatch):
    """Claim: before 2.6 weights_only could be made to run code."""
    monkeypatch.setattr("torch.__version__", torch.torch_version.TorchVersion("2.5.1"))
    with pytest.raises(MissingDependencyError, match=r"torch >= 2\.6 .*got torch 2\.5"):
        opened(archive())


def test_without_torch_the_extra_is_named(opened, monkeypatch):
    """Claim: a .pt file needs torch, and the error says how to get it."""
    raw = archive()
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"'torch>=2\.6' .*embrm\[torch\]"):
        opened(raw)
