"""Columns and vectors of candidate-pool files, read by the column if possible."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from embrm._optional import import_optional
from embrm._typing import FloatArray
from embrm.datasets._rows import naming
from embrm.datasets.sources import open_source, read_frame
from embrm.exceptions import DataError, invalid_input

COLUMNS = ("prompt_id", "gold", "prompt", "response", "length", "vector")
"""Columns that are read, by our name for them; all others are left alone."""

_FIXES = MappingProxyType(
    {
        "prompt_id": "pass the prompt of each item",
        "gold": "give each item its gold score",
    }
)
_FIRST_SAFE_TORCH = (2, 6)
_DTYPES = MappingProxyType({"F16": "<f2", "F32": "<f4", "F64": "<f8"})


def read_columns(
    file: Path,
    named: Mapping[str, str],
    *,
    needed: Sequence[str] = (),
    with_vectors: bool = True,
) -> tuple[pd.DataFrame, FloatArray | None]:
    """Read the columns that are known, under our names; vectors by themselves.

    Parameters
    ----------
    file : Path
    named : mapping of str to str
        Our names to those of the file, where they differ.
    needed : sequence of str
        Our names of columns that must be there, besides `prompt_id` or `prompt`.
    with_vectors : bool, default=True

    Returns
    -------
    frame : DataFrame
        One row per item, all columns but the vectors.
    vectors : ndarray of shape (n_items, d) or None
    """
    # Opening says whether there is such a file, and of a kind that can be read.
    open_source(file)
    if file.suffix.lower() == ".parquet":
        with naming(file.name):
            return _from_parquet(file, named, needed, with_vectors=with_vectors)
    frame = read_frame(file)
    with naming(file.name):
        chosen = _choose([str(name) for name in frame.columns], named, needed)
        vector = chosen.pop("vector", None)
        rows = pd.DataFrame({ours: frame[theirs] for ours, theirs in chosen.items()})
        if vector is None or not with_vectors:
            return rows, None
        return rows, _stacked(frame[vector].tolist())


def _from_parquet(
    file: Path, named: Mapping[str, str], needed: Sequence[str], *, with_vectors: bool
) -> tuple[pd.DataFrame, FloatArray | None]:
    try:
        with pq.ParquetFile(file) as opened:
            chosen = _choose(opened.schema_arrow.names, named, needed)
            vector = chosen.pop("vector", None)
            table = opened.read(columns=list(dict.fromkeys(chosen.values())))
            rows = pd.DataFrame(
                {
                    ours: table.column(theirs).to_pandas()
                    for ours, theirs in chosen.items()
                }
            )
            if vector is None or not with_vectors:
                return rows, None
            return rows, _flattened(opened.read(columns=[vector]).column(vector))
    except (pa.ArrowException, OSError) as error:
        raise DataError.of(
            expected="a whole Parquet file",
            got=f"one that cannot be read ({type(error).__name__})",
            fix="write or download it again, and compare its checksum",
            reason="damaged file",
        ) from error


def check_columns(columns: Mapping[str, str]) -> Mapping[str, str]:
    """Refuse names for columns that are not read."""
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise invalid_input(
            expected=f"columns of a candidate pool: {', '.join(COLUMNS)}",
            got=repr(unknown[0])[:60],
            fix="write our name first, e.g. {'gold': 'score'}",
        )
    return columns


def _choose(
    present: Sequence[str], named: Mapping[str, str], needed: Sequence[str]
) -> dict[str, str]:
    """Map our names to the file's, of the columns that are there."""
    twice = [name for name in named.values() if present.count(name) > 1]
    twice += [name for name in COLUMNS if present.count(name) > 1]
    absent = [theirs for theirs in named.values() if theirs not in present]
    if twice or absent:
        raise _no_column((twice + absent)[0], present)
    chosen = {ours: named.get(ours, ours) for ours in COLUMNS}
    # A column that was given another of our names has lost its own.
    chosen = {
        ours: theirs
        for ours, theirs in chosen.items()
        if theirs in present and (ours in named or theirs not in named.values())
    }
    prompt = () if "prompt" in chosen else ("prompt_id",)
    missing = [name for name in (*prompt, *needed) if name not in chosen]
    if missing:
        raise _no_column(missing[0], present)
    return chosen


