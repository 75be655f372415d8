"""Files of a bundle: listed in a manifest, read without surprises, written as a whole.

The manifest is strict JSON that lists every file with its checksum. Its `digest` is the
SHA-256 of the canonical JSON of all other keys, so a changed manifest is noticed, and
each file's SHA-256 stands in the manifest, so a changed file is too. This detects
damage, not tampering: who can rewrite a bundle can rewrite its digest. Pass
`expect_digest` to `load_model` to pin the bundle you trust.
"""

import ctypes
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from embrm.embed.cache.durable import make_directory, sync_directory, try_lock
from embrm.exceptions import EmbrmError, IntegrityError, invalid_input

FORMAT = "embrm-bundle"
RANKING = "embrm-ranking"
"""Format of a ranking of named items, which has neither texts nor an encoder."""

VERSION = 1
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
CARD = "README.md"
MAX_MANIFEST_BYTES = 8 * 2**20
MAX_FILE_BYTES = 4 * 2**30

_TYPES = {
    "format": str,
    "version": int,
    "created": str,
    "libraries": dict,
    "head": dict,
    "head.head": str,
    "head.params": dict,
    "values": dict,
    "values.state": dict,
    "values.blobs": dict,
    "encoder": dict,
    "encoder.spec": dict,
    "encoder.fingerprint": dict,
    "encoder.fingerprint.fields": dict,
    "encoder.fingerprint.dim": int,
    "encoder.fingerprint.dtype": str,
    "training": dict,
    "training.metrics": dict,
    "probe": list,
    "files": dict,
    "digest": str,
}
_FILE_NAME = re.compile(rf"{re.escape(CARD)}|[a-z0-9][a-z0-9_.-]{{0,99}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_FRESH, _OLD = ".tmp", ".old"
_LEFTOVERS = (_FRESH, _OLD)
_TRIES = 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_OPEN_FLAGS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")


def write_manifest(values: Mapping[str, Any], kind: str = FORMAT) -> bytes:
    """Serialise a manifest, adding format, version and digest."""
    manifest = {"format": kind, "version": VERSION, **values}
    manifest["digest"] = digest_of(manifest)
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of the canonical JSON of all keys but `digest`."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_manifest(data: bytes, kinds: Sequence[str] = (FORMAT,)) -> dict[str, Any]:
    """Parse and check a manifest.

    Parameters
    ----------
    data : bytes
    kinds : sequence of str, default=(FORMAT,)
        Formats that it may have.

    Raises
    ------
    IntegrityError
        If it is too large, is not strict JSON, lacks a key, comes from a newer
        version, names a file that is not a plain name, or its digest is wrong.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise _damaged(
            f"a manifest of at most {MAX_MANIFEST_BYTES} bytes", f"{len(data)} bytes"
        )
    try:
        manifest = json.loads(
            data.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
        _check_format(manifest, kinds)
        digest = digest_of(manifest)
    except (ValueError, RecursionError) as error:
        raise _damaged("a manifest in strict JSON", str(error)[:80]) from error
    _check_types(manifest)
    _check_files(manifest["files"])
    _check_parts(manifest)
    if manifest["digest"] != digest:
        raise _damaged("a manifest that matches its digest", "another digest")
    return dict(manifest)


def _check_format(manifest: Any, kinds: Sequence[str]) -> None:
    kind = manifest.get("format") if isinstance(manifest, dict) else None
    if kind not in kinds:
        got = repr(kind) if kind in (FORMAT, RANKING) else "something else"
        raise _damaged(f"a manifest with format {' or '.join(map(repr, kinds))}", got)
    version = manifest.get("version")
    if isinstance(version, int) and version > VERSION:
        raise IntegrityError.of(
            expected=f"a bundle of version {VERSION} or older",
            got=f"version {version}",
            fix="upgrade embrm to the version that saved it, or a later one",
        )


def _check_types(manifest: Mapping[str, Any]) -> None:
    for path, kind in _TYPES.items():
        if manifest["format"] == RANKING and path.startswith("encoder"):
            continue
        value: Any = manifest
        for key in path.split("."):
            value = value.get(key)
        if type(value) is not kind:
            raise _damaged(
                f"a manifest whose '{path}' is a {kind.__name__}", type(value).__name__
            )
    if manifest["version"] < 1:
        raise _damaged("a version >= 1", str(manifest["version"])[:20])


def _check_files(files: Mapping[str, Any]) -> None:
    for name, entry in files.items():
        good = (
            _FILE_NAME.fullmatch(name)
            and name != MANIFEST
            and isinstance(entry, dict)
            and isinstance(entry.get("sha256"), str)
            and _SHA256.fullmatch(entry["sha256"])
            and type(entry.get("bytes")) is int
            and 0 <= entry["bytes"] <= MAX_FILE_BYTES
        )
        if not good:
            raise _damaged(
                "files by plain name, each with bytes and sha256",
                f"an entry named {name[:40]!r}",
            )


def _check_parts(manifest: Mapping[str, Any]) -> None:
    """Check that files, blobs, versions and the probe are what their names say."""
    blobs, files = manifest["values"]["blobs"], set(manifest["files"])
    plain = set(files) - {WEIGHTS, CARD}
    if WEIGHTS not in files or set(blobs) != plain:
        raise _damaged(f"{WEIGHTS} and one file for each blob", "other files")
    names = [*blobs.values(), *manifest["libraries"].values()]
    if not all(isinstance(name, str) for name in names):
        raise _damaged("names of blobs and of versions", "something else")
    if not all(type(reward) is float for reward in manifest["probe"]):
        raise _damaged("a probe of finite rewards", "something else")
    # Models of 0.1.0 have none.
    seconds = manifest.get("fit_seconds")
    if not (seconds is None or (type(seconds) is float and 0 <= seconds < math.inf)):
        raise _damaged("seconds of the fit, or none", type(seconds).__name__)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is duplicate")
    return values


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _damaged(expected: str, got: str) -> IntegrityError:
    return IntegrityError.of(
        expected=expected, got=got, fix="copy the bundle again, or fit again"
    )


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
    return _damaged(f"the file {name!r} as the manifest describes it", got)


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
