"""What a command says when cells of its grid failed: how many, and why."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from embrm.cli.output import report_error

if TYPE_CHECKING:
    import pandas as pd

FAILED = 1
"""Exit code of a run in which a cell failed."""

_MOST_ERRORS = 3


def report_failed_cells(frame: "pd.DataFrame", kept_in: Path) -> None:
    """Say how many cells failed and why, and leave with a code that says that some did.

    Parameters
    ----------
    frame : DataFrame
        Of an experiment.
    kept_in : Path
        File that has all rows.

    Raises
    ------
    typer.Exit
        With `FAILED`, if a cell failed.
    """
    n_failed = int((frame["error_type"] != "").sum())
    if not n_failed:
        return
    words = f"{n_failed} of {len(frame)} cells failed; all are in {kept_in}, "
    words += "and are tried again in the next run. " + " ".join(error_lines(frame))
    report_error(words, FAILED, as_json=False)
    raise typer.Exit(FAILED)


def error_lines(frame: "pd.DataFrame") -> list[str]:
    """Say each kind of failure once, the most frequent first."""
    failed = frame[frame["error_type"] != ""]
    counts = Counter(zip(failed["error_type"], failed["error"], strict=True))
    lines = [
        f"{n} x {kind}: {message}"
        for (kind, message), n in counts.most_common(_MOST_ERRORS)
    ]
    more = len(counts) - _MOST_ERRORS
    return lines + ([f"And {more} more."] if more > 0 else [])
