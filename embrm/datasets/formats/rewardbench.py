"""RewardBench, versions 1 and 2.

Version 1 has one chosen and one rejected response in each row, and whatever other
columns it has go along; rows with labels, margins or weights of their own are plain
pairs. Version 2 has lists of
both; each chosen response is paired with each rejected one, and `chosen_index` and
`rejected_index` tell the pairs of a row apart, which the official score of the subset
"Ties" needs, as it needs the ids ("ref:3", "tied:3"): they are kept as they are.

A row of version 2 that lists one text as chosen and as rejected contradicts itself and
is refused whole; a text listed twice on one side is kept twice.

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

from embrm.datasets.formats.base import Format, Row, RowReader, is_missing
from embrm.datasets.formats.extras import extras_of
from embrm.datasets.formats.fields import is_text_list, list_of, name_of


def _is_version_1(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "chosen", "rejected", "subset", "id"}
        and isinstance(row["chosen"], str)
        and isinstance(row["rejected"], str)
        and not row.keys() & {"y", "margin", "weight"}
    )


def _read_version_1(row: Row, reader: RowReader) -> None:
    chosen = reader.item(row["prompt"], row["chosen"])
    rejected = reader.item(row["prompt"], row["rejected"])
    columns = extras_of(row, "prompt", "chosen", "rejected", "subset", "id")
    for name, column in (("subset", "subset"), ("id", "benchmark_id")):
        if not is_missing(row[name]):
            columns[column] = name_of(row[name], name)
    reader.pair(chosen, rejected, **columns)


def _is_version_2(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "chosen", "rejected", "num_correct"}
        and is_text_list(row["chosen"])
        and is_text_list(row["rejected"])
    )


def _read_version_2(row: Row, reader: RowReader) -> None:
    subset = name_of(row["subset"], "subset")
    benchmark_id = name_of(row["id"], "id")
    chosen, rejected = (
        [reader.item(row["prompt"], text) for text in list_of(row[side], side)]
        for side in ("chosen", "rejected")
    )
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
