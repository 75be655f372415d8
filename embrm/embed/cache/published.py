"""Vectors that others published: mapped from a file, without running it.

The format is detected from the first bytes, not the name: `.npy` without objects,
safetensors, or what `torch.save` writes. Each has one entry in `_READERS`.
"""

import json
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm._typing import FloatArray
from embrm.embed.cache.durable import storage_errors
from embrm.exceptions import MissingDependencyError, invalid_input

# numpy has no bfloat16: its numbers are mapped as the bits that they are.
_ITEM_DTYPES = {
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
    "bfloat16": "<u2",
}
_SAFETENSORS_DTYPES = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
}
_MAX_HEADER_BYTES = 100_000_000  # what safetensors itself allows
_MAX_PROGRAM_BYTES = 64_000_000
_FIRST_SAFE_TORCH = (2, 6)


class _UnreadableFileError(ValueError):
    """A file is of no supported format; the message says what it holds."""


@dataclass(frozen=True, eq=False)
class _Array:
    """An array in a file: its dtype by name, and its numbers, mapped and in C order."""

    dtype: str
    numbers: NDArray[Any]

    @property
    def holds_vectors(self) -> bool:
        """Whether it is of floating-point numbers and of shape (..., d), d > 0."""
        shape = self.numbers.shape
        return self.dtype in _ITEM_DTYPES and len(shape) >= 1 and shape[-1] > 0


_Found: TypeAlias = tuple[Mapping[str, _Array], bool]


@dataclass(frozen=True, eq=False)
class PublishedVectors:
    """The rows of one or more arrays in a file, in order.

    Parameters
    ----------
    path : Path
    dtype : str
        Dtype of the numbers in the file: float16, float32, float64 or bfloat16.
    parts : sequence of ndarray
        Each of shape (..., d) in C order, of the file's numbers (bfloat16 as uint16,
        its bits): leading axes are rows, the last of them fastest.
    """

    path: Path
    dtype: str
    parts: Sequence[NDArray[Any]]

    @property
    def dim(self) -> int:
        """Length d of the vectors."""
        return int(self.parts[0].shape[-1])

    @cached_property
    def _starts(self) -> list[int]:
        counts = [math.prod(part.shape[:-1]) for part in self.parts]
        return [0, *np.cumsum(counts).tolist()]

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, start: int, stop: int) -> FloatArray:
        """Copy rows, shape (stop - start, d); bfloat16 comes as float32."""
        out = []
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for at in range(first, len(self.parts)):
            begins, ends = self._starts[at], self._starts[at + 1]
            if begins >= stop:
                break
            rows = self.parts[at].reshape(-1, self.dim)
            out.append(rows[max(start, begins) - begins : min(stop, ends) - begins])
        return _as_floats(np.concatenate(out), self.dtype)


def open_published(
    path: str | os.PathLike[str], *, tensor: str | None = None
) -> PublishedVectors:
    """Find the vectors in a file written by another program.

    Nothing in the file is run. A `.pt` file is read by `torch.load(weights_only=True)`
    of torch >= 2.6, which knows tensors, lists, dicts and numbers and nothing else.

    Parameters
    ----------
    path : str or path
        `.npy`, `.safetensors` or `.pt`, detected from its first bytes.
    tensor : str, optional
        Name of the array, or its number in a list. Needed where there are several;
        a `.pt` file that is one list of tensors is read as their rows in order.

    Returns
    -------
    PublishedVectors

    Raises
    ------
    InvalidInputError
        If the file holds something else, or it is not clear which array is meant.
    MissingDependencyError
        For `.pt`, without torch >= 2.6 (the extra `torch`).
    EmbrmError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory) / "vectors.npy"
    ...     np.save(path, np.ones((3, 2), "float32"))
    ...     found = open_published(path)
    ...     len(found), found.dim, found.dtype
    (3, 2, 'float32')
    """
    path = Path(path)
    try:
        with storage_errors("read vectors from", path):
            arrays, is_list = _find_arrays(path)
    except _UnreadableFileError as error:
        raise invalid_input(
            expected="vectors as .npy, .safetensors or .pt with plain tensors",
            got=f"{error} in {path}",
            fix="save the array with numpy.save(file, array, allow_pickle=False) "
            "or safetensors.numpy.save_file, in the program that made it",
        ) from error
    vectors = {name: one for name, one in arrays.items() if one.holds_vectors}
    if is_list and tensor is None and _same_width(vectors, len(arrays)):
        return _published(path, list(vectors.values()))
    chosen = [name for name in vectors if tensor in (None, name)]
    if len(chosen) != 1:
        raise invalid_input(
            expected="one array of floating-point vectors"
            if tensor is None
            else f"an array of floating-point vectors named {tensor[:40]!r}",
            got=f"{_listed(vectors)} in {path}",
            fix="name one of these"
            if vectors
            else "save the vectors as an array of shape (n, d)",
        )
    return _published(path, [vectors[chosen[0]]])


