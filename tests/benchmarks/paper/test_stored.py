"""The stored findings: what their tables give, and what the pages quote."""

import re

import numpy as np
import pandas as pd
import pytest

from benchmarks.paper.findings import find
from benchmarks.paper.pools import PoolFacts
from tests.pages import ROOT

PAPER = ROOT / "benchmarks" / "paper"
FACTS = PoolFacts("stored", 0, 0, 0, 0.0)


@pytest.mark.parametrize("run", [PAPER, PAPER / "smollm2"], ids=["minilm", "smollm2"])
def test_verdicts_are_those_of_the_stored_cells(run):
    """Judged again from the cells, they are the same to the digits that are kept."""
    text = {"error": str, "error_type": str}
    cells = pd.read_csv(run / "cells.csv", dtype=text, keep_default_na=True)
    claims = find(cells.fillna({"diversity": "all"}), FACTS, []).claims
    stored = pd.read_csv(run / "verdicts.csv")
    assert [str(claim.verdict) for claim in claims] == list(stored["verdict"])
    found = [[c.estimate.mean, c.estimate.low, c.estimate.high] for c in claims]
    kept = stored[["difference", "low", "high"]].to_numpy()
    np.testing.assert_allclose(found, kept, atol=2e-5)
    assert cells["seed"].nunique() == 10
    written = (run / "FINDINGS.md").read_text("utf-8")
    for claim in claims:
        row = f"| {claim.words}{'' if claim.of_paper else ' (ours)'} "
        assert f"{row}| **{claim.verdict}** |" in written


def test_the_page_of_findings_quotes_the_stored_verdicts():
    """Each row names a claim as the table has it, with both verdicts in 3 digits."""
    page = (ROOT / "docs" / "findings.md").read_text("utf-8")
    rows = re.findall(
        r"^\| (?P<claim>[A-Z].*?\.) \| (.*?) \| (.*?) \|$", page, re.MULTILINE
    )
    assert len(rows) >= 7
    for claim, *shown in rows:
        for run, words in zip((PAPER, PAPER / "smollm2"), shown, strict=True):
            stored = pd.read_csv(run / "verdicts.csv").set_index("claim").loc[claim]
            low, high = stored["low"], stored["high"]
            number = f"{stored['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
            assert words == f"{stored['verdict']}: {number}", claim
