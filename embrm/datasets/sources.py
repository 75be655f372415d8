"""Open whatever holds preference rows: a file, stdin, a frame, dicts, the hub."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from embrm.datasets.csv_rows import csv_source
from embrm.datasets.formats.base import refusal
from embrm.datasets.hub import PREFIX, hub_source
from embrm.datasets.json_rows import json_source, jsonl_source, stream_source
from embrm.datasets.rows import Source, naming
from embrm.datasets.tables import frame_source, iterable_source, parquet_source
from embrm.exceptions import InvalidInputError, three_parts

_TEXTS = (".jsonl", ".json", ".csv")
EXTENSIONS = (*_TEXTS, *(f"{end}.gz" for end in _TEXTS), ".parquet")


def open_source(source: Any, *, max_line_bytes: int, max_json_bytes: int) -> Source:
    """Open a source of rows, without reading them yet.

    Parameters
    ----------
    source : str, Path, DataFrame or iterable of mappings
        A path with one of `EXTENSIONS`, `"-"` for JSON lines on standard input, or
        `"hf:owner/name[:config][@split]"`.
    max_line_bytes : int
        Longest line of a text file, in bytes.
    max_json_bytes : int
        Largest `.json` file that is not JSON lines, in bytes, unpacked.

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
    >>> opened = open_source([{"prompt": "Hi"}], max_line_bytes=100, max_json_bytes=100)
    >>> list(opened.rows)
    [(1, {'prompt': 'Hi'})]
    """
    if isinstance(source, str) and source == "-":
        return stream_source(sys.stdin.buffer, "standard input", max_line_bytes)
    if isinstance(source, str) and source.startswith(PREFIX):
        return hub_source(source)
    if isinstance(source, str | Path):
        with naming((Path(source).name or str(source) or ".")[:80]):
            return _open_path(Path(source), max_line_bytes, max_json_bytes)
    if isinstance(source, pd.DataFrame):
        return frame_source(source)
    if isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        return iterable_source(source)
    raise InvalidInputError(
        three_parts(
            expected="a path, '-', 'hf:owner/name', a DataFrame or a list of dicts",
            got=type(source).__name__,
            cure="pass one of these; turn a dict of columns into pd.DataFrame(...)",
        )
    )


def _open_path(path: Path, max_line_bytes: int, max_json_bytes: int) -> Source:
    _check_file(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    gzipped = suffixes[-1:] == [".gz"]
    kind = suffixes[-2 if gzipped else -1] if len(suffixes) > gzipped else ""
    if kind == ".parquet" and not gzipped:
        return parquet_source(path)
    if kind == ".jsonl":
        return jsonl_source(path, max_line_bytes)
    if kind == ".json":
        return json_source(path, max_line_bytes, max_json_bytes)
    if kind == ".csv":
        return csv_source(path, max_line_bytes)
    raise refusal(
        expected=f"a file name that ends in one of {', '.join(EXTENSIONS)}",
        got=f"{''.join(suffixes[-2:])!r}" if suffixes else "no extension",
        cure="rename the file, or load it as a DataFrame and pass that",
        reason="unknown extension",
    )


def _check_file(path: Path) -> None:
    """Refuse a path at which there is no file."""
    try:
        kind = "directory" if path.is_dir() else "file" if path.exists() else "missing"
    except (OSError, ValueError):
        # Too long a name, one with a null byte, a folder that may not be entered.
        kind = "missing"
    if kind == "directory":
        raise refusal(
            expected="a file",
            got="a directory",
            cure="name one of the files in it",
            reason="directory",
        )
    if kind == "missing":
        raise refusal(
            expected="a file that exists",
            got="no such file",
            cure="check the path and the working directory",
            reason="missing file",
        )
