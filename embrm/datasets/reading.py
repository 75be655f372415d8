"""Read preferences or a plain frame from any source, and report on every row."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd

from embrm._validation import invalid_input
from embrm.datasets._building import PreferencesBuilder, check_unicode
from embrm.datasets._rows import Source, named_rows, naming
from embrm.datasets._sources import open_source
from embrm.datasets._text_rows import typed
from embrm.datasets.formats import (
    Format,
    RowReader,
    column_names,
    detect_format,
    find_format,
    known_formats,
)
from embrm.datasets.formats.base import Row, refusal
from embrm.datasets.preferences import Preferences, ReadReport
from embrm.exceptions import (
    DataError,
    InvalidInputError,
    LeftOutWarning,
    NoPreferenceError,
    format_error,
    warn,
)

OnError: TypeAlias = Literal["raise", "skip", "skip-uninformative"]
"""What to do about a row that cannot be used."""

_SKIPPED: dict[str, tuple[type[DataError], ...]] = {
    "raise": (),
    "skip": (DataError,),
    "skip-uninformative": (NoPreferenceError,),
}
_UNKNOWN = "unknown"


def read_preferences(
    source: str | Path | pd.DataFrame | Iterable[Mapping[str, Any]],
    *,
    format: str | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    on_error: OnError = "raise",
    max_rows: int | None = None,
    max_line_bytes: int = 100_000_000,
    max_json_bytes: int = 500_000_000,
) -> Preferences:
    """Read preference data into its canonical form.

    Parameters
    ----------
    source : str, Path, DataFrame or iterable of mappings
        A `.jsonl`, `.json`, `.csv` (each also `.gz`) or `.parquet` file; `"-"` for
        JSON lines on standard input; `"hf:owner/name[:config][@split]"` for a dataset
        of the Hugging Face hub (extra `hub`). All but `.json` are streamed.
    format : str, optional
        Name of a format (`known_formats()`). By default the first format that
        explains the first usable row.
    columns : mapping of str to str, optional
        Canonical name to actual name, e.g. `{"prompt": "question"}`.
    on_error : {"raise", "skip", "skip-uninformative"}, default="raise"
        Whether a row that cannot be used raises an error that names its line, or is
        left out, counted in `.read_report`, and reported in one `LeftOutWarning`.
        "skip-uninformative" leaves out rows that can be read but say nothing (an
        empty text, identical responses, no label), and raises for the rest.
    max_rows : int, optional
        Read this many rows at most, rows left out included.
    max_line_bytes : int, default=100_000_000
        Longest line of a text file, in bytes; a longer one is never held in memory.
    max_json_bytes : int, default=500_000_000
        Largest `.json` file that is not JSON lines, in bytes, unpacked: such a file is
        held in memory whole, and a small `.gz` may unpack to anything.

    Returns
    -------
    Preferences
        Whose `read_report` satisfies `n_read == n_kept + n_left_out`.

    Raises
    ------
    DataError
        If a row cannot be used and `on_error="raise"`; for any `on_error`, if
        the source is missing, empty or damaged, or in no known format.
    InvalidInputError
        If an argument is wrong.

    Examples
    --------
    >>> rows = [{"question": "2+2?", "chosen": "4", "rejected": "5"}]
    >>> preferences = read_preferences(rows, columns={"prompt": "question"})
    >>> preferences
    Preferences(1 pairs, 2 items, 1 prompts, pairs)
    >>> print(preferences.read_report)
    rows read as pairs: 1 rows, 1 kept, 0 left out
    """
    named = None if format is None else find_format(format)
    limits = {"max_line_bytes": max_line_bytes, "max_json_bytes": max_json_bytes}
    _check_options(columns, on_error, {"max_rows": max_rows, **limits})
    opened = open_source(source, **limits)
    reading = _Reading(opened, named, dict(columns or {}), _SKIPPED[on_error])
    with closing(named_rows(opened)) as rows:
        for number, row in islice(rows, max_rows):
            reading.take(number, row)
    preferences = reading.finish()
    if preferences.read_report.n_left_out:
        warn(str(preferences.read_report), LeftOutWarning)
    return preferences


class _Reading:
    """One reading of one source: interprets rows, builds and counts."""

    def __init__(
        self,
        source: Source,
        named: Format | None,
        columns: dict[str, str],
        skipped: tuple[type[DataError], ...],
    ) -> None:
        self._source = source
        self._format = named
        self._columns = columns
        self._skipped = skipped
        self._builder = PreferencesBuilder()
        self._report = ReadReport(source.name, named.name if named else _UNKNOWN)
        self._undetected: DataError | None = None

    def take(self, number: int, row: Row | DataError) -> None:
        """Keep a row, or leave it out, or raise what is wrong with it."""
        try:
            self._keep(row)
        except DataError as error:
            place = self._source.place(number)
            if not isinstance(error, self._skipped):
                raise DataError(f"{place}: {error}", reason=error.reason) from error
            self._report.leave_out(error.reason, place)

    def finish(self) -> Preferences:
        """Build what was kept; refuse a source in which nothing was recognised."""
        if self._report.n_read == 0:
            with naming(self._source.name):
                raise refusal(
                    expected="at least one row",
                    got="an empty source",
                    fix="check that the rows were written, and to this place",
                    reason="no rows",
                )
        if self._report.format == _UNKNOWN:
            with naming(self._source.name):
                raise self._undetected or refusal(
                    expected="at least one usable row",
                    got=str(self._report).replace("\n", " "),
                    fix="fix the rows, or name the format with format=",
                    reason="no usable row",
                )
        return self._builder.build(self._report)

    def _keep(self, row: Row | DataError) -> None:
        if isinstance(row, DataError):
            raise row
        prepared = self._prepared(row)
        chosen = self._format or self._detected(prepared)
        self._builder.add(_interpreted(prepared, chosen), self._report.n_read)
        # The format is settled by the first row that could be used, not merely seen.
        self._format = chosen
        self._report.keep()

    def _detected(self, row: Row) -> Format:
        try:
            detected = detect_format(row)
        except DataError as error:
            self._undetected = self._undetected or error
            raise
        self._report.format = detected.name
        return detected

    def _prepared(self, row: Row) -> Row:
        """Rename the columns, and type the cells of a source without types."""
        if self._columns:
            actual = set(self._columns.values())
            kept = {name: cell for name, cell in row.items() if name not in actual}
            named = self._columns.items()
            row = kept | {ours: row[theirs] for ours, theirs in named if theirs in row}
        return typed(row) if self._source.untyped else row


def _interpreted(row: Row, chosen: Format) -> RowReader:
    """Read one row as `chosen`; any fault of it is a `DataError`."""
    reader = RowReader()
    with _explaining(row, chosen):
        chosen.read(row, reader)
    return reader


@contextmanager
def _explaining(row: Row, chosen: Format) -> Iterator[None]:
    """Turn what a format raises into a `DataError`.

    Where the row does not look like the format, the message lists the columns of both.
    """
    try:
        yield
    except InvalidInputError as error:
        raise DataError(str(error), reason="malformed messages") from error
    except KeyError as error:
        missing = str(error.args[0])[:40]
        raise refusal(
            expected=_expectation(chosen),
            got=f"no {missing!r} among {column_names(row)}",
            fix=_other_formats(missing),
            reason=f"no column {missing!r}",
        ) from error
    except DataError as error:
        if isinstance(error, NoPreferenceError) or chosen.detect(row):
            raise
        raise DataError(
            f"{error} This may be another format: "
            + format_error(
                expected=_expectation(chosen),
                got=column_names(row),
                fix=_other_formats("prompt"),
            ),
            reason=error.reason,
        ) from error


def _expectation(chosen: Format) -> str:
    return f"the columns of format {chosen.name}: {chosen.columns}"


def _other_formats(column: str) -> str:
    return (
        f"rename with columns={{{column!r}: 'your name for it'}}, or read as another "
        f"of the known formats: {', '.join(known_formats())}"
    )


def _check_options(
    columns: Mapping[str, str] | None,
    on_error: str,
    limits: Mapping[str, int | None],
) -> None:
    if on_error not in tuple(_SKIPPED):
        words = " or ".join(map(repr, _SKIPPED))
        raise invalid_input(
            f"on_error {words}", repr(on_error)[:40], "pass one of these"
        )
    if columns is not None and not (
        isinstance(columns, Mapping)
        and all(isinstance(name, str) for name in chain(*columns.items()))
    ):
        raise invalid_input(
            "columns that maps canonical names to actual ones",
            f"a {type(columns).__name__} that does not",
            "pass a dict such as {'prompt': 'question'}",
        )
    for name, limit in limits.items():
        if limit is not None and not (isinstance(limit, int) and limit >= 1):
            raise invalid_input(
                f"{name} that is an int >= 1", repr(limit)[:40], "pass 1 or more"
            )


def read_frame(
    source: str | Path | pd.DataFrame | Iterable[Mapping[str, Any]],
    *,
    max_line_bytes: int = 100_000_000,
    max_json_bytes: int = 500_000_000,
) -> pd.DataFrame:
    """Read a source into a data frame, without interpreting its columns.

    Parameters
    ----------
    source : str, Path, DataFrame or iterable of mappings
        As in `read_preferences`.
    max_line_bytes : int, default=100_000_000
        Longest line of a text file, in bytes.
    max_json_bytes : int, default=500_000_000
        Largest `.json` file that is not JSON lines, in bytes, unpacked.

    Returns
    -------
    DataFrame
        One row for each row of the source, in order.

    Raises
    ------
    DataError
        If the source or a row of it cannot be read; the message names the line.

    Examples
    --------
    >>> read_frame([{"prompt": "Hi", "response": "Hello!"}])
      prompt response
    0     Hi   Hello!
    """
    if isinstance(source, pd.DataFrame):
        return source
    opened = open_source(
        source, max_line_bytes=max_line_bytes, max_json_bytes=max_json_bytes
    )
    records = []
    with closing(named_rows(opened)) as rows:
        for number, row in rows:
            with naming(opened.place(number)):
                if isinstance(row, DataError):
                    raise row
                check_unicode(row)
            records.append(typed(row) if opened.untyped else row)
    # The index keeps rows without columns, as an empty object has none.
    return pd.DataFrame(records, index=pd.RangeIndex(len(records)))
