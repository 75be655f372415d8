"""The tables of an evaluation report."""

from typing import Any

import numpy as np

from embrm._typing import FloatArray
from embrm.datasets import Preferences
from embrm.evaluate import expected_calibration_error
from embrm.evaluate.bias import BiasAudit
from embrm.evaluate.scores import Evaluation
from embrm.evaluate.subsets import Subsets
from embrm.evaluate.uncertainty import brier_decomposition, risk_coverage
from embrm.report.page import Row, Table, interval_cell, percent

_WORDS = {
    "order_consistency": "order consistency",
    "length_baseline": "length baseline",
    "log_loss": "log loss, nats per pair",
    "brier": "Brier score",
    "expected_calibration_error": "calibration error",
    "kendall": "Kendall's tau-b within prompts",
}


def metric_table(evaluation: Evaluation, human: Any) -> Table:
    """List every metric with its interval, and people's agreement."""
    rows = [
        Row.of(_WORDS[name], interval_cell(interval))
        for name, interval in evaluation.intervals().items()
    ]
    if human is not None:
        person = interval_cell(human.leave_one_out)
        rows.append(Row.of("a person, by the others' majority", person))
        if human.head is not None:
            rows.append(Row.of("the head, by the same", interval_cell(human.head)))
    prompts = evaluation.n_prompts
    note = (
        f"{evaluation.n_pairs:,} pairs of {prompts or 'unknown'} prompts; "
        f"{evaluation.n_ties:,} labelled as ties, {evaluation.n_reward_ties:,} with "
        f"equal rewards. Intervals by {evaluation.order_consistency.method}. "
        "A constant reward has log loss 0.693 and Brier score 0.25."
    )
    return Table("Metrics", ["", "estimate"], rows, note)


def subset_table(subsets: Subsets) -> Table:
    """List the subsets, and say whether they differ."""
    rows = []
    for name, row in subsets.table.iterrows():
        bounds = f"[{row['low']:.3f}, {row['high']:.3f}]"
        rows.append(
            Row.of(
                str(name),
                (f"{row['order_consistency']:.3f}", bounds),
                f"{row['shrunk']:.3f}",
                f"{row['n_pairs']:,.0f}",
                f"{row['n_prompts']:,.0f}",
            )
        )
    note = (
        f"{subsets.verdict()} Shrunk: drawn towards the other subsets as far as the "
        "noise of each asks for."
    )
    headings = [subsets.by, "order consistency", "shrunk", "pairs", "prompts"]
    return Table(f"By {subsets.by}", headings, rows, note)


def uncertainty_table(delta: FloatArray, preferences: Preferences) -> Table:
    """Say how far confidence can be trusted."""
    weight = preferences.weight
    parts = brier_decomposition(delta, preferences.y, sample_weight=weight)
    curve = risk_coverage(delta, preferences.y, sample_weight=weight)
    adaptive = expected_calibration_error(
        delta, preferences.y, strategy="quantile", sample_weight=weight
    )
    rows = [
        Row.of("calibration error, bins of equal size", f"{adaptive:.3f}"),
        Row.of("Brier: miscalibration", f"{parts.reliability:.4f}"),
        Row.of("Brier: telling easy from hard", f"{parts.resolution:.4f}"),
        Row.of("Brier: what is left", f"{parts.uncertainty:.4f}"),
        Row.of("mean error rate over coverages", f"{curve.area:.3f}"),
    ]
    for risk in (0.05, 0.1, 0.2):
        share, confidence = curve.at_risk(risk)
        at = f"from confidence {confidence:.2f}" if share else ""
        rows.append(Row.of(f"pairs decided at {risk:.0%} error", (percent(share), at)))
    note = (
        "On the winner's side, in bins of equal size. Miscalibration: smaller is "
        "better; telling easy from hard: larger is better. Coverages are chosen on "
        "these pairs: expect a little more error on others."
    )
    return Table("When it can be trusted", ["", ""], rows, note)


def control_table(audit: BiasAudit) -> Table:
    """Set the order consistency beside that at equal length and style."""
    shown = {
        "order consistency": audit.accuracy,
        "at equal length": audit.length_controlled,
        "at equal style": audit.style_controlled,
        "style alone": audit.style_only,
    }
    rows = [Row.of(name, interval_cell(i)) for name, i in shown.items()]
    rows.append(Row.of("share of the reward in style", percent(audit.style_share)))
    note = (
        "At equal length, style: probability that the preferred response has the "
        "greater reward when both look the same, by logistic regression as in "
        "AlpacaEval's length control. Style alone is fitted on other prompts' labels."
    )
    return Table("How much of it is style", ["", "estimate"], rows, note)


def style_table(audit: BiasAudit) -> Table:
    """List how style features go with the reward."""
    table = audit.features
    with_gold = bool(table["gold"].notna().any())
    headings = ["feature", "with the reward"]
    headings += ["with the scores", "at equal score"] if with_gold else []
    rows = []
    for name, row in table.dropna(subset=["reward"]).iterrows():
        others = [row["gold"], row["partial"]] if with_gold else []
        more = ("" if v != v else f"{v:+.2f}" for v in others)
        rows.append(Row.of(str(name), (f"{row['reward']:+.2f}", _bounds(row)), *more))
    note = (
        "Mean Spearman correlations within prompts; features that never vary are left "
        "out, and intervals where they vary in few prompts. At equal score: what is "
        "left once the scores are accounted for."
    )
    return Table("What raises the reward", headings, rows, note)


def _bounds(row: Any) -> str:
    return (
        f"[{row['low']:+.2f}, {row['high']:+.2f}]" if row["low"] == row["low"] else ""
    )


def heat_table(audit: BiasAudit) -> Table:
    """Shade the mean reward by the length of prompt and response."""
    table = audit.heat_map
    largest = float(np.nanmax(np.abs(table.to_numpy()))) if table.size else 0.0
    rows = []
    for name, values in table.iterrows():
        known = [None if v != v else float(v) for v in values]
        cells = ("" if v is None else f"{v:+.2f}" for v in known)
        shades = (
            None if v is None or v < 0 or not largest else 0.6 * v / largest
            for v in known
        )
        rows.append(Row.of(f"{name} characters", *cells, shades=[None, *shades]))
    headings = ["prompt's mean length", *(f"{c} times" for c in table.columns)]
    note = (
        "Mean reward less the prompt's mean, in standard deviations within prompts, by "
        "a response's length over the mean of its prompt. Rising from left to right: "
        "longer responses get more reward."
    )
    return Table("Reward by length", headings, rows, note)
