"""FINDINGS.md of a made-up table, and what it says in special cases."""

from pathlib import Path

import numpy as np
import pytest

from embrm.studies.findings import PoolFacts, find

GOLDEN = Path(__file__).parent / "golden" / "FINDINGS.md"
FACTS = PoolFacts("made_up", 20, 200, 4, 0.25)


def effect(row):
    """Better where the penalty is strong, worse across prompts of diverse responses."""
    value = 0.05 * ("strong" in row["head"]) - 0.1 * row["noise"]
    if row["design"] == "cross-prompt":
        value += 0.03 if row["diversity"] == "similar" else -0.04
    return value + 0.02 * (row["budget"] == 400)


def test_the_text_is_the_golden_one(made_up):
    """Byte for byte: numbers come from the table, words from the verdicts."""
    pictures = [Path("a_noise.png"), Path("c_diversity.png")]
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


def test_facts_of_a_pool(pool):
    """Gold that has nothing to do with prompts differs little between them."""
    facts = PoolFacts.of(pool, "pool")
    assert (facts.n_prompts, facts.n_items, facts.d) == (20, 200, 4)
    assert facts.between_prompts == pytest.approx(0.1, abs=0.08)
