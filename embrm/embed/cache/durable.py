"""Files that are there whole or not at all, here or on any pyarrow filesystem."""

import errno
import io
import math
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, NamedTuple, TextIO, TypeAlias

from embrm.exceptions import EmbrmError, invalid_input

TEMPORARY = ".tmp"
"""Suffix of files that are still being written."""

# Some network file systems cannot sync a directory; there is nothing more to do.
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

# One PUT makes an object there whole or not at all; elsewhere a rename does.
_OBJECT_STORES = ("s3", "gcs", "abfs")


class Stat(NamedTuple):
    """What is known about a file: bytes, and seconds (infinite where unknown)."""

    st_size: int
    st_mtime: float


class RemotePath:
    """A path on a pyarrow filesystem, with those of pathlib's names a cache needs.

    Errors are pathlib's too: `FileNotFoundError` where there is nothing, `OSError`
    for the rest.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem
    path : str
        Separated by slashes, in the filesystem's form (`bucket/directory` on S3).

    Examples
    --------
    >>> from pyarrow.fs import _MockFileSystem
    >>> path = RemotePath(_MockFileSystem(), "bucket") / "a" / "b.arrow"
    >>> str(path), path.name, path.parent.name, path.exists()
    ('bucket/a/b.arrow', 'b.arrow', 'a', False)
    """

    def __init__(self, filesystem: Any, path: str) -> None:
        self.filesystem = filesystem
        self._path = PurePosixPath(path)

    @property
    def name(self) -> str:
        """The last part."""
        return self._path.name

    @property
    def parent(self) -> "RemotePath":
        """The directory it is in."""
        return RemotePath(self.filesystem, str(self._path.parent))

    @property
    def atomic(self) -> bool:
        """Whether a file that is written appears at once, when it is closed."""
        base = self.filesystem
        while hasattr(base, "base_fs"):
            base = base.base_fs
        return base.type_name in _OBJECT_STORES

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(self.filesystem, str(self._path / name))

    def __str__(self) -> str:
        return str(self._path)

    def __repr__(self) -> str:
        return f"RemotePath({self.filesystem.type_name!r}, {str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RemotePath)
            and str(self) == str(other)
            and bool(self.filesystem.equals(other.filesystem))
        )

    def __hash__(self) -> int:
        return hash(str(self))

    def with_name(self, name: str) -> "RemotePath":
        """Return the path with another last part."""
        return self.parent / name

    def relative_to(self, other: str) -> PurePosixPath:
        """Return the part below another path."""
        return self._path.relative_to(other)

    def exists(self) -> bool:
        """Say whether there is a file or a directory."""
        return self._kind() != "NotFound"

    def is_dir(self) -> bool:
        """Say whether there is a directory."""
        return self._kind() == "Directory"

    def is_file(self) -> bool:
        """Say whether there is a file."""
        return self._kind() == "File"

    def is_symlink(self) -> bool:
        """Say no: these filesystems have no links."""
        return False

    def iterdir(self) -> Iterator["RemotePath"]:
        """Yield what is in the directory."""
        return self._listed(recursive=False)

    def rglob(self, pattern: str) -> Iterator["RemotePath"]:
        """Yield what is below the directory and has a name that matches."""
        found = self._listed(recursive=True)
        return (path for path in found if PurePosixPath(path.name).match(pattern))

    def stat(self) -> "Stat":
        """Return size and time of the last change."""
        found = self._info()
        if found.type.name == "NotFound":
            raise FileNotFoundError(2, "No such file", str(self))
        changed = found.mtime
        seconds = math.inf if changed is None else float(changed.timestamp())
        return Stat(int(found.size or 0), seconds)

    def open(self, mode: Literal["rb"] = "rb") -> Any:  # noqa: ARG002
        """Open the file for reading bytes, at any place in it."""
        return self.filesystem.open_input_file(str(self))

    def read_bytes(self) -> bytes:
        """Read the whole file."""
        with self.open() as file:
            return bytes(file.read())

    def write_at_once(self, data: Any, temporary: str) -> None:
        """Write the whole file so that it is there whole or not at all.

        Parameters
        ----------
        data : buffer
        temporary : str
            Name beside this one to write to first where a write is not atomic.
        """
        written = self if self.atomic else self.with_name(temporary)
        try:
            with self.filesystem.open_output_stream(str(written)) as file:
                file.write(data)
            if written is not self:
                written.rename(str(self))
        except BaseException:
            with suppress(OSError):
                written.unlink()
            raise

    def make(self) -> None:
        """Create the directory and its parents; object stores need none."""
        if not self.atomic:
            self.filesystem.create_dir(str(self), recursive=True)

    def rename(self, target: str) -> "RemotePath":
        """Rename the file; an existing target is replaced."""
        self.filesystem.move(str(self), target)
        return RemotePath(self.filesystem, target)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete the file."""
        try:
            self.filesystem.delete_file(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_all(self) -> None:
        """Delete the directory and all below it."""
        self.filesystem.delete_dir(str(self))

    def _info(self) -> Any:
        return self.filesystem.get_file_info(str(self))

    def _kind(self) -> str:
        return str(self._info().type.name)

    def _listed(self, *, recursive: bool) -> Iterator["RemotePath"]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(str(self), recursive=recursive)
        found = self.filesystem.get_file_info(selector)
        return (RemotePath(self.filesystem, info.path) for info in found)


Place: TypeAlias = Path | RemotePath
"""A file or a directory, here or elsewhere."""


def as_place(
    directory: "str | os.PathLike[str] | RemotePath", filesystem: Any = None
) -> Place:
    """Turn a path, a URI, or a filesystem and a path on it, into a place.

    Parameters
    ----------
    directory : str or path
        A local path, or a URI that pyarrow knows: `s3://bucket/dir`, `gs://...`,
        `abfs://...`, `file:///...`.
    filesystem : pyarrow.fs.FileSystem, optional
        Then `directory` is a path on it.

    Raises
    ------
    InvalidInputError
        If pyarrow does not know the URI.
    """
    if isinstance(directory, RemotePath):
        return directory
    name = os.fspath(directory)
    if filesystem is None:
        if not _URI.match(name):
            return Path(directory)
        filesystem, name = _from_uri(name)
    if filesystem.type_name == "local":
        return Path(name)
    return RemotePath(filesystem, name)


def _from_uri(uri: str) -> tuple[Any, str]:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    try:
        filesystem, path = FileSystem.from_uri(uri)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise invalid_input(
            expected="a URI that pyarrow can open, such as s3://bucket/directory",
            got=f"{uri.partition('?')[0][:80]!r} ({str(error)[:80]})",
            fix="check the URI and the credentials, or pass filesystem= a "
            "pyarrow.fs.FileSystem and the path on it",
        ) from error
    return filesystem, str(path)


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
    temporary, file = _locked_temporary(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":
                file.close()  # Windows renames no open file
            # Renamed while it is locked: no process takes it for a leftover before.
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def _locked_temporary(path: Path) -> tuple[Path, BinaryIO]:
    """Open a temporary file beside a path, locked as long as it is open."""
    while True:
        temporary = path.with_name(temporary_name(path.name))
        file = temporary.open("xb")
        try_lock(file.fileno())
        if temporary.exists():
            return temporary, file
        # Between its making and its locking, another process took it for a leftover.
        file.close()


def try_lock(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file or directory against others who ask; say whether it is done.

    Where there are no such locks (Windows, some network file systems): False.
    """
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


