"""Files of a bundle: read without surprises, written as a whole."""

import ctypes
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from embrm.embed.cache.durable import make_directory, sync_directory, try_lock
from embrm.exceptions import EmbrmError, IntegrityError, invalid_input
from embrm.persist.manifest import (
    FORMAT,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    RANKING,
    parse_manifest,
)

_FRESH, _OLD = ".tmp", ".old"
_LEFTOVERS = (_FRESH, _OLD)
_TRIES = 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_OPEN_FLAGS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")


def read_plain_file(path: Path, n_bytes: int | None = None) -> bytes:
    """Read a regular file, neither a link nor a pipe, of the size it should have.

    Parameters
    ----------
    path : Path
    n_bytes : int, optional
        The size; by default any up to that of the largest manifest.

    Raises
    ------
    IntegrityError
        If it cannot be read, is no regular file, or has another size.
    """
    flags = os.O_RDONLY
    for name in _OPEN_FLAGS:
        flags |= getattr(os, name, 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise unreadable(path.name, error.strerror or "an error") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise unreadable(path.name, "something that is no regular file")
        limit = MAX_MANIFEST_BYTES if n_bytes is None else n_bytes
        if status.st_size > limit or n_bytes not in (None, status.st_size):
            raise unreadable(path.name, f"{status.st_size} bytes instead of {limit}")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read(limit + 1)
    except OSError as error:
        raise unreadable(path.name, error.strerror or "an error") from error
    finally:
        os.close(handle)


def unreadable(name: str, got: str) -> IntegrityError:
    """Write the error for a file that differs from the manifest."""
    return IntegrityError.of(
        expected=f"the file {name!r} as the manifest describes it",
        got=got,
        fix="copy the bundle again, or fit again",
    )


def check_destination(directory: str | os.PathLike[str]) -> None:
    """Check, before any work is done, that a directory may hold a bundle.

    Parameters
    ----------
    directory : path
        New, empty, or a bundle to replace.

    Raises
    ------
    InvalidInputError
        If it is a file, or holds anything that is not part of a bundle: replacing a
        directory removes what was in it.
    """
    target = Path(directory)
    foreign = _foreign_content(target)
    if foreign is not None:
        raise invalid_input(
            expected="a new or empty directory, or a bundle to replace",
            got=f"{foreign} at {str(directory)!r}",
            fix="choose another directory, or remove this one",
        )


def write_directory(target: Path, files: Mapping[str, bytes]) -> None:
    """Write all files into a temporary sibling, then put it in the target's place.

    What was there is replaced in one step, where the system has one (Linux): whoever
    reads or kills finds the old files or the new ones, and something at any moment.
    Siblings that a killed writer left are removed.

    Raises
    ------
    EmbrmError
        If the system refuses; what was there before is still there.
    """
    try:
        _write_directory(target.absolute(), files)
    except OSError as error:
        raise EmbrmError.of(
            expected=f"to write a model to {str(target)!r}",
            got=error.strerror or type(error).__name__,
            fix="check the path, its permissions and the free space, and save "
            "again; what was there before is still there",
        ) from error


def _write_directory(target: Path, files: Mapping[str, bytes]) -> None:
    make_directory(target.parent)
    remove_leftovers(target)
    with _own_directory(target) as fresh:
        for name, data in files.items():
            with (fresh / name).open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        sync_directory(fresh)
        _put_in_place(fresh, target)
        sync_directory(target.parent)


@contextmanager
def _own_directory(target: Path) -> Iterator[Path]:
    """Make a temporary sibling, locked while this process lives; remove what is left.

    Afterwards the name holds what was replaced, or what could not be put in place.
    """
    while True:
        fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_FRESH}")
        fresh.mkdir()
        # Until it is locked, another process may take it for a leftover.
        with suppress(FileNotFoundError):
            handle = os.open(fresh, os.O_RDONLY)
            try_lock(handle, wait=True)
            if fresh.exists():
                break
            os.close(handle)
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        os.close(handle)


def remove_leftovers(target: Path) -> None:
    """Remove temporary siblings of a bundle whose writer is dead; best effort.

    Parameters
    ----------
    target : Path
        The directory of the bundle.
    """
    target = target.absolute()
    with suppress(OSError):
        for path in siblings(target):
            _remove_if_dead(path, target)


def siblings(target: Path) -> list[Path]:
    """List the temporary siblings of a bundle."""
    target = target.absolute()
    return [
        path
        for path in target.parent.iterdir()
        if path.name.startswith(f".{target.name}.") and path.suffix in _LEFTOVERS
    ]


def _remove_if_dead(path: Path, target: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if not try_lock(handle):
                return
            if path.suffix == _OLD and not target.exists():
                # Killed between the two steps: what was replaced is all there is.
                path.rename(target)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(handle)


def _put_in_place(fresh: Path, target: Path) -> None:
    """Give a directory the target's name; what had it gets the directory's."""
    try:
        fresh.rename(target)  # nothing there, or an empty directory
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not _exchange(fresh, target):
            _replace_in_two_steps(fresh, target)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here = ctypes.c_int(_AT_FDCWD)
    names = (os.fsencode(one), os.fsencode(other))
    if rename(here, names[0], here, names[1], ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _replace_in_two_steps(fresh: Path, target: Path) -> None:
    """Put the old directory aside first: for a moment there is none."""
    old = fresh.with_suffix(_OLD)
    target.rename(old)
    try:
        fresh.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _foreign_content(target: Path) -> str | None:
    """Name what is at a path and is neither empty nor a bundle."""
    for _ in range(_TRIES):
        before = identity(target)
        found = _foreign_now(target)
        # Another process may have replaced a bundle by another while it was looked at.
        if found is None or identity(target) == before:
            break
    return found


def identity(target: Path) -> tuple[int, int, int] | None:
    """Tell a directory from another that has taken its place; None without one."""
    try:
        status = target.stat(follow_symlinks=False)
    except OSError:
        return None
    # The number of a directory that was removed is soon given to another.
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _foreign_now(target: Path) -> str | None:
    if not target.exists() and not target.is_symlink():
        blocked = [parent for parent in target.parents if parent.is_file()]
        return f"the file {blocked[0].name!r} in the path" if blocked else None
    if target.is_symlink() or not target.is_dir():
        return "a file or a link"
    try:
        names = {path.name for path in target.iterdir()}
    except OSError:
        return "a directory that cannot be read"
    if not names:
        return None
    if MANIFEST not in names:
        return "other content"
    try:
        manifest = parse_manifest(read_plain_file(target / MANIFEST), (FORMAT, RANKING))
    except IntegrityError:
        return f"a {MANIFEST} that embrm cannot read"
    more = sorted(names - set(manifest["files"]) - {MANIFEST})
    return f"{more[0][:40]!r}, which is not part of the bundle," if more else None
