"""The table of an experiment: which columns there are, and in what order."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from embrm.simulate.experiment.cell import Failure
from embrm.simulate.experiment.cell_store import CellRecord
from embrm.simulate.experiment.exam import ExamSettings
from embrm.simulate.experiment.grid import Factors

SECONDS = ("fit_seconds", "score_seconds")
"""The columns that two runs of the same cells do not have in common."""

_DRAWN = (
    "n_pairs",
    "error_rate",
    "expected_error_rate",
    "scale",
    "cross_prompt_share",
    "mean_abs_delta",
    "n_items",
    "n_prompts",
)
_WITH_INTERVAL = ("order_consistency", "kendall", "spearman", "annotator_log_loss")
_WORDS = ("warnings", "error_type", "error")


def columns_of(settings: ExamSettings) -> list[str]:
    """List the columns, factors first and seconds last."""
    intervals = [
        f"{name}{end}" for name in _WITH_INTERVAL for end in ("", "_low", "_high")
    ]
    picks = [
        f"best_of_{n}{end}"
        for n in settings.best_of_n
        for end in ("", "_regret", "_recovery")
    ]
    return [
        *Factors.__dataclass_fields__,
        "target_error_rate",
        *_DRAWN,
        "n_test_pairs",
        *intervals,
        "annotator_entropy",
        "annotator_calibration_error",
        *picks,
        *_WORDS,
        *SECONDS,
    ]


def row_of(
    factors: Factors, target: float, result: CellRecord | Failure
) -> Mapping[str, Any]:
    """Write what came out of a cell as a row."""
    words = dict.fromkeys(_WORDS, "")
    row = {**words, **asdict(factors), "target_error_rate": target, **result.row}
    if isinstance(result, Failure):
        return {**row, "error_type": result.kind, "error": result.message}
    return {**row, **result.seconds}


def make_table(
    rows: Iterable[Mapping[str, Any]], settings: ExamSettings
) -> pd.DataFrame:
    """Make the table, NaN where a number is missing."""
    table = pd.DataFrame(list(rows), columns=columns_of(settings))
    numbers = [name for name in table if name not in (*_WORDS, *_TEXT_FACTORS)]
    # Where every cell failed, a column of nothing would be of no type.
    empty = [name for name in numbers if table[name].isna().all()]
    return table.astype(dict.fromkeys(empty, "float64"))


_TEXT_FACTORS = ("design", "annotator", "head")
