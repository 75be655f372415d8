"""What a source is: numbered rows, some of which cannot be read."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from embrm.datasets.formats.base import Row
from embrm.exceptions import DataError

NumberedRows: TypeAlias = Generator[tuple[int, Row | DataError], None, None]
"""Rows with their number in the source (a line, or a row counted from one).

A row that cannot be read comes as the `DataError` that says why, so that the caller
may count it and read on. An error after which nothing can be read is raised.
"""


@dataclass(frozen=True)
class Source:
    """An opened source of rows.

    Attributes
    ----------
    name : str
        As errors and accounts call it: a file name, a dataset id, "frame", "rows".
    rows : generator of (int, row or DataError)
    place : callable
        Turns a row's number into words: `"prefs.jsonl, line 7"`.
    untyped : bool, default=False
        Whether numbers arrive as text, as they do from CSV.
    """

    name: str
    rows: NumberedRows
    place: Callable[[int], str]
    untyped: bool = False


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
