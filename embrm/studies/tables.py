"""Tables of a study: every cell, and means over seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embrm.studies.claims import CONSISTENCY, Claim
from embrm.studies.contrasts import over_seeds
from embrm.studies.wording import recovery_of

if TYPE_CHECKING:
    import pandas as pd

_LEVELS = ("part", "diversity", "design", "noise", "budget", "head")
_DIGITS = 4


def summary(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Average cells over seeds.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`.

    Returns
    -------
    DataFrame
        One row for each part, diversity, design, noise, budget and head, in the order
        of the frame: the realised error rate; order consistency and recovery, with
        their t intervals over seeds (NaN for one seed); how many seeds have a result,
        and how many failed.
    """
    import pandas as pd

    metrics = {CONSISTENCY: CONSISTENCY, "recovery": recovery_of(frame)}
    rows = []
    for level, cells in frame.groupby(list(_LEVELS), sort=False):
        done = cells[cells[CONSISTENCY].notna()]
        row: dict[str, Any] = dict(zip(_LEVELS, level, strict=True))
        row["error_rate"] = done["error_rate"].mean()
        for name, column in metrics.items():
            known = done[column].dropna()
            estimate = over_seeds(known, len(known))
            row[name] = estimate.mean
            row[f"{name}_low"], row[f"{name}_high"] = estimate.low, estimate.high
        rows.append(row | {"n_seeds": len(done), "n_failed": len(cells) - len(done)})
    return pd.DataFrame(rows)


def verdict_table(claims: list[Claim]) -> "pd.DataFrame":
    """List claims with their verdicts and numbers."""
    import pandas as pd

    return pd.DataFrame(
        {
            "study": claim.study,
            "claim": claim.words,
            "of_paper": claim.of_paper,
            "verdict": str(claim.verdict),
            "measure": claim.measure,
            "difference": claim.estimate.mean,
            "low": claim.estimate.low,
            "high": claim.estimate.high,
            "needed": claim.needed,
            "cells": claim.cells,
        }
        for claim in claims
    )


def write_tables(frame: "pd.DataFrame", out: Path) -> list[Path]:
    """Write all cells, and the summary of each study as CSV and as aligned text.

    Returns
    -------
    list of Path
        `cells.csv`, and `a_summary.csv`, `a_summary.txt` and so on.
    """
    written = [_write_csv(frame, out / "cells.csv")]
    study = frame["part"].str.partition("-")[0]
    for name, cells in frame.groupby(study, sort=False):
        means = summary(cells)
        written.append(_write_csv(means, out / f"{name}_summary.csv"))
        text = out / f"{name}_summary.txt"
        text.write_text(
            means.to_string(index=False, float_format=f"%.{_DIGITS}f") + "\n",
            encoding="utf-8",
        )
        written.append(text)
    return written


def markdown_means(
    cells: "pd.DataFrame", rows: str, columns: str, *, share: bool = False
) -> str:
    """Lay out mean order consistency by two factors, as a Markdown table.

    Parameters
    ----------
    cells : DataFrame
    rows, columns : str
        Factors, in the order in which their levels appear.
    share : bool, default=False
        Whether the levels of `columns` are shares, to be written in percent.

    Examples
    --------
    >>> import pandas as pd
    >>> cells = pd.DataFrame({"head": ["linear"], "noise": [0.1]})
    >>> cells["order_consistency"] = 0.7
    >>> print(markdown_means(cells, "head", "noise", share=True))
    | head | 10% |
    |---|---:|
    | linear | 0.7000 |
    """
    levels = list(dict.fromkeys(cells[columns]))
    names = [f"{level:.0%}" if share else f"{level}" for level in levels]
    lines = [f"| {rows} | {' | '.join(names)} |", "|---|" + "---:|" * len(levels)]
    for name, alike in cells.groupby(rows, sort=False):
        means = alike.groupby(columns)[CONSISTENCY].mean()
        values = [f"{means.get(level, float('nan')):.{_DIGITS}f}" for level in levels]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)


def _write_csv(table: "pd.DataFrame", path: Path) -> Path:
    table.to_csv(path, index=False, float_format="%.6g")
    return path
