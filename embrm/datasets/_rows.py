"""Rows and lines of a source: numbered, of bounded length, some of them unreadable."""

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import pyarrow as pa

from embrm.datasets.formats.base import Row
from embrm.exceptions import DataError

NumberedRows: TypeAlias = Generator[tuple[int, Row | DataError], None, None]
"""Rows with their number in the source (a line, or a row counted from one).

A row that cannot be read is yielded as a `DataError` with the reason, so that the
caller may count it and continue. An error after which nothing can be read is raised.
"""

_BOM = b"\xef\xbb\xbf"
_DRAIN_BYTES = 1 << 20
_UTF8 = ("utf-8", "utf8", "utf_8", "utf-8-sig", "ascii")


@dataclass(frozen=True)
class ReadLimits:
    """How text files are read, and how much of them is held at a time.

    Attributes
    ----------
    max_line_bytes : int
        Longest line of a text file.
    max_json_bytes : int
        Largest `.json` file that is not JSON lines, unpacked.
    max_blank_lines : int
        Most blank lines that may follow one another.
    encoding : str
        Of text files.
    """

    max_line_bytes: int = 16_000_000
    max_json_bytes: int = 500_000_000
    max_blank_lines: int = 1_000_000
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Source:
    """An opened source of rows.

    Attributes
    ----------
    name : str
        As errors and reports call it: a file name, a dataset id, "frame", "rows".
    rows : generator of (int, row or DataError)
    place : callable
        Turns a row's number into words: `"prefs.jsonl, line 7"`.
    untyped : bool, default=False
        Whether numbers arrive as text, as they do from CSV.
    said : list of str
        What was found out on the way, e.g. a separator; complete once rows are read.
    """

    name: str
    rows: NumberedRows
    place: Callable[[int], str]
    untyped: bool = False
    said: list[str] = field(default_factory=list)


def in_lines(name: str) -> Callable[[int], str]:
    """Name places by line."""
    return lambda number: f"{name}, line {number}"


def in_rows(name: str) -> Callable[[int], str]:
    """Name places by row, counted from one."""
    return lambda number: f"{name}, row {number}"


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Put the file, line or row before the message of a `DataError` from within."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{place}: {error}", reason=error.reason) from error


def named_rows(source: Source) -> NumberedRows:
    """Pass the rows on; an error that ends the reading names the source."""
    with naming(source.name):
        yield from source.rows


@contextmanager
def opened(path: Path, encoding: str = "utf-8") -> Iterator[BinaryIO]:
    """Open a file as UTF-8 bytes, unpacked if its name ends in .gz or .zst.

    Damage is a `DataError`.
    """
    try:
        with _unpacked(path) as handle:
            utf8 = encoding.lower() in _UTF8
            yield handle if utf8 else cast("BinaryIO", _Recoded(handle, encoding))
    except (EOFError, gzip.BadGzipFile, zlib.error, pa.ArrowException) as error:
        raise _damaged(path) from error
    except UnicodeDecodeError as error:
        raise DataError.of(
            expected=f"text in the encoding {encoding}",
            got=f"bytes that are none ({error.reason})",
            fix="name the encoding that the file was written in",
            reason="other encoding",
        ) from error
    except OSError as error:
        if error.errno is None:
            raise _damaged(path) from error
        raise DataError.of(
            expected="a file that can be read",
            got=error.strerror or type(error).__name__,
            fix="check its permissions and its disk",
            reason="unreadable file",
        ) from error


def declared_encoding(path: Path, limits: ReadLimits) -> tuple[ReadLimits, list[str]]:
    """Take UTF-16 from the mark at the beginning of a file that begins with it.

    Returns
    -------
    limits : ReadLimits
    said : list of str
        What to tell the user about it.
    """
    if limits.encoding.lower() not in _UTF8:
        return limits, []
    with opened(path) as handle:
        head = handle.read(2)
    if head not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return limits, []
    return replace(limits, encoding="utf-16"), ["the text is UTF-16"]


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO]:
    ending = path.suffix.lower()
    if ending == ".zst":
        with pa.input_stream(str(path), compression="zstd") as stream:
            yield cast("BinaryIO", io.BufferedReader(stream))
        return
    with gzip.open(path) if ending == ".gz" else path.open("rb") as handle:
        yield cast("BinaryIO", handle)


