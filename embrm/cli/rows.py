"""Rows of a frame as JSON, whatever is in its cells."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from embrm.cli.output import json_line

if TYPE_CHECKING:
    import pandas as pd


def json_rows(frame: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """Yield each row as a dict that `json.dumps` takes.

    Parameters
    ----------
    frame : DataFrame

    Yields
    ------
    dict
        Missing values, NaN and infinity are None; times and whatever else JSON does
        not have are text.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"when": [pd.Timestamp("2026-11-20")], "x": [np.nan]})
    >>> list(json_rows(frame))
    [{'when': '2026-11-20 00:00:00', 'x': None}]
    """
    names = [str(name) for name in frame.columns]
    columns = [frame.iloc[:, n].tolist() for n in range(len(names))]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, map(_plain, values), strict=True))


def write_json_lines(frame: "pd.DataFrame", stream: Any) -> None:
    """Write one JSON object per row; numbers come back as the same bits."""
    for row in json_rows(frame):
        stream.write(json_line(row, stream))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    # NA and NaT, told by their text: no bool comes of comparing them.
    text = str(value)
    return None if text in ("<NA>", "NaT") else text
