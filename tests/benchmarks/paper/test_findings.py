"""FINDINGS.md of a made-up table, what it says in special cases, and the tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.paper.findings import (
    find,
    markdown_means,
    summary,
    verdict_table,
    write_tables,
)
from benchmarks.paper.pools import PoolFacts
from benchmarks.paper.studies import noise_claims

GOLDEN = Path(__file__).parent / "golden" / "FINDINGS.md"
FACTS = PoolFacts("made_up", 20, 200, 4, 0.25, 0.75, 0.14, "Nothing is real here.")


def effect(row):
    """Best where the penalty is x 1, worse across prompts of diverse responses."""
    value = 0.05 * row["head"].endswith("x 1") - 0.1 * row["noise"]
    if row["design"] == "cross-prompt":
        value += 0.03 if row["diversity"] == "similar" else -0.04
    return value + 0.02 * (row["budget"] == 400)


def test_the_text_is_the_golden_one(made_up):
    """Byte for byte: numbers come from the table, words from the verdicts."""
    pictures = [Path("a_noise.png"), Path("a_penalties.png"), Path("b_pairs.png")]
    assert find(made_up(effect), FACTS, pictures).text == GOLDEN.read_text("utf-8")


def test_only_the_studies_that_were_run_are_told(made_up):
    """No heading without cells."""
    text = find(made_up(parts=("c",)), FACTS, []).text
    assert "## Study c" in text
    assert "## Study a" not in text
    assert "regularisation" not in text


def test_failed_cells_are_counted(made_up):
    """In the first paragraph; the verdicts come from the others."""
    frame = made_up(parts=("b", "b-equal", "b-alike"))
    frame.loc[[3, 4], "order_consistency"] = np.nan
    found = find(frame, FACTS, [])
    assert "234 cells, of which 2 failed." in found.text
    assert all(claim.estimate.n_seeds == 3 for claim in found.claims)


def test_one_seed_decides_nothing(made_up):
    """Means without intervals."""
    frame = made_up()
    found = find(frame[frame["seed"] == 0], FACTS, [])
    assert {str(claim.verdict) for claim in found.claims} == {"undecided"}
    assert "(one seed)" in found.text
    assert "nan" not in found.text


def test_cells_that_all_failed_are_no_error(made_up):
    """Everything is undecided, and says that there are no cells."""
    frame = made_up()
    lost = ["order_consistency", "best_of_4_recovery", "error_rate", "mean_abs_delta"]
    frame[lost] = np.nan
    found = find(frame, FACTS, [])
    assert {str(claim.verdict) for claim in found.claims} == {"undecided"}
    assert "no cells" in found.text


def test_a_summary_has_one_row_for_each_setting(made_up):
    """Means over seeds, with intervals, and failures counted."""
    frame = made_up(parts=("a",))
    frame.loc[0, ["order_consistency", "best_of_4_recovery"]] = np.nan
    made = summary(frame)
    assert len(made) == 3 * 2 * 6
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
    assert list(study_a["part"].unique()) == ["a", "a-matched", "a-style"]
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
