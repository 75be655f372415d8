"""LLMBar: two outputs for one instruction; the label says which follows it.

References
----------
Zeng et al. 2023, arXiv:2310.07641.

Examples
--------
>>> from embrm.datasets.formats.base import RowReader
>>> reader = RowReader()
>>> row = {"input": "Say hi.", "output_1": "Hi.", "output_2": "Bye.", "label": 1}
>>> FORMATS[0].read(row, reader)
>>> reader.pairs
[{'first': 0, 'second': 1, 'y': 1.0}]
"""

from embrm.datasets.formats.base import Format, Row, RowReader
from embrm.datasets.formats.fields import whole_number


def _detect(row: Row) -> bool:
    return row.keys() >= {"input", "output_1", "output_2", "label"}


def _read(row: Row, reader: RowReader) -> None:
    label = whole_number(row["label"], "label", low=1, high=2)
    first = reader.item(row["input"], row["output_1"])
    second = reader.item(row["input"], row["output_2"])
    reader.pair(first, second, 1.0 if label == 1 else 0.0)


FORMATS = (
    Format(
        name="llmbar",
        columns="input, output_1, output_2, label (1 or 2)",
        detect=_detect,
        read=_read,
    ),
)