def _no_column(name: str, present: Sequence[str]) -> DataError:
    return DataError.of(
        expected=f"one column {name[:40]!r}",
        got=f"columns {', '.join(present)[:200] or 'none'}",
        fix=_FIXES.get(name, "check the spelling of the column")
        + (
            f"; another one is named by --column {name}=YOURS, in Python by "
            f"columns={{{name!r}: 'yours'}}"
            if name in COLUMNS
            else ""
        ),
        reason=f"no column {name[:40]!r}",
    )


def _stacked(rows: list[Any]) -> FloatArray:
    """Stack lists of numbers, float32: their precision in JSON is unknown."""
    try:
        matrix = np.array(rows, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise _ragged() from error
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise _ragged()
    return matrix


def _flattened(column: pa.ChunkedArray) -> FloatArray:
    """Lay the lists of an Arrow column one after the other, in their own dtype."""
    try:
        flat = [chunk.flatten().to_numpy() for chunk in column.chunks]
        sizes = pc.list_value_length(column).to_numpy()
    except (pa.ArrowException, AttributeError) as error:
        raise _ragged() from error
    width = int(sizes[0]) if len(sizes) and np.isfinite(sizes[0]) else 0
    if width == 0 or (sizes != width).any():
        raise _ragged()
    dtype = flat[0].dtype
    if dtype.kind != "f":
        raise _ragged()
    return np.concatenate(flat).reshape(-1, width)


def _ragged() -> DataError:
    return DataError.of(
        expected="lists of numbers of one length in column 'vector'",
        got="others",
        fix="embed all items with one encoder, and write one list per row",
        reason="bad vector",
    )


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


def open_array(file: Path, *, n_axes: int | None) -> FloatArray:
    """Map a `.npy` of floating-point numbers into memory, without reading it.

    Raises
    ------
    DataError
        If there is no such file, it is damaged, or it holds something else.
    """
    with naming((file.name or str(file))[:80]):
        if not file.is_file():
            raise _wrong("a file that exists", "no such file", "check the path")
        array: FloatArray = _open_npy(file)
        if array.dtype.str not in ("<f2", "<f4", "<f8") or n_axes not in (
            None,
            array.ndim,
        ):
            raise _wrong(
                f"float16, float32 or float64 with {n_axes or 'some'} axes: prompts, "
                "responses of each, numbers of a vector",
                f"{array.dtype} of shape {array.shape}",
                "save it so; a matrix of vectors goes with a table of its rows",
            )
        return array


def open_tensor(file: Path) -> FloatArray:
    """Map the numbers of a `.pt` file: one tensor, or a list of equal ones.

    Nothing in it is run: torch >= 2.6 reads it with `weights_only=True`. bfloat16,
    which numpy lacks, and lists are copied.

    Raises
    ------
    DataError
        If it holds something else.
    MissingDependencyError
        Without torch (the extra `torch`).
    """
    torch = import_optional("torch", extra="torch")
    with naming((file.name or str(file))[:80]):
        if not file.is_file():
            raise _wrong("a file that exists", "no such file", "check the path")
        if tuple(map(int, torch.__version__.split(".")[:2])) < _FIRST_SAFE_TORCH:
            raise _wrong(
                "torch >= 2.6, which reads a .pt file without running it",
                f"torch {torch.__version__}",
                "pip install 'torch>=2.6'",
            )
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            tensor = (
                torch.stack(loaded)  # noqa: PD013
                if isinstance(loaded, list)
                else loaded
            )
            if tensor.dtype == torch.bfloat16:
                tensor = tensor.float()
            numbers: FloatArray = tensor.detach().numpy()
        # The unpickler raises many errors for bytes that make no sense.
        except Exception as error:
            raise _wrong(
                "one tensor of floating-point numbers, or a list of equal ones",
                f"something else ({type(error).__name__})",
                "save it with torch.save(tensor, path)",
            ) from error
        return numbers


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


def _wrong(expected: str, got: str, fix: str) -> DataError:
    return DataError.of(expected=expected, got=got, fix=fix, reason="bad vectors")


_OPENERS: MappingProxyType[str, Callable[[Path], Any]] = MappingProxyType(
    {".npy": _open_npy, ".safetensors": _open_safetensors}
)
