"""Read preferences or a plain frame from any source, and report on every row."""

import difflib
import gc
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import chain, islice
from typing import Any, Literal

from embrm.datasets._building import PreferencesBuilder
from embrm.datasets._csv_rows import typed
from embrm.datasets._json_rows import too_deep
from embrm.datasets._read_options import (
    SKIPPED,
    OnError,
    check_options,
    difference,
)
from embrm.datasets._remarks import remarks
from embrm.datasets._rows import ReadLimits, Source, named_rows, naming
from embrm.datasets.formats import (
    TEXT_COLUMNS,
    Format,
    ReadOptions,
    RowReader,
    column_names,
    detect_format,
    find_format,
    name_it,
    respelt,
    unknown_format,
    usual_names,
)
from embrm.datasets.formats._plain import PlainRows
from embrm.datasets.formats._texts import (
    RESPONSES,
    add_tools,
    no_column_of_template,
    place_for_prompt,
    template_columns,
)
from embrm.datasets.formats.base import MEANS_OTHERWISE, Row
from embrm.datasets.preferences import ITEM_COLUMNS, PAIR_COLUMNS, Preferences
from embrm.datasets.read_report import ANNOTATOR, CARRIED, EMPTY, UNUSED, ReadReport
from embrm.datasets.sources import open_source
from embrm.exceptions import (
    DataError,
    InvalidInputError,
    LeftOutWarning,
    MisreadWarning,
    NoPreferenceError,
    format_error,
    invalid_input,
    warn,
)

__all__ = ["OnError", "read_preferences"]

_UNKNOWN = "unknown"
_OF_ITEMS, _OF_PAIRS = frozenset(ITEM_COLUMNS), frozenset(PAIR_COLUMNS)
"""Columns of the tables that reading makes, whatever the source calls so."""

_JOINED = ("_before", "_replies")
"""Columns that joining the rows of a source adds."""

_FEW_STRAY = 0.01
"""Share of rows with other values than were expected, which may be slips."""


def read_preferences(
    source: Any,
    *,
    format: str | None = None,  # noqa: A002
    columns: Mapping[str, str] | None = None,
    prompt_template: str | None = None,
    winner: Mapping[Any, str | float] | None = None,
    lower_is_better: bool | None = None,
    images: Literal["refuse", "mark"] = "refuse",
    on_error: OnError = "raise",
    max_rows: int | None = None,
    encoding: str = "utf-8",
    max_line_bytes: int = 16_000_000,
    max_json_bytes: int = 500_000_000,
) -> Preferences:
    r"""Read preference data into its canonical form.

    Parameters
    ----------
    source : path, list of paths, frame, table or iterable of mappings
        A `.jsonl`, `.json`, `.csv` or `.tsv` file (each also `.gz` and `.zst`), a
        `.parquet` file, a directory of such files or a pattern
        (`"data/train-*.parquet"`); `"-"` for JSON lines on standard input;
        `"hf:owner/name[:config][@split]"` for a dataset of the Hugging Face hub (extra
        `hub`); a frame of pandas or polars, a `pyarrow.Table`, a dataset of Hugging
        Face. All files but `.json` are streamed.
    format : str, optional
        Name of a format (`known_formats()`). By default the first format that
        explains the first usable row.
    columns : mapping of str to str, optional
        embrm's name to yours, e.g. `{"prompt": "question"}`. A margin or weight may be
        the difference of two columns: `{"margin": "score_chosen - score_rejected"}`.
    prompt_template : str, optional
        Writes the prompt from several columns, e.g.
        `"{system}\n\n{instruction}\n{input}"`; what is missing is empty.
    winner : mapping, optional
        What the values of the winner's column mean: `"first"`, `"second"`, `"tie"`,
        `"both bad"`, or the probability that first is preferred, e.g.
        `{0: "first", 1: "second", "tie": 0.5}`.
    lower_is_better : bool, optional
        Which way scores count; higher is better unless said. Must be said where a
        column called `rank` or the like is read as `score`. Of labels, whether true
        is a bad response.
    images : {"refuse", "mark"}, default="refuse"
        Whether a message with an image is refused, or read with `[image]` in its place.
    on_error : {"raise", "skip", "skip-uninformative"}, default="raise"
        Whether a row that cannot be used raises an error that names its line, or is
        left out, counted in `.read_report`, and reported in one `LeftOutWarning`.
        "skip-uninformative" leaves out rows that can be read but say nothing (an
        empty text, identical responses, no label), and raises for the rest.
    max_rows : int, optional
        Read this many rows at most, rows left out included.
    encoding : str, default="utf-8"
        Of text files.
    max_line_bytes : int, default=16_000_000
        Longest line of a text file, in bytes; a longer one is never held in memory.
    max_json_bytes : int, default=500_000_000
        Largest `.json` file that is not JSON lines, in bytes, unpacked: such a file is
        held in memory whole, and a small `.gz` may unpack to anything.

    Returns
    -------
    Preferences
        Whose `read_report` satisfies `n_read == n_kept + n_left_out`, says what every
        column was read as, and notes what is notable. Notes that something may be
        misread are also given as `MisreadWarning`.

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
    >>> preferences = read_preferences(rows)
    >>> preferences
    Preferences(1 pairs, 2 items, 1 prompts, pairs)
    >>> print(preferences.read_report)
    rows read as pairs: 1 rows, 1 kept, 0 left out
      columns: question (prompt), chosen, rejected
    """
    named = None if format is None else find_format(format)
    limits = ReadLimits(max_line_bytes, max_json_bytes, encoding=encoding)
    options = ReadOptions(prompt_template, winner, lower_is_better, images)
    check_options(columns, on_error, max_rows, limits, options)
    reading = _Reading(
        open_source(source, limits), named, dict(columns or {}), options, on_error
    )
    return reading.run(max_rows)