class _Recoded(io.RawIOBase):
    """Lines of a file in another encoding, as UTF-8 bytes."""

    def __init__(self, handle: BinaryIO, encoding: str) -> None:
        # Only line feeds end a line: text may hold other separators of Unicode.
        self._text = io.TextIOWrapper(handle, encoding=encoding, newline="\n")

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._text.readline(-1 if size is None else size).encode()

    def read(self, size: int = -1, /) -> bytes:
        return self._text.read(size).encode()


def _damaged(path: Path) -> DataError:
    kind = "zstd" if path.suffix.lower() == ".zst" else "gzip"
    return DataError.of(
        expected=f"a whole {kind} file",
        got="one that is truncated or damaged",
        fix="copy or download it again, and compare its checksum",
        reason="damaged file",
    )


def whole(handle: BinaryIO, max_bytes: int) -> bytes:
    """Read all of `handle`; no more than `max_bytes` are ever held.

    Raises
    ------
    DataError
        If there is more: a file of a few megabytes may unpack to as many gigabytes.
    """
    data = handle.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise DataError.of(
            expected=f"a JSON file of at most {max_bytes} bytes, unpacked",
            got="a larger one",
            fix="write one row per line as .jsonl, which is read row by row, or raise "
            "max_json_bytes",
            reason="file too large",
        )
    return data


def raw_lines(
    handle: BinaryIO, max_line_bytes: int
) -> Generator[tuple[int, int, bytes | DataError], None, None]:
    """Yield the lines of `handle` with number and byte offset, line ends kept.

    A line that is too long comes as a `DataError`. No more than `max_line_bytes` of a
    line are ever held.
    """
    number, offset = 0, 0
    while line := handle.readline(max_line_bytes + 1):
        number += 1
        size = len(line)
        if size > max_line_bytes and not line.endswith(b"\n"):
            yield number, offset, too_long(max_line_bytes)
            size += _skip_to_line_end(handle)
        else:
            yield number, offset, line
        offset += size


def text_lines(
    handle: BinaryIO, max_line_bytes: int
) -> Generator[tuple[int, str | DataError], None, None]:
    """Yield the numbered lines of `handle`, line ends kept, a leading BOM dropped.

    A line that is too long or not UTF-8 comes as a `DataError`.
    """
    for number, offset, line in raw_lines(handle, max_line_bytes):
        if isinstance(line, DataError):
            yield number, line
        else:
            yield number, _decoded_line(line, offset)


def decoded(data: bytes, offset: int = 0) -> str:
    """Decode UTF-8, a leading BOM dropped; the error names the byte in the file."""
    start = len(_BOM) if offset == 0 and data.startswith(_BOM) else 0
    try:
        return data[start:].decode() if start else data.decode()
    except UnicodeDecodeError as error:
        raise DataError.of(
            expected="UTF-8 text",
            got=f"a byte that is not UTF-8 at byte offset "
            f"{offset + start + error.start}",
            fix="save the file as UTF-8, or name the encoding it was saved in, e.g. "
            "encoding='cp1252' for Excel on Windows",
            reason="not UTF-8",
        ) from error


def _decoded_line(line: bytes, offset: int) -> str | DataError:
    """Decode one line, or return what is wrong with it."""
    try:
        return decoded(line, offset)
    except DataError as error:
        return error


def too_long(max_line_bytes: int) -> DataError:
    """Write the error for a line, or the lines of a CSV record, of too many bytes."""
    return DataError.of(
        expected=f"lines of at most {max_line_bytes} bytes",
        got="a longer one",
        fix="write one row per line, or raise max_line_bytes",
        reason="line too long",
    )


def _skip_to_line_end(handle: BinaryIO) -> int:
    """Read on to the end of the line, piece by piece; return the bytes skipped."""
    skipped = 0
    while piece := handle.readline(_DRAIN_BYTES):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped
