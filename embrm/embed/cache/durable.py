"""Write a file so that it is there whole or not at all, even after a power cut."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from embrm.embed.cache.remote import Place, RemotePath
from embrm.exceptions import EmbrmError, three_parts

TEMPORARY = ".tmp"
"""Suffix of files that are still being written."""

# Some network file systems cannot sync a directory; there is nothing more to do.
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)


@contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the name `path` when the block ends.

    At the end the file is synced, renamed, and its directory synced: the bytes then
    survive a power cut. After an error or a kill `path` holds what it held before.
    Two writers of one path do not mix.

    Parameters
    ----------
    path : Path
        Its directory must exist. An existing file is replaced.

    Raises
    ------
    OSError
        As the system raised it; the temporary file is removed.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def temporary_name(name: str) -> str:
    """Make a name for a file that is to become `name`."""
    return f"{name}.{secrets.token_hex(4)}{TEMPORARY}"


def write_durably(path: Place, data: Any) -> None:
    """Write bytes to `path` as `durable_file` does.

    On another filesystem than the local one, what is durable is that filesystem's
    business: an object store acknowledges a PUT once it is.
    """
    if isinstance(path, RemotePath):
        path.write_at_once(data, temporary_name(path.name))
        return
    with durable_file(path) as file:
        file.write(data)


def make_directory(directory: Place) -> None:
    """Create a directory and its parents, durably."""
    if isinstance(directory, RemotePath):
        directory.make()
        return
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    sync_directory(directory.parent)


def sync_directory(directory: Place) -> None:
    """Flush the names in a directory to the disk; elsewhere there is no such thing."""
    if isinstance(directory, RemotePath):
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(handle)


@contextmanager
def storage_errors(task: str, place: Place) -> Iterator[None]:
    """Turn an OSError into an `EmbrmError` that says what to do.

    Parameters
    ----------
    task : str
        What was being done, e.g. `"write a segment"`.
    place : Path or RemotePath
        The directory or file concerned.
    """
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "no error code")
        raise EmbrmError(
            three_parts(
                expected=f"to {task} in {place}",
                got=f"{error.strerror or type(error).__name__} ({name})",
                cure=_cure(error.errno),
            )
        ) from error


def _cure(code: int | None) -> str:
    """Say what helps against a system error."""
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "free space and run again; what was stored before is intact"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make the directory writable, or choose another cache directory"
    if code in (errno.EMFILE, errno.ENFILE):
        return "raise the limit of open files (ulimit -n) and run again"
    return "check the disk and run again; what was stored before is intact"