def _published(path: Path, arrays: Sequence[_Array]) -> PublishedVectors:
    return PublishedVectors(path, arrays[0].dtype, [one.numbers for one in arrays])


def _find_arrays(path: Path) -> _Found:
    """Find the arrays in a file, by name, and whether they are one list."""
    with path.open("rb") as file:
        start = file.read(8)
    for magic, read in _READERS.items():
        if start.startswith(magic):
            return read(path)
    return _read_safetensors(path)


def _read_npy(path: Path) -> _Found:
    """Map an .npy file; numpy refuses arrays of objects."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers written by Python 2
            array = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    # numpy reads the header as a Python literal: its parser may raise anything.
    except Exception as error:
        raise _UnreadableFileError("no plain array") from error
    if not array.flags.c_contiguous:
        raise _UnreadableFileError("an array in Fortran order")
    names = {"<f2": "float16", "<f4": "float32", "<f8": "float64"}
    return {"array": _Array(names.get(array.dtype.str, "other"), array)}, False


def _read_safetensors(path: Path) -> _Found:
    """Map the arrays that the header of a safetensors file lists."""
    size = path.stat().st_size
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        if not 2 <= n_header <= min(size - 8, _MAX_HEADER_BYTES):
            raise _UnreadableFileError("a format that is none of the three")
        text = file.read(n_header)
    data = np.memmap(path, dtype=np.uint8, mode="r")[8 + n_header :]
    try:
        header = json.loads(text)
        entries = {n: e for n, e in header.items() if n != "__metadata__"}
        return {n: _safetensors_array(e, data) for n, e in entries.items()}, False
    except _UnreadableFileError:
        raise
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise _UnreadableFileError("no safetensors header") from error


def _safetensors_array(entry: Mapping[str, Any], data: NDArray[np.uint8]) -> _Array:
    begin, _ = map(int, entry["data_offsets"])
    shape = tuple(map(int, entry["shape"]))
    dtype = _SAFETENSORS_DTYPES.get(entry["dtype"], "other")
    if dtype == "other":
        return _Array(dtype, np.empty(0))
    n_bytes = math.prod(shape) * np.dtype(_ITEM_DTYPES[dtype]).itemsize
    if min(shape, default=0) < 0 or begin < 0 or begin + n_bytes > len(data):
        raise _UnreadableFileError("an array outside the file")
    raw = data[begin : begin + n_bytes]
    return _Array(dtype, raw.view(_ITEM_DTYPES[dtype]).reshape(shape))


def _read_torch(path: Path) -> _Found:
    """Map the tensors in a file of `torch.save`.

    They are named as in a dict, or numbered as in a list; a file that is one tensor
    has the name `"tensor"`. Other values are left out.
    """
    sizes = _member_sizes(path)
    value = _load_tensors(path)
    if _is_tensor(value):
        return {"tensor": _tensor_array(value, sizes)}, False
    if not isinstance(value, dict | list | tuple):
        raise _UnreadableFileError("a value that is no tensor, list or dict")
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    arrays = {str(n): _tensor_array(one, sizes) for n, one in pairs if _is_tensor(one)}
    return arrays, len(arrays) == len(value) and not isinstance(value, dict)


def _member_sizes(path: Path) -> frozenset[int]:
    """List the sizes of the storages in an archive, which must lie in it as they are.

    torch maps them where they start, and checks neither their lengths nor that they
    are not compressed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            orders = [archive.read(one) for one in _ending(members, "/byteorder")]
    except OSError:
        raise
    # zipfile raises many errors for bytes that make no sense.
    except Exception as error:
        raise _UnreadableFileError("a damaged archive") from error
    programs = _ending(members, "/data.pkl")
    if len(programs) != 1 or programs[0].file_size > _MAX_PROGRAM_BYTES:
        raise _UnreadableFileError("an archive that torch.save did not write")
    if any(one.compress_type != zipfile.ZIP_STORED for one in members):
        raise _UnreadableFileError("a compressed archive")
    if orders not in ([], [b"little"]):
        raise _UnreadableFileError("numbers with the most significant byte first")
    return frozenset(one.file_size for one in members if "/data/" in one.filename)


