"""Files that hold a matrix of vectors, mapped into memory and read where used."""

import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from embrm._typing import FloatArray
from embrm.datasets.formats.base import refusal
from embrm.datasets.rows import naming
from embrm.exceptions import DataError


def open_vectors(path: str | Path, *, n_rows: int | None = None) -> FloatArray:
    """Map a matrix of vectors into memory, without reading it.

    Parameters
    ----------
    path : str or Path
        `.npy`, or `.safetensors` with one matrix in it.
    n_rows : int, optional
        How many rows it must have.

    Returns
    -------
    memmap of shape (n_rows, d), float16, float32 or float64, read-only

    Raises
    ------
    DataError
        If there is no such file, it is damaged, or it holds something else. Objects
        are refused: nothing is unpickled.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "vectors.npy")
    ...     np.save(path, np.eye(3, dtype=np.float16))
    ...     vectors = open_vectors(path, n_rows=3)
    ...     print(vectors.shape, vectors.dtype)
    (3, 3) float16
    """
    file = Path(path)
    with naming((file.name or str(file))[:80]):
        opener = _OPENERS.get(file.suffix.lower())
        if opener is None:
            raise _wrong(
                f"a file name that ends in {' or '.join(_OPENERS)}",
                repr(file.suffix[:20]),
                "save the vectors with numpy.save or safetensors",
            )
        if not file.is_file():
            raise _wrong(
                "a file that exists",
                "a directory" if file.is_dir() else "no such file",
                "check the path and the working directory",
            )
        vectors: FloatArray = opener(file)
        _check_matrix(vectors, n_rows)
    return vectors


def _open_npy(file: Path) -> Any:
    try:
        # Maps what is plain numbers; refuses objects, which would be unpickled.
        return np.lib.format.open_memmap(file, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise _wrong(
            "a whole .npy file with numbers in it",
            f"one that cannot be mapped ({str(error)[:60]})",
            "write it again, with numpy.save",
        ) from error


def _open_safetensors(file: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        # Checks the header, and that the offsets in it fit the file.
        with safe_open(file, framework="numpy") as tensors:
            names = list(tensors.keys())
    except (SafetensorError, OSError) as error:
        raise _wrong(
            "a whole .safetensors file",
            f"one that cannot be read ({str(error)[:60]})",
            "write it again, with safetensors.numpy.save_file",
        ) from error
    if len(names) != 1:
        raise _wrong(
            "one matrix of vectors",
            f"{len(names)} tensors: {', '.join(sorted(names))[:80]}",
            "save the vectors in a file of their own",
        )
    with file.open("rb") as stream:
        n_header = int.from_bytes(stream.read(8), "little")
        tensor = json.loads(stream.read(n_header))[names[0]]
    if tensor["dtype"] not in _DTYPES:
        raise _wrong(
            f"a matrix of {', '.join(_DTYPES)}",
            str(tensor["dtype"]),
            "convert it to float16 or float32 before saving",
        )
    if 0 in tensor["shape"]:
        return np.empty(tensor["shape"], dtype=_DTYPES[tensor["dtype"]])
    return np.memmap(
        file,
        dtype=_DTYPES[tensor["dtype"]],
        mode="r",
        offset=8 + n_header + tensor["data_offsets"][0],
        shape=tuple(tensor["shape"]),
    )


def _check_matrix(vectors: Any, n_rows: int | None) -> None:
    if vectors.ndim != 2 or vectors.dtype.str not in ("<f2", "<f4", "<f8"):
        raise _wrong(
            "a matrix of float16, float32 or float64, one row per item",
            f"{vectors.dtype} of shape {vectors.shape}",
            "save the vectors of all items as one matrix",
        )
    if n_rows is not None and len(vectors) != n_rows:
        raise _wrong(
            f"{n_rows:,} vectors, one per row of the pool's file",
            f"{len(vectors):,}",
            "write both from the same table, in the same order",
        )


def _wrong(expected: str, got: str, cure: str) -> DataError:
    return refusal(expected=expected, got=got, cure=cure, reason="bad vectors")


_DTYPES = MappingProxyType({"F16": "<f2", "F32": "<f4", "F64": "<f8"})
_OPENERS: MappingProxyType[str, Callable[[Path], Any]] = MappingProxyType(
    {".npy": _open_npy, ".safetensors": _open_safetensors}
)
