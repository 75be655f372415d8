"""Journal: an append-only file of events, each on disk before the next is shown."""

import errno
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any, Self

import orjson

from embrm.embed.cache.durable import output_file, sync_directory, try_lock
from embrm.exceptions import IntegrityError, invalid_input


class Journal:
    """Events as JSON lines, appended and flushed to disk one by one.

    A process that is killed while it writes leaves a torn last line at most: it was
    never acknowledged, and is cut off when the journal is opened again. One process at
    a time holds a journal.

    Parameters
    ----------
    path : Path
        Made if it is not there.

    Attributes
    ----------
    events : list of dict
        Of earlier sessions and this one, in order.

    Raises
    ------
    InvalidInputError
        If another process has it open.
    IntegrityError
        If a line other than the last is no event.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "labels.journal.jsonl")
    ...     with Journal(path) as journal:
    ...         journal.append({"event": "label", "winner": "first"})
    ...     with Journal(path) as journal:
    ...         journal.events
    [{'event': 'label', 'winner': 'first'}]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        # Without a buffer: what could not be written is not written later.
        self._file = path.open("a+b", buffering=0)
        try:
            _lock(self._file, path)
            self.events: list[dict[str, Any]] = _read(self._file, path)
            if is_new:
                sync_directory(path.parent)
        except BaseException:
            self._file.close()
            raise

    def append(self, event: Mapping[str, Any]) -> None:
        """Write an event; it is on disk when this returns.

        Where it cannot be written, as on a full disk, the journal stays as it was.
        """
        line, size = orjson.dumps(event) + b"\n", os.fstat(self._file.fileno()).st_size
        try:
            _write_whole(self._file, line)
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), size)
            raise
        self.events.append(dict(event))

    @property
    def closed(self) -> bool:
        """Whether another process may open it."""
        return self._file.closed

    def close(self) -> None:
        """Let another process open it."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Replace a file of JSON lines at once: readers see the old one or the new one."""
    with output_file(path) as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Append one row to a file of JSON lines."""
    with path.open("ab") as file:
        file.write(orjson.dumps(row) + b"\n")


def _write_whole(file: FileIO, line: bytes) -> None:
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)


def _lock(file: FileIO, path: Path) -> None:
    if not try_lock(file.fileno()):
        raise invalid_input(
            expected=f"{path} to be free",
            got="another process that labels into it",
            fix="label in that one: several annotators share one server, each with "
            "a name of their own; or write to another --out",
        )


def _read(file: FileIO, path: Path) -> list[dict[str, Any]]:
    """Read all events, and cut off a torn last line."""
    file.seek(0)
    content = file.read()
    whole, newline, torn = content.rpartition(b"\n")
    if torn:
        file.truncate(len(whole) + len(newline))
    events = []
    for number, line in enumerate(whole.splitlines() if whole else [], start=1):
        try:
            event = dict(orjson.loads(line))
        except (orjson.JSONDecodeError, TypeError, ValueError) as error:
            raise IntegrityError.of(
                expected=f"an event in line {number} of {path}",
                got="something else",
                fix="restore the file, or delete that line",
            ) from error
        events.append(event)
    return events
