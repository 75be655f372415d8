"""What is said when cells failed."""

from pathlib import Path

import pandas as pd
import pytest
import typer

from embrm.cli.failed_cells import FAILED, error_lines, report_failed_cells

KINDS = ["A"] * 5 + ["B"] * 3 + ["C"] * 2 + ["D", ""]
TABLE = Path("out") / "cells.csv"


@pytest.fixture
def frame() -> pd.DataFrame:
    """Eleven failed cells of twelve."""
    return pd.DataFrame({"error_type": KINDS, "error": [k.lower() for k in KINDS]})


def test_errors_are_said_once_the_most_frequent_first(frame):
    """No more than three kinds."""
    assert error_lines(frame) == [*("5 x A: a", "3 x B: b", "2 x C: c", "And 1 more.")]


def test_failed_cells_are_counted_on_standard_error(frame, capsys):
    """With the file that has them all, and an exit code of its own."""
    with pytest.raises(typer.Exit) as stopped:
        report_failed_cells(frame, TABLE)
    assert stopped.value.exit_code == FAILED
    words = " ".join(capsys.readouterr().err.split())
    assert f"11 of 12 cells failed; all are in {TABLE}" in words


def test_nothing_is_said_where_no_cell_failed(frame, capsys):
    """The command goes on."""
    report_failed_cells(frame[frame["error_type"] == ""], TABLE)
    assert capsys.readouterr().err == ""
