"""What `embrm simulate` prints: heads side by side at every noise, over seeds."""

import math
from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rich.table import Table

from embrm.cli.output import table
from embrm.evaluate.displays.seed_lines import Columns, lines_from_frame

if TYPE_CHECKING:
    import pandas as pd

_Y = "order_consistency"
_COLUMNS = MappingProxyType(
    {
        "annotator": "left",
        "error": "right",
        "head": "left",
        "consistency": "right",
        "95% interval": "right",
        "seeds": "right",
        "failed": "right",
    }
)


class Summary(NamedTuple):
    """One line of the table: cells that differ by their seed alone.

    Attributes
    ----------
    design, annotator, head : str
    budget : int
    error_rate : float
        Realised, mean over seeds.
    mean, low, high : float
        Of order consistency over seeds; NaN where there is none, or one seed.
    n_seeds, n_failed : int
        Cells with a result, and without.
    """

    design: str
    budget: int
    annotator: str
    head: str
    error_rate: float
    mean: float
    low: float
    high: float
    n_seeds: int
    n_failed: int


def summaries(frame: "pd.DataFrame") -> Iterator[Summary]:
    """Average cells over seeds, in the order of the grid, heads innermost.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = {"design": "same", "annotator": "calm", "budget": 10, "head": "linear"}
    >>> frame = pd.DataFrame([cells | {"seed": 0}, cells | {"seed": 1}]).assign(
    ...     error_rate=[0.1, 0.2], order_consistency=[0.6, 0.8]
    ... )
    >>> [line] = summaries(frame)
    >>> round(line.error_rate, 2), round(line.mean, 2), line.n_seeds
    (0.15, 0.7, 2)
    """
    factors = ["design", "budget", "annotator"]
    for level, alike in frame.groupby(factors, sort=False):
        design, budget, annotator = cast("tuple[str, int, str]", level)
        error_rate = float(alike["error_rate"].mean())
        for head, cells in alike.groupby("head", sort=False):
            known = cells[cells[_Y].notna()]
            mean = low = high = math.nan
            if len(known):
                columns = Columns("head", "annotator", "annotator", _Y, "seed")
                line = lines_from_frame(known, columns).lines[0]
                mean, low, high = (
                    float(v[0]) for v in (line.mean, line.low, line.high)
                )
            yield Summary(
                *(design, int(budget), annotator, str(head)),
                *(error_rate, mean, low, high),
                *(len(known), len(cells) - len(known)),
            )


def make_tables(frame: "pd.DataFrame") -> list[tuple[str, Table]]:
    """Lay out the means, a table for each design and budget, with a title if several.

    Examples
    --------
    >>> import pandas as pd
    >>> cell = {"annotator": "calm", "head": "linear", "seed": 0, "error_rate": 0.1}
    >>> frame = pd.DataFrame([cell | {"design": "same", "order_consistency": 0.7}])
    >>> frame = pd.concat([frame.assign(budget=n) for n in (10, 20)])
    >>> [title for title, _ in make_tables(frame)]
    ['same, 10 pairs', 'same, 20 pairs']
    """
    lines = list(summaries(frame))
    columns = dict(_COLUMNS)
    if not any(line.n_failed for line in lines):
        del columns["failed"]
    cells = [_cells(line) for line in lines]
    # The same width in every table: its columns are under those of the one before.
    widths = {name: max(len(row[name]) for row in cells) for name in columns}
    parts: dict[tuple[str, int], list[list[str]]] = {}
    for line, row in zip(lines, cells, strict=True):
        padded = [
            row[name].rjust(widths[name])
            if side == "right"
            else row[name].ljust(widths[name])
            for name, side in columns.items()
        ]
        parts.setdefault((line.design, line.budget), []).append(padded)
    return [
        (f"{design}, {budget:,} pairs" if len(parts) > 1 else "", table(columns, rows))
        for (design, budget), rows in parts.items()
    ]


def json_table(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Write the same means as JSON; NaN is None."""
    return [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in line._asdict().items()
        }
        for line in summaries(frame)
    ]


def _cells(line: Summary) -> dict[str, str]:
    interval = "" if math.isnan(line.low) else f"[{line.low:.3f}, {line.high:.3f}]"
    return {
        "annotator": line.annotator,
        "error": "" if math.isnan(line.error_rate) else f"{line.error_rate:.1%}",
        "head": line.head,
        "consistency": "" if math.isnan(line.mean) else f"{line.mean:.3f}",
        "95% interval": interval,
        "seeds": str(line.n_seeds),
        "failed": str(line.n_failed),
    }
