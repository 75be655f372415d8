"""RewardBench, versions 1 and 2.

Version 1 has one chosen and one rejected response in each row. Version 2 has lists of
both; each chosen response is paired with each rejected one, and `chosen_index` and
`rejected_index` tell the pairs of a row apart, which the official score of the subset
"Ties" needs, as it needs the ids ("ref:3", "tied:3"): they are kept as they are.

A row of version 2 that lists one text as chosen and as rejected contradicts itself and
is refused whole; a text listed twice on one side is kept twice.

`list_of`, `name_of` and `texts_among` are readers of fields that other formats use too.

References
----------
Lambert et al. 2024, arXiv:2403.13787; Malik et al. 2025, arXiv:2506.01937.

Examples
--------
>>> from embrm.datasets.formats.base import RowReader
>>> version_1, version_2 = FORMATS
>>> reader = RowReader()
>>> version_2.read(
...     {
...         "id": "tied:0",
...         "prompt": "Name a primary colour.",
...         "chosen": ["Red", "Blue"],
...         "rejected": ["Grey"],
...         "num_correct": 2,
...         "total_completions": 3,
...         "subset": "Ties",
...     },
...     reader,
... )
>>> [(pair["chosen_index"], pair["rejected_index"]) for pair in reader.pairs]
[(0, 0), (1, 0)]
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from embrm.datasets.formats.base import Format, Row, RowReader, refusal
from embrm.datasets.formats.ratings import is_missing, prompt_of
from embrm.exceptions import NoPreferenceError


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Say whether a field is a list, as JSON, Arrow or pandas hand one over."""
    return isinstance(value, list | tuple | np.ndarray)


def is_text_list(value: Any) -> bool:
    """Say whether a field is a list of texts (and not of messages)."""
    return is_list(value) and all(isinstance(text, str) for text in value)


def first_fields(value: Any) -> frozenset[str]:
    """List the fields of the first record, where a field is a list of records."""
    first = value[0] if is_list(value) and len(value) > 0 else None
    return frozenset(first) if isinstance(first, Mapping) else frozenset()


def list_of(row: Row, column: str, length: int | None = None) -> list[Any]:
    """Read a list; what stands in it is for the caller to check.

    Raises
    ------
    DataError
        If the field is no list, is empty, or does not have the length asked for.
    """
    value = row[column]
    if is_list(value) and len(value) == (length or len(value)) > 0:
        return list(value)
    raise refusal(
        expected=f"a list of {length or 'one or more'} as {column}",
        got=f"a list of {len(value)}" if is_list(value) else type(value).__name__,
        cure="drop the row or mend the list",
        reason=f"{column} has the wrong length"
        if is_list(value)
        else f"{column} is not a list",
    )


def texts_among(row: Row, *columns: str) -> dict[str, str]:
    """Carry those columns that hold text in this row."""
    return {name: row[name] for name in columns if isinstance(row.get(name), str)}


def name_of(row: Row, column: str) -> str:
    """Read an id or the name of a subset; numbers become text.

    Raises
    ------
    DataError
        If it is missing, empty, or a list.
    """
    value = row[column]
    # A frame holds whole numbers as floats where some are missing.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    named = isinstance(value, str | int | np.integer) and str(value).strip()
    if named and not isinstance(value, bool):
        return str(value)
    raise refusal(
        expected=f"a name or number as {column}",
        got="none" if is_missing(value) else f"an unusable {type(value).__name__}",
        cure="fill it in: the benchmark is scored by it",
        reason=f"missing {column}",
        kind=NoPreferenceError,
    )


def _is_version_1(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "chosen", "rejected", "subset", "id"}
        and isinstance(row["chosen"], str)
        and isinstance(row["rejected"], str)
        and not row.keys() & {"y", "margin", "weight"}
    )


def _read_version_1(row: Row, reader: RowReader) -> None:
    prompt = prompt_of(row)
    chosen = reader.item(prompt, row["chosen"])
    rejected = reader.item(prompt, row["rejected"])
    reader.pair(
        chosen,
        rejected,
        1.0,
        subset=name_of(row, "subset"),
        benchmark_id=name_of(row, "id"),
    )


def _is_version_2(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "chosen", "rejected", "num_correct"}
        and is_text_list(row["chosen"])
        and is_text_list(row["rejected"])
    )


def _read_version_2(row: Row, reader: RowReader) -> None:
    prompt = prompt_of(row)
    subset, benchmark_id = name_of(row, "subset"), name_of(row, "id")
    chosen = [reader.item(prompt, text) for text in list_of(row, "chosen")]
    rejected = [reader.item(prompt, text) for text in list_of(row, "rejected")]
    for i, first in enumerate(chosen):
        for j, second in enumerate(rejected):
            reader.pair(
                first,
                second,
                1.0,
                subset=subset,
                benchmark_id=benchmark_id,
                chosen_index=i,
                rejected_index=j,
            )


FORMATS = (
    Format(
        name="rewardbench",
        columns="prompt, chosen, rejected, subset, id",
        detect=_is_version_1,
        read=_read_version_1,
    ),
    Format(
        name="rewardbench2",
        columns="id, prompt, chosen [list], rejected [list], num_correct, "
        "total_completions, subset",
        detect=_is_version_2,
        read=_read_version_2,
    ),
)