def remove_leftovers(directory: Place, name: str = "") -> int:
    """Remove temporary files of a local directory whose writers are dead.

    Parameters
    ----------
    directory : Path or RemotePath
    name : str, optional
        Only those of the file of this name.

    Returns
    -------
    int
        How many; a file that is locked, or cannot be, stays.
    """
    if isinstance(directory, RemotePath):
        return 0
    removed = 0
    with suppress(OSError):
        for path in directory.iterdir():
            of = path.name.rsplit(".", 2)[0]
            wanted = path.name.endswith(TEMPORARY) and name in ("", of)
            if wanted and path.is_file():
                removed += _remove_if_dead(path)
    return removed


def _remove_if_dead(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        if try_lock(file.fileno()):
            path.unlink()
            return True
    return False


def is_plain(path: Place) -> bool:
    """Say whether a path is a regular file: not a pipe or device, on which reads hang.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    """
    return isinstance(path, RemotePath) or stat.S_ISREG(path.stat().st_mode)


@contextmanager
def output_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that somebody named for output: whole, or as it was before.

    Its directory is created, and what killed writers of this file left is removed. A
    link is followed; what is no file (a pipe, a terminal) is written to as it is.

    Parameters
    ----------
    path : path

    Raises
    ------
    OSError
        As the system raised it; what was there is still there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "scores", "out.txt")
    ...     with output_file(path) as file:
    ...         _ = file.write(b"whole")
    ...     path.read_bytes()
    b'whole'
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    make_directory(target.parent)
    remove_leftovers(target.parent, target.name)
    with durable_file(target) as file:
        yield file


@contextmanager
def output_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file for output as `output_file` does, in UTF-8."""
    with output_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()


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
    """Flush the names in a directory to the disk; nothing to do on remote storage."""
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
    """Turn an OSError into an `EmbrmError` with a fix.

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
        raise EmbrmError.of(
            expected=f"to {task} in {place}",
            got=f"{error.strerror or type(error).__name__} ({name})",
            fix=_fix(error.errno),
        ) from error


def _fix(code: int | None) -> str:
    """Say what helps against a system error."""
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "free space and run again; what was stored before is intact"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make the directory writable, or choose another cache directory"
    if code in (errno.EMFILE, errno.ENFILE):
        return "raise the limit of open files (ulimit -n) and run again"
    return "check the disk and run again; what was stored before is intact"
