"""table: the same columns whatever came out."""

import numpy as np

from embrm.simulate.experiment.cell import Failure
from embrm.simulate.experiment.cell_store import CellRecord
from embrm.simulate.experiment.exam import ExamSettings
from embrm.simulate.experiment.grid import Factors
from embrm.simulate.experiment.table import SECONDS, columns_of, make_table, row_of

SETTINGS = ExamSettings((3,), 0.95, 10)
AT = Factors("design", "annotator", 30, "head", 0)


def test_factors_are_first_and_seconds_last():
    """The columns that differ between runs are easily left off."""
    columns = columns_of(SETTINGS)
    assert columns[:5] == ["design", "annotator", "budget", "head", "seed"]
    assert columns[-2:] == list(SECONDS)
    assert "best_of_3_recovery" in columns


def test_a_failure_is_a_row_with_its_error():
    """What was known is there, numbers that are missing are NaN."""
    row = row_of(AT, 0.3, Failure("ValueError", "no", {"n_pairs": 30}))
    table = make_table([row], SETTINGS)
    assert table.loc[0, ["error_type", "error", "warnings"]].tolist() == [
        "ValueError",
        "no",
        "",
    ]
    assert table.loc[0, "n_pairs"] == 30
    assert np.isnan(table.loc[0, "order_consistency"])


def test_a_table_of_failures_has_numeric_columns():
    """Types do not hang on whether some cell succeeded."""
    table = make_table([row_of(AT, 0.3, Failure("E", "no", {}))], SETTINGS)
    words = {"design", "annotator", "head", "warnings", "error_type", "error"}
    kinds = {table[name].dtype.kind for name in table if name not in words}
    assert kinds <= {"i", "f"}


def test_a_record_is_a_row_without_error():
    """Its seconds are columns, too."""
    record = CellRecord({"kendall": 0.5, "warnings": ""}, {"fit_seconds": 2.0})
    table = make_table([row_of(AT, float("nan"), record)], SETTINGS)
    assert table.loc[0, "kendall"] == 0.5
    assert table.loc[0, "fit_seconds"] == 2.0
    assert table.loc[0, "error"] == ""
