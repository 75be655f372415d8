"""Open sources of preference rows: files, stdin, frames, tables, dicts, the hub."""

import glob
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from embrm._optional import import_optional
from embrm.datasets._building import check_unicode
from embrm.datasets._csv_rows import csv_source, typed
from embrm.datasets._json_rows import json_source, jsonl_source, stream_source
from embrm.datasets._read_options import check_encoding
from embrm.datasets._rows import (
    NumberedRows,
    ReadLimits,
    Source,
    declared_encoding,
    in_rows,
    named_rows,
    naming,
)
from embrm.datasets.formats import TEXT_COLUMNS
from embrm.datasets.tables import (
    file_source,
    frame_source,
    iterable_source,
    table_source,
)
from embrm.exceptions import DataError, invalid_input

_OPENERS: Mapping[str, Callable[[Path, ReadLimits], Source]] = {
    ".jsonl": jsonl_source,
    ".ndjson": jsonl_source,
    ".json": json_source,
    ".csv": csv_source,
    ".tsv": csv_source,
}
_PACKED = (".gz", ".zst")
_ARROW = (".arrow", ".feather")
EXTENSIONS = (
    *_OPENERS,
    *(f"{kind}{packed}" for kind in _OPENERS for packed in _PACKED),
    ".parquet",
    *_ARROW,
)
_ALL_KINDS = (
    f"{', '.join(_OPENERS)} (each also {' or '.join(_PACKED)}), .parquet, "
    f"{' or '.join(_ARROW)}"
)
_OTHER_KINDS = {
    (
        ".xlsx",
        ".xls",
        ".ods",
    ): "save it as CSV in UTF-8, or read it with pandas and pass the DataFrame",
    (".zip", ".bz2", ".xz", ".7z", ".tar", ".rar"): "unpack it, or pack it as .gz",
    (".txt",): "rename it by what it holds: .jsonl, .csv or .tsv",
}
# Written beside the rows by the library `datasets`.
_DESCRIPTIONS = {"state.json", "dataset_info.json", "dataset_infos.json"}

_NUMBERS_PER_FILE = 1 << 40
PREFIX = "hf:"
_ID = re.compile(
    r"hf:(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<config>[^:@]+))?(@(?P<split>[^@]+))?"
)
_SPLIT = re.compile(r"(train|test|valid(ation)?|dev|eval)(?![a-z])", re.IGNORECASE)


def open_source(source: Any, limits: ReadLimits | None = None) -> Source:
    """Open a source of rows, without reading them yet.

    Parameters
    ----------
    source : path, list of paths, frame, table or iterable of mappings
        A path with one of `EXTENSIONS`, a directory of such files or a pattern such as
        `data/train-*.parquet`; `"-"` for JSON lines on standard input;
        `"hf:owner/name[:config][@split]"`; a frame of pandas or polars, a table of
        pyarrow, a dataset of Hugging Face.
    limits : ReadLimits, optional

    Returns
    -------
    Source

    Raises
    ------
    DataError
        If there is no such file, or its kind is unknown.
    InvalidInputError
        If `source` is of a type that holds no rows.

    Examples
    --------
    >>> opened = open_source([{"prompt": "Hi"}])
    >>> list(opened.rows)
    [(1, {'prompt': 'Hi'})]
    """
    limits = limits or ReadLimits()
    if isinstance(source, str) and source == "-":
        return stream_source(sys.stdin.buffer, "standard input", limits)
    if isinstance(source, str) and source.startswith(PREFIX):
        return hub_source(source)
    if isinstance(source, str | Path):
        with naming((Path(source).name or str(source) or ".")[:80]):
            return _open_path(Path(source), limits)
    if isinstance(source, pd.DataFrame):
        return frame_source(source)
    if _is_polars(source):
        return table_source(source.to_arrow(), "frame")
    if isinstance(source, pa.Table | pa.RecordBatch):
        return table_source(source, "table")
    if _is_dataset_dict(source):
        return iterable_source(_one_split(source), "dataset")
    if _are_paths(source):
        return _several([Path(path) for path in source], limits)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return iterable_source(source)
    raise invalid_input(
        expected="a path, '-', 'hf:owner/name', a DataFrame or a list of dicts",
        got=type(source).__name__,
        fix="pass one of these; turn a dict of columns into pd.DataFrame(...)",
    )


