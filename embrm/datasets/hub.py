"""Rows of a Hugging Face dataset, streamed from the hub."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from embrm._optional import import_optional
from embrm.datasets.formats.base import refusal
from embrm.datasets.rows import NumberedRows, Source, in_rows
from embrm.datasets.tables import iterable_source
from embrm.exceptions import DataError

PREFIX = "hf:"
_ID = re.compile(
    r"hf:(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<config>[^:@]+))?(@(?P<split>[^@]+))?"
)


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
        raise refusal(
            expected="a dataset id hf:owner/name[:config][@split]",
            got=repr(source[:80]),
            cure="e.g. 'hf:Anthropic/hh-rlhf@train'",
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
    """Take the only split of what was loaded, or say which there are."""
    if not isinstance(loaded, Mapping):
        rows: Iterable[Any] = loaded
        return rows
    if len(loaded) == 1:
        only: Iterable[Any] = next(iter(loaded.values()))
        return only
    raise refusal(
        expected="the name of a split, as the dataset has several",
        got=f"none of {', '.join(map(str, loaded))}"[:200],
        cure="end the id with @ and the split, e.g. @train",
        reason="bad dataset id",
    )


def _guarded(rows: NumberedRows) -> NumberedRows:
    """Turn a connection lost on the way into a `DataError`."""
    try:
        yield from rows
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> DataError:
    return refusal(
        expected="a dataset that the hub serves",
        got=f"{type(error).__name__}: {str(error)[:160]}",
        cure="check owner, name, config and split, and the connection",
        reason="unreachable dataset",
    )
