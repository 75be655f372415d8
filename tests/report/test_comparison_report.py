"""ComparisonReport: which head is best, and whether that is more than noise."""

import numpy as np

from embrm.evaluate import compare
from embrm.report import comparison_report


def test_the_best_and_its_equals_are_named():
    """With letters, costs and intervals in the table."""
    rng = np.random.default_rng(0)
    good = rng.normal(1, 1, size=300)
    deltas = {
        "good": good,
        "as good": good + 0.05 * rng.normal(size=300),
        "poor": rng.normal(size=300),
    }
    costs = {name: {"fit_seconds": 1.5, "bytes": 2e6} for name in deltas}
    table = compare(deltas, groups=np.repeat(np.arange(100), 3), costs=costs)
    report = comparison_report(table)
    assert "does not differ from" in report.verdict
    assert "poor" not in report.verdict
    markdown = report.to_markdown()
    assert "1.50 s" in markdown
    assert "2,000,000 bytes" in markdown
    assert report.summary().loc["poor", "group"] == "b"
    assert "not differ beyond noise" in report.to_html()


def test_few_prompts_are_said():
    """Their intervals are rough."""
    table = compare({"one": np.ones(20), "other": -np.ones(20)})
    assert comparison_report(table).warnings == (
        "Only 20 prompts: intervals are rough.",
    )
