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

from typing import Any

from embrm.datasets.formats.base import Format, Row, RowReader, is_missing, refusal
from embrm.datasets.formats.extras import texts_among
from embrm.datasets.formats.fields import in_short, name_of
from embrm.exceptions import DataError, NoPreferenceError

_LABELS = {"A>B": 1.0, "B>A": 0.0}


def _detect(row: Row) -> bool:
    return row.keys() >= {"question", "response_A", "response_B", "label"}


def _read(row: Row, reader: RowReader) -> None:
    first = reader.item(row["question"], row["response_A"])
    second = reader.item(row["question"], row["response_B"])
    reader.pair(
        first,
        second,
        _label(row["label"]),
        benchmark_id=name_of(row["pair_id"], "pair_id"),
        source=name_of(row["source"], "source"),
        **texts_among(row, "response_model"),
    )


def _label(value: Any) -> float:
    """Read which response is right: 1 for A, 0 for B."""
    if isinstance(value, str) and value.strip() in _LABELS:
        return _LABELS[value.strip()]
    missing = is_missing(value)
    raise refusal(
        expected="the label 'A>B' or 'B>A'",
        got=in_short(value),
        cure="drop the row: JudgeBench has no ties",
        reason="missing label" if missing else "unknown label",
        kind=NoPreferenceError if missing else DataError,
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