def _ending(members: Sequence[zipfile.ZipInfo], end: str) -> list[zipfile.ZipInfo]:
    return [one for one in members if one.filename.endswith(end)]


def _load_tensors(path: Path) -> Any:
    """Let torch read an archive, with its unpickler that calls nothing."""
    import_optional("torch", extra="torch")
    import torch

    if torch.__version__ < _FIRST_SAFE_TORCH:
        raise MissingDependencyError.of(
            expected="torch >= 2.6 to read a .pt file without running it",
            got=f"torch {torch.__version__}",
            fix="pip install 'torch>=2.6'",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickle protocols
            # The one exception to the ban: weights_only makes it build tensors, lists
            # and dicts and call nothing else (safe from torch 2.6 on).
            return torch.load(  # noqa: TID251
                path, map_location="cpu", weights_only=True, mmap=True
            )
    # Its unpickler raises many errors for bytes that make no sense.
    except Exception as error:
        raise _UnreadableFileError(
            "more than plain tensors, or damaged ones: torch.load(weights_only=True) "
            f"refuses it ({type(error).__name__})"
        ) from error


def _is_tensor(value: Any) -> bool:
    import torch

    plain = type(value) in (torch.Tensor, torch.nn.Parameter)
    return plain and value.layout == torch.strided and value.device.type == "cpu"


def _tensor_array(tensor: Any, sizes: frozenset[int]) -> _Array:
    """View the numbers of a tensor that torch mapped, if they are whole."""
    import torch

    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in _ITEM_DTYPES:
        return _Array("other", np.empty(0))
    if tensor.untyped_storage().nbytes() not in sizes or tensor.is_neg():
        raise _UnreadableFileError("a tensor whose numbers lie outside the file")
    if not tensor.is_contiguous():
        raise _UnreadableFileError("a transposed tensor (call .contiguous() first)")
    bits = tensor.detach()
    numbers = (bits.view(torch.int16) if dtype == "bfloat16" else bits).numpy()
    numbers.flags.writeable = False
    return _Array(dtype, numbers.view(_ITEM_DTYPES[dtype]))


# Safetensors files begin with a length; any other beginning is taken for one.
_READERS: dict[bytes, Callable[[Path], _Found]] = {
    b"\x93NUMPY": _read_npy,
    b"PK\x03\x04": _read_torch,
}


def _same_width(vectors: Mapping[str, _Array], n: int) -> bool:
    """Say whether n arrays all hold vectors of one width and dtype."""
    kinds = {(one.numbers.shape[-1], one.dtype) for one in vectors.values()}
    return len(kinds) == 1 and len(vectors) == n


def _listed(vectors: Mapping[str, _Array]) -> str:
    """Name a few of the arrays."""
    some = [
        f"{name[:30]!r} {one.numbers.shape}" for name, one in list(vectors.items())[:8]
    ]
    return f"{len(vectors)} of them" + (f" ({', '.join(some)})" if some else "")


def _as_floats(rows: Any, dtype: str) -> FloatArray:
    """Widen bfloat16, which numpy does not know, to float32."""
    if dtype != "bfloat16":
        return np.asarray(rows)
    return np.asarray((rows.astype(np.uint32) << 16).view(np.float32))