def read_frame(
    source: Any,
    *,
    encoding: str = "utf-8",
    max_line_bytes: int = 16_000_000,
    max_json_bytes: int = 500_000_000,
) -> pd.DataFrame:
    """Read a source into a data frame, without interpreting its columns.

    Parameters
    ----------
    source : path, list of paths, frame, table or iterable of mappings
        As in `read_preferences`.
    encoding, max_line_bytes, max_json_bytes
        As in `read_preferences`.

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
    check_encoding(encoding)
    limits = ReadLimits(max_line_bytes, max_json_bytes, encoding=encoding)
    opened = open_source(source, limits)
    records = []
    with closing(named_rows(opened)) as rows:
        for number, row in rows:
            with naming(opened.place(number)):
                if isinstance(row, DataError):
                    raise row
                check_unicode(row)
            records.append(typed(row, TEXT_COLUMNS) if opened.untyped else row)
    # The index keeps rows without columns, as an empty object has none.
    return pd.DataFrame(records, index=pd.RangeIndex(len(records)))


def _are_paths(source: Any) -> bool:
    return (
        isinstance(source, Sequence)
        and len(source) > 0
        and all(isinstance(path, str | Path) for path in source)
    )


def _is_polars(source: Any) -> bool:
    return type(source).__module__.startswith("polars.") and hasattr(source, "to_arrow")


def _is_dataset_dict(source: Any) -> bool:
    """Recognise the splits of a Hugging Face dataset, without importing its package."""
    return isinstance(source, Mapping) and type(source).__name__.endswith("DatasetDict")


def _open_path(path: Path, limits: ReadLimits) -> Source:
    kind = _kind_of_path(path)
    if kind == "directory":
        return _several(_shards(path), limits)
    if kind == "missing" and glob.has_magic(str(path)):
        found = sorted(map(Path, glob.glob(str(path))))  # noqa: PTH207
        if found:
            return _several(found, limits)
    if kind != "file":
        raise DataError.of(
            expected="a file that exists",
            got="no such file" if kind == "missing" else "something that is no file",
            fix="check the path and the working directory",
            reason="missing file",
        )
    ending = _ending(path)
    if ending in (".parquet", *_ARROW):
        return file_source(path)
    if ending is not None:
        kind = ending.removesuffix(".gz").removesuffix(".zst")
        limits, said = declared_encoding(path, limits)
        source = _OPENERS[kind](path, limits)
        source.said.extend(said)
        return source
    suffix = path.suffix.lower()
    fixes = [fix for ends, fix in _OTHER_KINDS.items() if suffix in ends]
    raise DataError.of(
        expected=f"a file name that ends in {_ALL_KINDS}",
        got=repr(suffix[:20]) if suffix else "no extension",
        fix=fixes[0] if fixes else "write it as one of these, or pass a DataFrame",
        reason="unknown extension",
    )


def _ending(path: Path) -> str | None:
    """Find which of the known extensions a path has."""
    name = path.name.lower()
    fitting = [end for end in EXTENSIONS if name.endswith(end) and name != end]
    return max(fitting, key=len, default=None)


def _kind_of_path(path: Path) -> str:
    try:
        if path.is_dir():
            return "directory"
        return "file" if path.is_file() else "other" if path.exists() else "missing"
    except (OSError, ValueError):
        # Too long a name, one with a null byte, a folder that may not be entered.
        return "missing"


def _shards(folder: Path) -> list[Path]:
    """List the files of a directory that hold rows, of one split only."""
    files = sorted(
        path
        for path in folder.iterdir()
        if _ending(path) is not None and path.name not in _DESCRIPTIONS
    )
    if not files:
        raise DataError.of(
            expected=f"a file, or a directory of files that end in {_ALL_KINDS}",
            got="a directory without any",
            fix="name the directory that holds the files",
            reason="directory",
        )
    splits = {
        (match := _SPLIT.search(file.name)) and match[0].lower() for file in files
    }
    if len(splits) > 1:
        raise DataError.of(
            expected="a directory with the files of one split",
            got=f"{', '.join(file.name for file in files[:4])}"[:160],
            fix="name the files that are meant, e.g. with a pattern as "
            f"'{folder.name}/train-*{_ending(files[0])}'",
            reason="several splits",
        )
    return files


def _several(paths: list[Path], limits: ReadLimits) -> Source:
    """Read files one after another; places name the file."""
    if len(paths) == 1:
        return open_source(paths[0], limits)
    sources = [open_source(path, limits) for path in paths]
    if len({source.untyped for source in sources}) > 1:
        raise DataError.of(
            expected="several files of one kind",
            got=f"{', '.join(path.name for path in paths[:4])}"[:160],
            fix="read them apart, or write them all as .jsonl",
            reason="files of several kinds",
        )

    def place(number: int) -> str:
        file, row = divmod(number, _NUMBERS_PER_FILE)
        return sources[file].place(row)

    name = f"{paths[0].name} and {len(paths) - 1} more files"
    said: list[str] = []
    return Source(name, _chained(sources, said), place, sources[0].untyped, said)


def _chained(sources: list[Source], said: list[str]) -> NumberedRows:
    for file, source in enumerate(sources):
        with naming(source.name):
            for number, row in source.rows:
                yield file * _NUMBERS_PER_FILE + number, row
        said.extend(note for note in source.said if note not in said)


def hub_source(source: str) -> Source:
    """Open `hf:owner/name[:config][@split]`.

    The split may be left out where the dataset has only one.

    Raises
    ------
    DataError
        If the id is malformed, the hub cannot serve it, or a split must be named.
    MissingDependencyError
        If the package `datasets` is not installed (extra `hub`).
    """
    match = _ID.fullmatch(source)
    if match is None:
        raise DataError.of(
            expected="a dataset id hf:owner/name[:config][@split]",
            got=repr(source[:80]),
            fix="e.g. 'hf:Anthropic/hh-rlhf@train'",
            reason="bad dataset id",
        )
    datasets = import_optional("datasets", extra="hub")
    try:
        loaded = datasets.load_dataset(
            match["name"], match["config"], split=match["split"], streaming=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(error) from error
    inner = iterable_source(_one_split(loaded), source)
    return Source(source, _guarded(inner.rows), in_rows(source))


def _one_split(loaded: Any) -> Iterable[Any]:
    """Take the only split of what was loaded; the error names several."""
    if not isinstance(loaded, Mapping):
        rows: Iterable[Any] = loaded
        return rows
    if len(loaded) == 1:
        only: Iterable[Any] = next(iter(loaded.values()))
        return only
    raise DataError.of(
        expected="the name of a split, as the dataset has several",
        got=f"none of {', '.join(map(str, loaded))}"[:200],
        fix="end the id with @ and the split, e.g. @train, or pass dataset['train']",
        reason="bad dataset id",
    )


def _guarded(rows: NumberedRows) -> NumberedRows:
    """Turn a lost connection into a `DataError`."""
    try:
        yield from rows
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> DataError:
    return DataError.of(
        expected="a dataset that the hub serves",
        got=f"{type(error).__name__}: {str(error)[:160]}",
        fix="check owner, name, config and split, and the connection",
        reason="unreachable dataset",
    )