class _Reading:
    """One reading of one source: interprets rows, builds and counts."""

    def __init__(
        self,
        source: Source,
        named: Format | None,
        columns: dict[str, str],
        options: ReadOptions,
        on_error: OnError,
    ) -> None:
        self._source = source
        self._format = named
        self._columns = columns
        self._options = options
        self._skipped = SKIPPED[on_error]
        self._builder = PreferencesBuilder()
        self._report = ReadReport(source.name, named.name if named else _UNKNOWN)
        self._undetected: DataError | None = None
        self._uses: dict[str, str] = {}
        self._filled: set[str] = set()
        self._shapes: set[tuple[str, ...]] = set()
        self._plain: PlainRows | None = None

    def run(self, max_rows: int | None) -> Preferences:
        """Read all rows, and say what is to be said."""
        with _no_collection():
            with closing(named_rows(self._source)) as rows:
                for number, row in self._gathered(islice(rows, max_rows)):
                    if not self._taken_quickly(row):
                        self.take(number, row)
            preferences = self.finish()
        if preferences.read_report.n_left_out:
            warn(str(preferences.read_report), LeftOutWarning)
        return preferences

    def _gathered(
        self, rows: Iterator[tuple[int, Row | DataError]]
    ) -> Iterator[tuple[int, Row | DataError]]:
        """Pass rows on, joined first where a format spreads an item over several."""
        first = next(rows, None)
        if first is None:
            return rows
        rows = chain([first], rows)
        fmt = self._format
        if fmt is None and not isinstance(first[1], DataError):
            # One that no format explains is read again, with its place.
            with suppress(DataError):
                fmt = self._recognised(first[1])
        if fmt is None or fmt.gather is None:
            return rows
        listed = list(rows)
        good = [(n, row) for n, row in listed if not isinstance(row, DataError)]
        joined = dict(fmt.gather(good))
        return iter([(number, joined.get(number, row)) for number, row in listed])

    def _recognised(self, row: Row) -> Format:
        """Find the format of the first row, whatever the case of its columns."""
        given = self._columns
        named = {*given, *given.values()}
        spelt = {
            ours: theirs
            for ours, theirs in usual_names(row).items()
            if not named & {ours, theirs}
        }
        try:
            return detect_format(self._prepared(row))
        except DataError:
            self._columns = given | spelt
            with suppress(DataError):
                found = detect_format(self._prepared(row))
                pairs = ", ".join(f"{o} from {t!r}" for o, t in spelt.items())
                self._report.notes.append(f"columns were spelt otherwise: {pairs}")
                return found
            self._columns = given
            raise

    def _taken_quickly(self, row: Row | DataError) -> bool:
        """Keep a row of plain texts without the format's own reading."""
        plain, report = self._plain, self._report
        if (
            plain is not None
            and type(row) is dict
            and tuple(row) == plain.shape
            and plain.add(row, self._builder, report.n_read)
        ):
            report.n_read += 1
            report.n_kept += 1
            return True
        return False

    def take(self, number: int, row: Row | DataError) -> None:
        """Keep a row, or leave it out, or raise what is wrong with it."""
        try:
            self._keep(row)
        except DataError as error:
            place = self._source.place(number)
            if not isinstance(error, self._skipped):
                self._check_columns_there()
                raise DataError(f"{place}: {error}", reason=error.reason) from error
            self._report.leave_out(error.reason, place, str(error))

    def finish(self) -> Preferences:
        """Build what was kept; refuse a source in which nothing was recognised."""
        if self._report.n_read == 0:
            with naming(self._source.name):
                raise DataError.of(
                    expected="at least one row",
                    got="an empty source",
                    fix="check that the rows were written, and to this place",
                    reason="no rows",
                )
        self._check_columns_there()
        fmt = self._format
        if fmt is None and self._report.format != _UNKNOWN:
            fmt = find_format(self._report.format)
        if fmt is None:
            with naming(self._source.name):
                raise self._undetected or DataError(
                    f"no row could be read, the first as: {self._report.main_fault}",
                    reason="no usable row",
                )
        fault = self._report.fault_of(MEANS_OTHERWISE, above=_FEW_STRAY)
        if fault and self._report.n_kept:
            with naming(self._source.name):
                raise DataError(fault, reason=MEANS_OTHERWISE)
        preferences = self._builder.build(self._report)
        # Millions of small objects less to walk over when collection begins again.
        self._builder = PreferencesBuilder()
        self._report.notes[:0] = self._source.said
        if fault := self._report.main_fault:
            self._report.notes.append(f"most rows were left out, the first as: {fault}")
        self._account_for_columns(preferences)
        for remark in remarks(fmt, self._report.columns, preferences):
            self._report.notes.append(remark.text)
            if remark.is_warning:
                warn(f"{self._source.name}: {remark.text}", MisreadWarning)
        return preferences

    def _keep(self, row: Row | DataError) -> None:
        if isinstance(row, DataError):
            raise row
        prepared = self._prepared(row)
        chosen = self._format or self._detected(prepared, row)
        reader = RowReader(self._options)
        with _explaining(prepared, row, chosen):
            chosen.read(prepared, reader)
            add_tools(prepared, reader)
        reader.check_template(f"format {chosen.name}")
        self._builder.add(reader, self._report.n_read)
        # The format is settled by the first row that could be used, not merely seen.
        self._format = chosen
        self._report.keep()
        for note in reader.said:
            if note not in self._report.notes:
                self._report.notes.append(note)
        if reader.used_tools and "tools" in row:
            self._uses["tools"] = "tools, for chat templates"
        shape = tuple(prepared)
        if shape not in self._shapes:
            self._shapes.add(shape)
            templated = self._options.prompt_template is not None
            self._uses |= {
                name: use
                for name, use in chosen.roles(prepared).items()
                if not (templated and "prompt" in use)
            }
        self._plain = self._plain_columns(chosen, prepared)

    def _plain_columns(self, chosen: Format, row: Row) -> PlainRows | None:
        """Find out whether rows like this one can be read the quick way.

        Not before every column was seen filled, as the account of them needs it.
        """
        renamed = self._columns or self._options.prompt_template or self._source.untyped
        if chosen.plain is None or renamed or not self._filled.issuperset(row):
            return None
        return chosen.plain(row, self._options)

    def _detected(self, row: Row, own: Row) -> Format:
        try:
            detected = detect_format(row)
        except DataError:
            template = self._options.prompt_template
            written = template_columns(template) if template else ()
            absent = [name for name in written if name not in row]
            beside = {name: cell for name, cell in row.items() if name not in written}
            error = (
                no_column_of_template(absent[0], own)
                if absent
                else unknown_format(beside, own)
            )
            self._undetected = self._undetected or error
            raise error from None
        self._report.format = detected.name
        self._report.why = f"its rows have {detected.columns}"
        return detected

    def _prepared(self, row: Row) -> Row:
        """Rename the columns, and type the cells of a source without types."""
        for name, cell in row.items():
            if name not in self._filled and cell is not None and cell != "":
                self._filled.add(name)
            self._uses.setdefault(name, UNUSED)
        if self._columns:
            row = self._renamed(row)
        row = place_for_prompt(row, self._options.prompt_template)
        return typed(row, TEXT_COLUMNS) if self._source.untyped else row

    def _renamed(self, row: Row) -> Row:
        kept = respelt(row, self._columns)
        for ours, theirs in self._columns.items():
            if theirs not in row and " - " in theirs:
                kept |= difference(row, ours, theirs)
        return kept

    def _check_columns_there(self) -> None:
        """Refuse a name in `columns=` that no row has."""
        for ours, theirs in self._columns.items():
            parts = [theirs] if theirs in self._uses else theirs.split(" - ")
            for part in parts:
                if part not in self._uses and self._is_needless(ours):
                    note = f"columns= names {part[:40]!r} for {ours!r}, not needed here"
                    self._report.notes.append(note)
                elif part not in self._uses:
                    near = difflib.get_close_matches(part, self._uses, n=1, cutoff=0.5)
                    raise invalid_input(
                        f"columns of the source as values of columns, for {ours!r}",
                        f"{part[:40]!r}, which none of {column_names(self._uses)} is",
                        f"did you mean {near[0][:40]!r}?"
                        if near
                        else "name one of these",
                    )

    def _is_needless(self, ours: str) -> bool:
        """Say whether rows were read in a format that has no use for a name.

        A reward model has one set of names for frames of pairs and of items.
        """
        fmt = self._format
        needs = () if fmt is None else tuple(chain(*fmt.needs))
        return bool(needs) and ours in RESPONSES and ours not in needs

    def _account_for_columns(self, preferences: Preferences) -> None:
        """Say of every column of the source what it was read as."""
        kept = len(preferences.items) > 0
        carried: set[str] = set()
        if kept:
            carried = {*preferences.items} - _OF_ITEMS
            carried |= {*preferences.pairs} - _OF_PAIRS
        ours = {theirs: name for name, theirs in self._columns.items()}
        template = self._options.prompt_template
        in_template = template_columns(template) if template else ()
        for name, use in self._uses.items():
            known = ours.get(name, name)
            if known in _JOINED or (name in self._columns and name not in ours):
                continue
            role = self._uses.get(known, use)
            if name in in_template:
                role = "prompt"
            elif role == UNUSED and {known, f"source_{known}"} & carried:
                role = ANNOTATOR if known == "annotator" else CARRIED
            elif role == UNUSED and name not in self._filled:
                role = EMPTY
            self._report.columns[name] = role


