"""Plain pairs: a prompt, the response that was preferred, and the other."""

from embrm.datasets.formats.base import Format, Row, RowReader
from embrm.datasets.formats.extras import extras_of

TEXTS = ("prompt", "chosen", "rejected")


def _detect(row: Row) -> bool:
    return row.keys() >= set(TEXTS)


def _read(row: Row, reader: RowReader) -> None:
    """Read one pair; `y` is the probability that chosen is preferred, else 1."""
    chosen = reader.item(row["prompt"], row["chosen"])
    rejected = reader.item(row["prompt"], row["rejected"])
    reader.pair(chosen, rejected, **extras_of(row, *TEXTS))


FORMATS = (
    Format(
        name="pairs",
        columns="prompt (text or messages), chosen, rejected; optional margin (nats, "
        ">= 0), weight, y (probability that chosen is preferred), and any others",
        detect=_detect,
        read=_read,
    ),
)
