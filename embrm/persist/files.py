"""Files of a bundle: read without surprises, written as a whole."""

import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from embrm.embed.cache.durable import make_directory, sync_directory
from embrm.exceptions import EmbrmError, IntegrityError, InvalidInputError, format_error
from embrm.persist.manifest import (
    FORMAT,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    RANKING,
    parse_manifest,
)

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
    """Write the error for a file that is not what the manifest says."""
    return IntegrityError(
        format_error(
            expected=f"the file {name!r} as the manifest describes it",
            got=got,
            fix="copy the bundle again, or fit again",
        )
    )


def check_destination(directory: str | os.PathLike[str]) -> None:
    """Check, before any work is done, that a bundle may be put into a directory.

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
        raise InvalidInputError(
            format_error(
                expected="a new or empty directory, or a bundle to replace",
                got=f"{foreign} at {str(directory)!r}",
                fix="choose another directory, or remove this one",
            )
        )


def write_directory(target: Path, files: Mapping[str, bytes]) -> None:
    """Write all files into a temporary sibling, then put it in the target's place.

    Raises
    ------
    EmbrmError
        If the system refuses; what was there before is still there.
    """
    try:
        _write_directory(target, files)
    except OSError as error:
        raise EmbrmError(
            format_error(
                expected=f"to write a model to {str(target)!r}",
                got=error.strerror or type(error).__name__,
                fix="check the path, its permissions and the free space, and save "
                "again; what was there before is still there",
            )
        ) from error


def _write_directory(target: Path, files: Mapping[str, bytes]) -> None:
    target = target.absolute()
    make_directory(target.parent)
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    old = fresh.with_suffix(".old")
    fresh.mkdir()
    try:
        for name, data in files.items():
            with (fresh / name).open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        sync_directory(fresh)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        sync_directory(target.parent)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _foreign_content(target: Path) -> str | None:
    """Name what stands at a path and is neither empty nor a bundle."""
    if not target.exists() and not target.is_symlink():
        blocked = [parent for parent in target.parents if parent.is_file()]
        return f"the file {blocked[0].name!r} in the path" if blocked else None
    if target.is_symlink() or not target.is_dir():
        return "a file or a link"
    names = {path.name for path in target.iterdir()}
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
