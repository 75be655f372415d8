"""Find the tensors in a file of `torch.save`, without unpickling it.

Such a file is a zip archive: the numbers lie in it as they are, and one member,
`data.pkl`, is a program for Python's unpickler that puts them together. Here it is
only read; see `embrm.embed.cache.torch_program`.
"""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embrm.embed.cache.stored_array import StoredArray, UnreadableFileError
from embrm.embed.cache.torch_program import Tensor, follow

_MAX_PROGRAM_BYTES, _MAX_VALUES = 64_000_000, 1_000_000
# What zipfile raises for bytes that make no sense.
_ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)
_LOCAL_HEADER = struct.Struct("<26xHH")


def read_torch_file(path: Path) -> tuple[Mapping[str, StoredArray], bool]:
    """Find the tensors in a file of `torch.save`.

    Returns
    -------
    arrays : dict of str to StoredArray
        By their names in a dict, or their numbers in a list; a file that is one
        tensor has the name `"tensor"`. Other values are left out.
    is_list : bool
        Whether the file is one list or tuple.

    Raises
    ------
    UnreadableFileError
        If it holds anything but plain tensors in a list or a dict.
    """
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            program, prefix = _program(archive)
            value = follow(program)
            tensors, is_list = _named(value)
            arrays = {
                name: _place(tensor, archive, prefix, file, size)
                for name, tensor in tensors.items()
            }
    except UnreadableFileError:
        raise
    except _ARCHIVE_ERRORS as error:
        raise UnreadableFileError("a damaged archive") from error
    return arrays, is_list


def _program(archive: zipfile.ZipFile) -> tuple[bytes, str]:
    """Read data.pkl; return it and the folder it is in."""
    found = [one for one in archive.infolist() if one.filename.endswith("/data.pkl")]
    if len(found) != 1 or found[0].file_size > _MAX_PROGRAM_BYTES:
        raise UnreadableFileError("an archive that torch.save did not write")
    _check_stored(found[0])
    prefix = found[0].filename.removesuffix("data.pkl")
    order = f"{prefix}byteorder"
    if order in archive.namelist():
        _check_stored(archive.getinfo(order))
        if archive.read(order) != b"little":
            raise UnreadableFileError("numbers with the most significant byte first")
    return archive.read(found[0]), prefix


def _check_stored(member: zipfile.ZipInfo) -> None:
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise UnreadableFileError("a compressed or encrypted archive")


def _named(value: Any) -> tuple[dict[str, Tensor], bool]:
    """Name the tensors in what the program makes."""
    if isinstance(value, Tensor):
        return {"tensor": value}, False
    if not isinstance(value, dict | list | tuple) or len(value) > _MAX_VALUES:
        raise UnreadableFileError("a value that is no tensor, list or dict")
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    named = {str(n): one for n, one in pairs if isinstance(one, Tensor)}
    return named, len(named) == len(value) and not isinstance(value, dict)


def _place(
    tensor: Tensor, archive: zipfile.ZipFile, prefix: str, file: Any, size: int
) -> StoredArray:
    """Find the bytes of a tensor in the file."""
    if tensor.storage.dtype == "other":
        return StoredArray(0, tensor.shape, "other")
    try:
        member = archive.getinfo(f"{prefix}data/{tensor.storage.member}")
    except KeyError as error:
        raise UnreadableFileError("a tensor without its numbers") from error
    _check_stored(member)
    file.seek(member.header_offset)
    n_name, n_extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    start = member.header_offset + _LOCAL_HEADER.size + n_name + n_extra
    stop = min(start + member.file_size, size)
    one = StoredArray(0, (1,), tensor.storage.dtype).n_bytes
    placed = StoredArray(start + tensor.start * one, tensor.shape, tensor.storage.dtype)
    placed.check_bounds(start, stop)
    return placed
