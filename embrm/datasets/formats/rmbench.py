"""RM-Bench: three chosen and three rejected responses, one in each style.

The nine pairs of a row are the cells of the benchmark's 3 x 3 matrix; `chosen_style`
and `rejected_style` name the cell. `domain` and `subset` are kept where the file has
them (the files of the single domains have no `domain`).

A cell whose two texts are identical is left out, the other cells are kept, and
`cells_left_out` says for each pair how many of its row's nine cells that befell. The
official score takes such a cell as wrong (it asks for a strictly greater reward), so a
scorer that wants it divides by nine cells for each row. A row of which no cell is left
is refused.

References
----------
Liu et al. 2024, arXiv:2410.16184.

Examples
--------
>>> from embrm.datasets.formats.base import RowReader
>>> reader = RowReader()
>>> FORMATS[0].read(
...     {"id": 8, "prompt": "2 + 2?", "chosen": list("444"), "rejected": list("345")},
...     reader,
... )
>>> len(reader.pairs), reader.pairs[0]["cells_left_out"]
(6, 3)
"""

from itertools import product

from embrm.datasets.formats.base import Format, Row, RowReader
from embrm.datasets.formats.extras import texts_among
from embrm.datasets.formats.fields import is_text_list, list_of, name_of

STYLES = ("concise", "detailed-plain", "detailed-markdown")


def _detect(row: Row) -> bool:
    return (
        row.keys() >= {"prompt", "chosen", "rejected"}
        and "num_correct" not in row
        and all(
            is_text_list(row[side]) and len(row[side]) == len(STYLES)
            for side in ("chosen", "rejected")
        )
    )


def _read(row: Row, reader: RowReader) -> None:
    chosen = list_of(row["chosen"], "chosen", len(STYLES))
    rejected = list_of(row["rejected"], "rejected", len(STYLES))
    for text in (*chosen, *rejected):
        reader.item(row["prompt"], text)
    every = list(product(range(len(STYLES)), repeat=2))
    cells = [(i, j) for i, j in every if chosen[i] != rejected[j]]
    # With no cell left, pairing a cell as it stands gives the refusal its usual words.
    for i, j in cells or every[:1]:
        reader.pair(
            i,
            len(STYLES) + j,
            1.0,
            chosen_style=STYLES[i],
            rejected_style=STYLES[j],
            benchmark_id=name_of(row["id"], "id"),
            cells_left_out=len(every) - len(cells),
            **texts_among(row, "domain", "subset"),
        )


FORMATS = (
    Format(
        name="rm-bench",
        columns="id, prompt, chosen [3], rejected [3], domain",
        detect=_detect,
        read=_read,
    ),
)
