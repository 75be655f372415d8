"""Vectors that others published: where they lie in a file, without running it.

The format is told by the first bytes, never by the name: `.npy` without objects,
safetensors, or what `torch.save` writes (see `embrm.embed.cache.torch_file`).
"""

import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from embrm._typing import FloatArray
from embrm.embed.cache.durable import storage_errors
from embrm.embed.cache.stored_array import (
    StoredArray,
    UnreadableFileError,
    as_dtype_name,
)
from embrm.embed.cache.torch_file import read_torch_file
from embrm.exceptions import InvalidInputError, three_parts

_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_SAFETENSORS_DTYPES = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
}
_MAX_HEADER_BYTES = 100_000_000  # what safetensors itself allows


@dataclass(frozen=True)
class PublishedVectors:
    """The rows of one or more arrays in a file, in order.

    Parameters
    ----------
    path : Path
    parts : sequence of StoredArray
        Each of shape (..., d): leading axes are rows, the last of them fastest.
    """

    path: Path
    parts: Sequence[StoredArray]

    @property
    def dim(self) -> int:
        """Length d of the vectors."""
        return self.parts[0].shape[-1]

    @property
    def dtype(self) -> str:
        """Dtype of the numbers in the file: float16, float32, float64 or bfloat16."""
        return self.parts[0].dtype

    @cached_property
    def _starts(self) -> list[int]:
        counts = [math.prod(part.shape[:-1]) for part in self.parts]
        return [0, *np.cumsum(counts).tolist()]

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, start: int, stop: int) -> FloatArray:
        """Copy rows, shape (stop - start, d); bfloat16 comes as float32."""
        with storage_errors("read vectors from", self.path):
            whole = np.memmap(self.path, dtype=np.uint8, mode="r")
        out = []
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for at in range(first, len(self.parts)):
            begins, ends = self._starts[at], self._starts[at + 1]
            if begins >= stop:
                break
            rows = self.parts[at].view(whole).reshape(-1, self.dim)
            out.append(rows[max(start, begins) - begins : min(stop, ends) - begins])
        return _as_floats(np.concatenate(out), self.dtype)


def open_published(
    path: str | os.PathLike[str], *, tensor: str | None = None
) -> PublishedVectors:
    """Find the vectors in a file that somebody else wrote.

    Nothing is unpickled and nothing is run, whatever is in the file.

    Parameters
    ----------
    path : str or path
        `.npy`, `.safetensors` or `.pt`, told by its first bytes.
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
            arrays, is_list = _arrays(path)
    except UnreadableFileError as error:
        raise InvalidInputError(
            three_parts(
                expected="vectors as .npy, .safetensors or .pt with plain tensors",
                got=f"{error} in {path}",
                cure="save the array with numpy.save(file, array, allow_pickle=False) "
                "or safetensors.numpy.save_file, in the program that made it",
            )
        ) from error
    vectors = {name: one for name, one in arrays.items() if one.holds_vectors}
    if is_list and tensor is None and _same_width(vectors, len(arrays)):
        return PublishedVectors(path, list(vectors.values()))
    chosen = [name for name in vectors if tensor in (None, name)]
    if len(chosen) != 1:
        raise InvalidInputError(
            three_parts(
                expected="one array of floating-point vectors"
                if tensor is None
                else f"an array of floating-point vectors named {tensor[:40]!r}",
                got=f"{_listed(vectors)} in {path}",
                cure="name one of these"
                if vectors
                else "save the vectors as an array of shape (n, d)",
            )
        )
    return PublishedVectors(path, [vectors[chosen[0]]])


def _arrays(path: Path) -> tuple[Mapping[str, StoredArray], bool]:
    """Find the arrays in a file, by name, and say whether they are one list."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(_NPY):
        return {"array": _npy(path)}, False
    if start.startswith(_ZIP):
        return read_torch_file(path)
    return _safetensors(path, size), False


def _npy(path: Path) -> StoredArray:
    """Read the header of an .npy file; arrays of objects are refused by it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers written by Python 2
            array = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    # numpy reads the header as a Python literal: its parser may raise anything.
    except Exception as error:
        raise UnreadableFileError("no plain array") from error
    if not array.flags.c_contiguous:
        raise UnreadableFileError("an array in Fortran order")
    return StoredArray(array.offset, array.shape, as_dtype_name(array.dtype))


def _safetensors(path: Path, size: int) -> dict[str, StoredArray]:
    """Read the header of a safetensors file."""
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        if not 2 <= n_header <= min(size - 8, _MAX_HEADER_BYTES):
            raise UnreadableFileError("a format that is none of the three")
        text = file.read(n_header)
    try:
        header = json.loads(text)
        entries = {n: e for n, e in header.items() if n != "__metadata__"}
        arrays = {n: _entry(e, 8 + n_header) for n, e in entries.items()}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise UnreadableFileError("no safetensors header") from error
    for array in arrays.values():
        array.check_bounds(8 + n_header, size)
    return arrays


def _entry(entry: Mapping[str, Any], start: int) -> StoredArray:
    begin, _ = map(int, entry["data_offsets"])
    dtype = _SAFETENSORS_DTYPES.get(entry["dtype"], "other")
    return StoredArray(start + begin, tuple(map(int, entry["shape"])), dtype)


def _same_width(vectors: Mapping[str, StoredArray], n: int) -> bool:
    """Say whether n arrays all hold vectors of one width and dtype."""
    kinds = {(one.shape[-1], one.dtype) for one in vectors.values()}
    return len(kinds) == 1 and len(vectors) == n


def _listed(vectors: Mapping[str, StoredArray]) -> str:
    """Name a few of the arrays."""
    some = [f"{name[:30]!r} {one.shape}" for name, one in list(vectors.items())[:8]]
    return f"{len(vectors)} of them" + (f" ({', '.join(some)})" if some else "")


def _as_floats(rows: Any, dtype: str) -> FloatArray:
    """Widen bfloat16, which numpy does not know, to float32."""
    if dtype != "bfloat16":
        return np.asarray(rows)
    widened: FloatArray = (rows.astype(np.uint32) << 16).view(np.float32)
    return widened
