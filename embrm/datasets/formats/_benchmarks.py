"""Formats of reward benchmarks: RewardBench, RM-Bench, JudgeBench, LLMBar."""

from itertools import product
from typing import Any

from embrm.datasets.formats._fields import (
    extras_of,
    in_short,
    is_text_list,
    list_of,
    name_of,
    texts_among,
    whole_number,
)
from embrm.datasets.formats.base import (
    Format,
    Row,
    RowReader,
    has_columns,
    is_missing,
    static_roles,
)
from embrm.exceptions import DataError, NoPreferenceError

_STYLES = ("concise", "detailed-plain", "detailed-markdown")
_WINNERS = {"A>B": 1.0, "B>A": 0.0}
_ROLES = static_roles(
    prompt="prompt",
    chosen="chosen",
    rejected="rejected",
    id="benchmark_id",
    subset="subset",
    domain="domain",
)


def _is_rewardbench(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "chosen", "rejected", "subset", "id"}
        and isinstance(row["chosen"], str)
        and isinstance(row["rejected"], str)
        and not row.keys() & {"y", "margin", "weight"}
    )


def _read_rewardbench(row: Row, reader: RowReader) -> None:
    chosen, rejected = reader.items_of(row["prompt"], row, "chosen", "rejected")
    columns = extras_of(row, "prompt", "chosen", "rejected", "subset", "id")
    for name, column in (("subset", "subset"), ("id", "benchmark_id")):
        if not is_missing(row[name]):
            columns[column] = name_of(row[name], name)
    reader.pair(chosen, rejected, **columns)


def _is_rewardbench_2(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "chosen", "rejected", "num_correct"}
        and is_text_list(row["chosen"])
        and is_text_list(row["rejected"])
    )


