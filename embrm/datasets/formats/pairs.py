"""Plain pairs: a prompt, the response that was preferred, and the other."""

from embrm.datasets.formats.base import Format, Row, RowReader
from embrm.datasets.formats.cells import carried, label_of, margin_and_weight

_USED = ("prompt", "chosen", "rejected", "y", "margin", "weight")


def _detect(row: Row) -> bool:
    return all(column in row for column in ("prompt", "chosen", "rejected"))


def _read(row: Row, reader: RowReader) -> None:
    """Read one pair; `y` is the probability that chosen is preferred, else 1."""
    chosen = reader.item(row["prompt"], row["chosen"])
    rejected = reader.item(row["prompt"], row["rejected"])
    reader.pair(
        chosen,
        rejected,
        label_of(row),
        **margin_and_weight(row),
        **carried(row, _USED),
    )


FORMATS = (
    Format(
        name="pairs",
        columns="prompt (text or messages), chosen, rejected; optional margin (nats, "
        ">= 0), weight, y (probability that chosen is preferred), and any others",
        detect=_detect,
        read=_read,
    ),
)
