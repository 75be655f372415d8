"""JudgeBench: response A against response B, one of them objectively right.

References
----------
Tan et al. 2024, arXiv:2410.12784.

Examples
--------
>>> from embrm.datasets.formats.base import RowReader
>>> reader = RowReader()
>>> FORMATS[0].read(
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

from embrm.datasets.formats.base import Format, Row, RowReader, refusal
from embrm.datasets.formats.ratings import prompt_of
from embrm.datasets.formats.rewardbench import name_of, texts_among

_LABELS = {"A>B": 1.0, "B>A": 0.0}


def _detect(row: Row) -> bool:
    return row.keys() >= {"question", "response_A", "response_B", "label"}


def _read(row: Row, reader: RowReader) -> None:
    prompt = prompt_of(row, "question")
    label = row["label"]
    if not isinstance(label, str) or label.strip() not in _LABELS:
        raise refusal(
            expected="the label 'A>B' or 'B>A'",
            got=repr(label)[:20],
            cure="drop the row: JudgeBench has no ties",
            reason="unknown label",
        )
    first = reader.item(prompt, row["response_A"])
    second = reader.item(prompt, row["response_B"])
    reader.pair(
        first,
        second,
        _LABELS[label.strip()],
        benchmark_id=name_of(row, "pair_id"),
        source=name_of(row, "source"),
        **texts_among(row, "response_model"),
    )


FORMATS = (
    Format(
        name="judgebench",
        columns="pair_id, original_id, source, question, response_model, response_A, "
        "response_B, label ('A>B' or 'B>A')",
        detect=_detect,
        read=_read,
    ),
)