def _read_rewardbench_2(row: Row, reader: RowReader) -> None:
    """Read RewardBench, versions 1 and 2.

    Version 1 has one chosen and one rejected response in each row, and whatever other
    columns it has go along; rows with labels, margins or weights of their own are plain
    pairs. Version 2 has lists of both; each chosen response is paired with each
    rejected one, and `chosen_index` and `rejected_index` tell the pairs of a row apart,
    which the official score of the subset "Ties" needs, as it needs the ids ("ref:3",
    "tied:3"): they are kept as they are.

    A row of version 2 that lists one text as chosen and as rejected contradicts itself
    and is refused whole; a text listed twice on one side is kept twice.

    References
    ----------
    Lambert et al. 2024, arXiv:2403.13787; Malik et al. 2025, arXiv:2506.01937.

    Examples
    --------
    >>> reader = RowReader()
    >>> REWARDBENCH_2.read(
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
    subset = {} if "subset" not in row else {"subset": name_of(row["subset"], "subset")}
    benchmark_id = name_of(row["id"], "id")
    chosen, rejected = (
        [
            reader.item(row["prompt"], text, origin=(side, n))
            for n, text in enumerate(list_of(row[side], side))
        ]
        for side in ("chosen", "rejected")
    )
    for i, first in enumerate(chosen):
        for j, second in enumerate(rejected):
            reader.pair(
                first,
                second,
                1.0,
                **subset,
                benchmark_id=benchmark_id,
                chosen_index=i,
                rejected_index=j,
            )


REWARDBENCH = Format(
    name="rewardbench",
    columns="prompt, chosen, rejected, subset, id",
    about="RewardBench",
    detect=_is_rewardbench,
    read=_read_rewardbench,
    roles=_ROLES,
)

REWARDBENCH_2 = Format(
    name="rewardbench2",
    columns="id, prompt, chosen [list], rejected [list], num_correct, "
    "total_completions, subset",
    about="RewardBench 2",
    detect=_is_rewardbench_2,
    read=_read_rewardbench_2,
    roles=_ROLES,
)


def _is_rm_bench(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "chosen", "rejected"}
        and "num_correct" not in row
        and all(
            is_text_list(row[side]) and len(row[side]) == len(_STYLES)
            for side in ("chosen", "rejected")
        )
    )


def _read_rm_bench(row: Row, reader: RowReader) -> None:
    """Read RM-Bench: three chosen and three rejected responses, one in each style.

    The nine pairs of a row are the cells of the benchmark's 3 x 3 matrix;
    `chosen_style` and `rejected_style` name the cell. `domain` and `subset` are kept
    where the file has them (the files of the single domains have no `domain`).

    A cell whose two texts are identical is left out, the other cells are kept, and
    each pair has the number of such cells of its row in `cells_left_out`. The
    official score counts them as wrong (it requires a strictly greater reward), so
    it divides by nine cells for each row. A row without any cell left is refused.

    References
    ----------
    Liu et al. 2024, arXiv:2410.16184.

    Examples
    --------
    >>> reader = RowReader()
    >>> RM_BENCH.read(
    ...     {
    ...         "id": 8,
    ...         "prompt": "2 + 2?",
    ...         "chosen": list("444"),
    ...         "rejected": list("345"),
    ...     },
    ...     reader,
    ... )
    >>> len(reader.pairs), reader.pairs[0]["cells_left_out"]
    (6, 3)
    """
    chosen = list_of(row["chosen"], "chosen", len(_STYLES))
    rejected = list_of(row["rejected"], "rejected", len(_STYLES))
    for side, texts in (("chosen", chosen), ("rejected", rejected)):
        for n, text in enumerate(texts):
            reader.item(row["prompt"], text, origin=(side, n))
    every = list(product(range(len(_STYLES)), repeat=2))
    cells = [(i, j) for i, j in every if chosen[i] != rejected[j]]
    # With no cell left, pairing a cell as it stands gives the refusal its usual words.
    for i, j in cells or every[:1]:
        reader.pair(
            i,
            len(_STYLES) + j,
            1.0,
            chosen_style=_STYLES[i],
            rejected_style=_STYLES[j],
            benchmark_id=name_of(row["id"], "id"),
            cells_left_out=len(every) - len(cells),
            **texts_among(row, "domain", "subset"),
        )


RM_BENCH = Format(
    name="rm-bench",
    columns="id, prompt, chosen [3], rejected [3], domain",
    about="RM-Bench: three styles of each side",
    detect=_is_rm_bench,
    read=_read_rm_bench,
    roles=_ROLES,
)


def _read_judgebench(row: Row, reader: RowReader) -> None:
    """Read JudgeBench: response A against response B, one of them objectively right.

    References
    ----------
    Tan et al. 2024, arXiv:2410.12784.

    Examples
    --------
    >>> reader = RowReader()
    >>> JUDGEBENCH.read(
    ...     {
    ...         "pair_id": "81ec",
    ...         "source": "mmlu-pro-math",
    ...         "question": "2 + 2?",
    ...         "response_A": "5",
    ...         "response_B": "4",
    ...         "label": "B>A",
    ...     },
    ...     reader,
    ... )
    >>> reader.pairs[0]["y"], reader.pairs[0]["benchmark_id"]
    (0.0, '81ec')
    """
    first, second = reader.items_of(row["question"], row, "response_A", "response_B")
    reader.pair(
        first,
        second,
        _winner(row["label"]),
        benchmark_id=name_of(row["pair_id"], "pair_id"),
        source=name_of(row["source"], "source"),
        **texts_among(row, "response_model"),
    )


def _winner(value: Any) -> float:
    """Read which response is right: 1 for A, 0 for B."""
    if isinstance(value, str) and value.strip() in _WINNERS:
        return _WINNERS[value.strip()]
    missing = is_missing(value)
    error = NoPreferenceError if missing else DataError
    raise error.of(
        expected="the label 'A>B' or 'B>A'",
        got=in_short(value),
        fix="drop the row: JudgeBench has no ties",
        reason="missing label" if missing else "unknown label",
    )


JUDGEBENCH = Format(
    name="judgebench",
    columns="pair_id, original_id, source, question, response_model, response_A, "
    "response_B, label ('A>B' or 'B>A')",
    about="JudgeBench",
    detect=has_columns("question", "response_A", "response_B", "label"),
    read=_read_judgebench,
    roles=static_roles(
        question="prompt",
        response_A="first",
        response_B="second",
        label="winner",
        pair_id="benchmark_id",
    ),
    says_winner=True,
)


def _read_llmbar(row: Row, reader: RowReader) -> None:
    """Read LLMBar: two outputs for one instruction; the label names the better one.

    References
    ----------
    Zeng et al. 2023, arXiv:2310.07641.

    Examples
    --------
    >>> reader = RowReader()
    >>> row = {"input": "Say hi.", "output_1": "Hi.", "output_2": "Bye.", "label": 1}
    >>> LLMBAR.read(row, reader)
    >>> reader.pairs
    [{'first': 0, 'second': 1, 'y': 1.0}]
    """
    label = whole_number(row["label"], "label", low=1, high=2)
    first, second = reader.items_of(row["input"], row, "output_1", "output_2")
    reader.pair(first, second, 1.0 if label == 1 else 0.0)


LLMBAR = Format(
    name="llmbar",
    columns="input, output_1, output_2, label (1 or 2)",
    about="LLMBar",
    detect=has_columns("input", "output_1", "output_2", "label"),
    read=_read_llmbar,
    roles=static_roles(
        input="prompt", output_1="first", output_2="second", label="winner"
    ),
    says_winner=True,
)

BENCHMARKS = (REWARDBENCH, REWARDBENCH_2, RM_BENCH, JUDGEBENCH, LLMBAR)
"""In the order in which they are tried."""
