"""The preference formats that embrm reads, most specific first.

A new format is one `Format` in a module here, and one entry in `_FORMATS`.
"""

import difflib

from embrm.datasets.formats._benchmarks import (
    JUDGEBENCH,
    LLMBAR,
    REWARDBENCH,
    REWARDBENCH_2,
    RM_BENCH,
)
from embrm.datasets.formats._pairs import HH, PAIRS, TRL
from embrm.datasets.formats._ranked import RANKED, UNPAIRED
from embrm.datasets.formats._rated import (
    HELPSTEER_2,
    HELPSTEER_2_PREFERENCE,
    HELPSTEER_3,
    RATINGS,
    ULTRAFEEDBACK,
)
from embrm.datasets.formats.base import Format, Row, RowReader
from embrm.exceptions import DataError, InvalidInputError, format_error

__all__ = ["Format", "RowReader", "detect_format", "find_format", "known_formats"]

# A row may fit several formats: the first one wins, so general ones stand last.
_FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        REWARDBENCH,
        REWARDBENCH_2,
        RM_BENCH,
        JUDGEBENCH,
        LLMBAR,
        HELPSTEER_2,
        HELPSTEER_2_PREFERENCE,
        HELPSTEER_3,
        ULTRAFEEDBACK,
        TRL,
        HH,
        RANKED,
        UNPAIRED,
        RATINGS,
        PAIRS,
    )
}


def known_formats() -> dict[str, Format]:
    """Return the known formats by name, in the order in which they are tried.

    Examples
    --------
    >>> known_formats()["llmbar"].columns
    'input, output_1, output_2, label (1 or 2)'
    """
    return dict(_FORMATS)


def find_format(name: str) -> Format:
    """Return the format of this name.

    Raises
    ------
    InvalidInputError
        If there is none; the message lists those there are.
    """
    if isinstance(name, str) and name in _FORMATS:
        return _FORMATS[name]
    near = difflib.get_close_matches(str(name), _FORMATS, n=1)
    raise InvalidInputError(
        format_error(
            expected="the name of a format",
            got=f"unknown format {str(name)[:40]!r}; known: {', '.join(_FORMATS)}",
            fix=f"did you mean {near[0]!r}?" if near else "name one of these, or none",
        )
    )


def detect_format(row: Row) -> Format:
    """Return the first format that explains a row.

    Raises
    ------
    DataError
        If none does; the message lists the columns got and every known format.
    """
    for fmt in _FORMATS.values():
        if fmt.detect(row):
            return fmt
    lines = "; ".join(f"{fmt.name}: {fmt.columns}" for fmt in _FORMATS.values())
    raise DataError(
        format_error(
            expected=f"the columns of a known format ({lines})",
            got=column_names(row),
            fix="rename columns with columns={'prompt': 'your name for it', ...}, or "
            "name the format with format=",
        ),
        reason="no known format",
    )


def column_names(row: Row) -> str:
    """List the columns of a row, shortened, for a message.

    Examples
    --------
    >>> column_names({"question": "", "answer": ""})
    'columns question, answer'
    """
    names = [str(name)[:40] for name in row][:15]
    more = ", ..." if len(row) > len(names) else ""
    return f"columns {', '.join(names)}{more}" if names else "no columns"