@contextmanager
def _no_collection() -> Iterator[None]:
    """Read without garbage collection: rows make no cycles, and millions of objects.

    The collector would walk over all that were made, again and again: it takes a third
    of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _explaining(row: Row, own: Row, chosen: Format) -> Iterator[None]:
    """Turn what a format raises into a `DataError`.

    Where the row does not look like the format, the message lists the columns of both:
    those of the row as the source has them.
    """
    try:
        yield
    except RecursionError as error:
        raise too_deep() from error
    except InvalidInputError as error:
        raise DataError(str(error), reason="malformed messages") from error
    except KeyError as error:
        missing = str(error.args[0])[:40]
        raise DataError.of(
            expected=_expectation(chosen),
            got=f"no {missing!r} among {column_names(own)}",
            fix=f"{name_it(missing, row)}; or read as another format: embrm formats "
            "lists them",
            reason=f"no column {missing!r}",
        ) from error
    except DataError as error:
        if isinstance(error, NoPreferenceError) or chosen.detect(row):
            raise
        raise DataError(
            f"{error} This may be another format: "
            + format_error(
                expected=_expectation(chosen),
                got=column_names(own),
                fix=name_it("prompt", row),
            ),
            reason=error.reason,
        ) from error


def _expectation(chosen: Format) -> str:
    return f"the columns of format {chosen.name}: {chosen.columns}"
