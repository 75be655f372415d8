"""Tables of a study."""

import numpy as np
import pandas as pd
import pytest

from embrm.studies.noise_claims import noise_claims
from embrm.studies.tables import markdown_means, summary, verdict_table, write_tables


def test_a_summary_has_one_row_for_each_setting(made_up):
    """Means over seeds, with intervals, and failures counted."""
    frame = made_up(parts=("a",))
    frame.loc[0, ["order_consistency", "best_of_4_recovery"]] = np.nan
    made = summary(frame)
    assert len(made) == 3 * 2 * 5
    first, second = made.iloc[0], made.iloc[1]
    assert (first["n_seeds"], first["n_failed"]) == (2, 1)
    assert (second["n_seeds"], second["n_failed"]) == (3, 0)
    assert second["order_consistency"] == pytest.approx(0.71, abs=0.002)
    assert second["order_consistency_low"] < 0.7 < second["order_consistency_high"]


def test_cells_that_all_failed_are_a_row_of_nothing(made_up):
    """No table is missing for it."""
    frame = made_up(parts=("a",))
    frame[["order_consistency", "best_of_4_recovery"]] = np.nan
    made = summary(frame)
    assert made["order_consistency"].isna().all()
    assert (made["n_failed"] == 3).all()


def test_files_of_all_cells_and_of_each_study(made_up, tmp_path):
    """Parts of a study are in one summary; text is aligned."""
    frame = made_up()
    names = [path.name for path in write_tables(frame, tmp_path)]
    assert names[0] == "cells.csv"
    assert names[1:] == [f"{s}_summary.{x}" for s in "abc" for x in ("csv", "txt")]
    assert len(pd.read_csv(tmp_path / "cells.csv")) == len(frame)
    study_a = pd.read_csv(tmp_path / "a_summary.csv")
    assert list(study_a["part"].unique()) == ["a", "a-matched"]
    lines = (tmp_path / "a_summary.txt").read_text().splitlines()
    assert len({len(line) for line in lines}) == 1


def test_verdicts_are_a_table_too(made_up):
    """With the numbers that the text has."""
    claims = noise_claims(made_up())
    made = verdict_table(claims)
    assert list(made["verdict"]) == [str(claim.verdict) for claim in claims]
    assert made["difference"].iloc[0] == claims[0].estimate.mean


def test_a_level_without_cells_is_nan_in_markdown(made_up):
    """The columns stay under each other."""
    frame = made_up(parts=("a",))
    kept = frame[(frame["head"] != "mlp") | (frame["noise"] != 0.1)]
    lines = markdown_means(kept, "head", "noise", share=True).splitlines()
    assert lines[0] == "| head | 10% | 20% | 40% |"
    assert [line for line in lines if line.startswith("| mlp | nan | 0.7")]
