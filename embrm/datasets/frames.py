"""Read any source into a data frame, row for row, whatever its columns."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from embrm.datasets.building import check_unicode
from embrm.datasets.csv_rows import typed
from embrm.datasets.rows import named_rows, naming
from embrm.datasets.sources import open_source
from embrm.exceptions import DataError


def read_frame(
    source: str | Path | pd.DataFrame | Iterable[Mapping[str, Any]],
    *,
    max_line_bytes: int = 100_000_000,
    max_json_bytes: int = 500_000_000,
) -> pd.DataFrame:
    """Read a source into a data frame, without interpreting its columns.

    Parameters
    ----------
    source : str, Path, DataFrame or iterable of mappings
        As in `read_preferences`.
    max_line_bytes : int, default=100_000_000
        Longest line of a text file, in bytes.
    max_json_bytes : int, default=500_000_000
        Largest `.json` file that is not JSON lines, in bytes, unpacked.

    Returns
    -------
    DataFrame
        One row for each row of the source, in order.

    Raises
    ------
    DataError
        If the source or a row of it cannot be read; the message names the line.

    Examples
    --------
    >>> read_frame([{"prompt": "Hi", "response": "Hello!"}])
      prompt response
    0     Hi   Hello!
    """
    if isinstance(source, pd.DataFrame):
        return source
    opened = open_source(
        source, max_line_bytes=max_line_bytes, max_json_bytes=max_json_bytes
    )
    records = []
    with closing(named_rows(opened)) as rows:
        for number, row in rows:
            with naming(opened.place(number)):
                if isinstance(row, DataError):
                    raise row
                check_unicode(row)
            records.append(typed(row) if opened.untyped else row)
    # The index keeps rows without columns, as an empty object has none.
    return pd.DataFrame(records, index=pd.RangeIndex(len(records)))
