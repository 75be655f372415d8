"""EvaluationReport: how good a head is, on what, how sure, and what it exploits."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray
from embrm.datasets import Preferences
from embrm.embed.run import EmbeddingReport
from embrm.evaluate import expected_calibration_error
from embrm.evaluate.bias import BiasAudit, audit_bias
from embrm.evaluate.displays import (
    LeaderboardDisplay,
    ReliabilityDisplay,
    RiskCoverageDisplay,
)
from embrm.evaluate.human import ceiling_of
from embrm.evaluate.inputs import check_delta
from embrm.evaluate.resampling import Interval
from embrm.evaluate.scores import Evaluation, evaluate_deltas
from embrm.evaluate.subsets import Subsets, subset_column
from embrm.evaluate.uncertainty import brier_decomposition, risk_coverage
from embrm.model import RewardModel
from embrm.model.frames import response_lengths
from embrm.report.page import (
    Block,
    Facts,
    Picture,
    Report,
    Row,
    Table,
    interval_cell,
    percent,
    versions,
)

_FEW_PAIRS, _FEW_PROMPTS = 100, 30
_N_RESAMPLES = 1000
_WORDS = {
    "order_consistency": "order consistency",
    "length_baseline": "length baseline",
    "log_loss": "log loss, nats per pair",
    "brier": "Brier score",
    "expected_calibration_error": "calibration error",
    "kendall": "Kendall's tau-b within prompts",
}


@dataclass(frozen=True, eq=False)
class EvaluationReport(Report):
    """Report of one head on one set of pairs; `evaluation_report` makes it.

    Attributes
    ----------
    evaluation : Evaluation
    audit : BiasAudit or None
        None where rewards of single items are unknown.
    """

    evaluation: Evaluation | None = None
    audit: BiasAudit | None = None
    facts: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def evaluation_report(
    preferences: Preferences,
    delta: ArrayLike,
    reward: ArrayLike | None = None,
    *,
    name: str = "the head",
    title: str = "Evaluation of a reward model",
    by: str | None = None,
    embedded: EmbeddingReport | None = None,
    n_seen: int = 0,
    facts: tuple[tuple[str, str], ...] = (),
    random_state: int = 0,
) -> EvaluationReport:
    """Make the report of a head's deltas on labelled pairs.

    Parameters
    ----------
    preferences : Preferences
        The pairs that are evaluated.
    delta : array-like of shape (n_pairs,)
    reward : array-like of shape (n_items,), optional
        Of the items, for the audit of length and style; NaN where unknown.
    name : str
        The head's, for the text.
    title : str
    by : str, optional
        Column whose values are evaluated apart.
    embedded : EmbeddingReport, optional
        How the vectors came about: cut texts become a warning.
    n_seen : int, default=0
        Pairs whose prompts the head was fitted on: they become a warning.
    facts : tuple of (str, str)
        Further lines of "How this was made".
    random_state : int, default=0

    Returns
    -------
    EvaluationReport

    Raises
    ------
    InvalidInputError
        On a wrong shape, or if all labels are ties.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> rows = [
    ...     {"prompt": f"q{n}", "chosen": "right", "rejected": "wrong"}
    ...     for n in range(40)
    ... ]
    >>> report = evaluation_report(read_preferences(rows), [1.0] * 30 + [-1.0] * 10)
    >>> report.verdict[:66]
    'The head orders 75.0% of 40 pairs as their labels do (95% interval'
    """
    differences = check_delta(delta)
    evaluation = evaluate_deltas(
        differences,
        preferences.y,
        groups=_prompts(preferences),
        lengths=response_lengths(preferences),
        sample_weight=preferences.weight,
        by=None if by is None else subset_column(preferences, by),
        n_resamples=_N_RESAMPLES,
        random_state=random_state,
    )
    human = ceiling_of(preferences, differences, n_resamples=_N_RESAMPLES)
    audit = _audit(preferences, differences, reward)
    made = (("data", str(preferences.read_report)), *facts, ("versions", versions()))
    return EvaluationReport(
        title=title,
        verdict=_verdict(evaluation, human, audit, name),
        table=evaluation.to_frame().set_index("metric"),
        warnings=_warnings(evaluation, audit, embedded, n_seen),
        pictures=_pictures(evaluation, differences, preferences, name),
        blocks=_blocks(evaluation, human, audit, differences, preferences, made),
        evaluation=evaluation,
        audit=audit,
        facts=made,
    )


def report_of_model(
    model: RewardModel,
    preferences: Preferences,
    *,
    title: str = "Evaluation of a reward model",
    by: str | None = None,
    n_seen: int = 0,
    random_state: int = 0,
) -> EvaluationReport:
    """Make the report of a fitted model on preferences.

    Parameters
    ----------
    model : RewardModel
    preferences : Preferences
        The pairs that are evaluated.
    title, by, n_seen, random_state
        As in `evaluation_report`.

    Returns
    -------
    EvaluationReport
    """
    model.check_encoder()
    embedded = model.embed(preferences.texts)
    pairs = preferences.to_pairs(embedded.vectors)
    return evaluation_report(
        preferences,
        model.head_.decision_function(pairs),
        model.head_.reward(embedded.vectors),
        name="the model",
        title=title,
        by=by,
        embedded=embedded,
        n_seen=n_seen,
        facts=(
            ("head", type(model.head_).__name__),
            ("encoder", model.fingerprint_.describe()),
            ("vectors", str(embedded)),
        ),
        random_state=random_state,
    )


def _prompts(preferences: Preferences) -> Any:
    ids = preferences.items["prompt_id"].to_numpy()
    return ids[preferences.pairs[["first", "second"]].to_numpy()]


def _audit(
    preferences: Preferences, delta: FloatArray, reward: ArrayLike | None
) -> BiasAudit | None:
    """Audit the items that are rewarded and compared within their prompts."""
    if reward is None:
        return None
    rewards = np.asarray(reward, dtype=np.float64)
    ends = preferences.pairs[["first", "second"]].to_numpy()
    prompts = preferences.items["prompt_id"].to_numpy()
    same = prompts[ends[:, 0]] == prompts[ends[:, 1]]
    told = same & (preferences.y != 0.5) & np.isfinite(rewards[ends]).all(axis=1)
    if not told.any():
        return None
    used = np.unique(ends[told])
    place = np.full(len(rewards), -1)
    place[used] = np.arange(len(used))
    pairs = preferences.pairs[told].reset_index(drop=True)
    pairs = pairs.assign(first=place[ends[told, 0]], second=place[ends[told, 1]])
    items = preferences.items.iloc[used].reset_index(drop=True)
    part = Preferences(items, pairs, preferences.read_report)
    return audit_bias(part, rewards[used], delta[told])


def _verdict(
    evaluation: Evaluation, human: Any, audit: BiasAudit | None, name: str
) -> str:
    found, base = evaluation.order_consistency, evaluation.length_baseline
    start = name[0].upper() + name[1:]
    words = (
        f"{start} orders {percent(found.estimate)} of {evaluation.n_pairs:,} pairs as "
        f"their labels do ({found.level:.0%} interval {percent(found.low)} to "
        f"{percent(found.high)}). "
    )
    if found.low <= 0.5 <= found.high:
        words += "That cannot be told from guessing. "
    if base is not None:
        words += f"Preferring the longer response gives {percent(base.estimate)}: "
        words += _against(found, base)
    if audit is not None and audit.style_share >= 0.1:
        words += (
            f"Style explains {audit.style_share:.0%} of the reward within prompts. "
        )
    if human is not None:
        words += (
            "People agree with the majority of the others in "
            f"{percent(human.leave_one_out.estimate)} of their labels. "
        )
    error = evaluation.expected_calibration_error
    words += (
        f"Its probabilities are off by {100 * error.estimate:.1f} points on average."
        if error.low > 0.01
        else "Its probabilities are right within noise."
    )
    return words


def _against(found: Interval, base: Interval) -> str:
    if found.low > base.high:
        return "it is better than that. "
    if found.high < base.low:
        return "it is worse than that. "
    return "the two cannot be told apart by these intervals. "


def _warnings(
    evaluation: Evaluation,
    audit: BiasAudit | None,
    embedded: EmbeddingReport | None,
    n_seen: int,
) -> tuple[str, ...]:
    found = []
    if n_seen:
        found.append(
            f"{n_seen:,} of {evaluation.n_pairs:,} pairs have a prompt that the head "
            "was fitted on: these figures are optimistic."
        )
    if evaluation.n_pairs < _FEW_PAIRS:
        found.append(f"Only {evaluation.n_pairs} pairs: differences drown in noise.")
    if evaluation.n_prompts is not None and evaluation.n_prompts < _FEW_PROMPTS:
        found.append(
            f"Only {evaluation.n_prompts} prompts: intervals are rough, and too narrow "
            "rather than too wide."
        )
    if embedded is not None and embedded.n_truncated:
        found.append(
            f"{embedded.n_truncated:,} of {embedded.n_unique:,} texts were longer than "
            f"the encoder's limit and were cut; of {embedded.n_response_truncated:,} "
            "the response itself."
        )
    if evaluation.n_reward_ties > 0.02 * evaluation.n_pairs:
        found.append(
            f"{evaluation.n_reward_ties:,} pairs have equal rewards, and count half."
        )
    return (*found, *(() if audit is None else audit.alarms))


def _pictures(
    evaluation: Evaluation, delta: FloatArray, preferences: Preferences, name: str
) -> tuple[Picture, ...]:
    shown = {name: evaluation.order_consistency}
    if evaluation.length_baseline is not None:
        shown["longer response"] = evaluation.length_baseline
    if evaluation.subsets is not None:
        shown |= _intervals_of(evaluation.subsets)
    weight = preferences.weight
    return (
        Picture(
            LeaderboardDisplay.from_intervals(shown, chance=0.5),
            "Order consistency with its interval, beside the length baseline",
            "Share of pairs ordered as labelled, with 95% intervals over prompts. "
            "Dotted: guessing.",
        ),
        Picture(
            ReliabilityDisplay.from_predictions(
                delta, preferences.y, sample_weight=weight, strategy="quantile"
            ),
            "How often the favoured side wins, by the probability it is given",
            "How often the favoured side wins, by the probability the head gives it; "
            "numbers count pairs. On the diagonal, probabilities are calibrated.",
        ),
        Picture(
            RiskCoverageDisplay.from_predictions(
                delta, preferences.y, sample_weight=weight
            ),
            "Error rate if only the most confident pairs are decided",
            "Error rate if only the most confident pairs are decided. A flat line says "
            "that confidence means nothing.",
        ),
    )


def _intervals_of(subsets: Subsets, most: int = 10) -> dict[str, Interval]:
    return {
        f"{name} ({row['n_pairs']:,.0f})": Interval(
            row["order_consistency"],
            row["low"],
            row["high"],
            subsets.level,
            int(row["n_prompts"]),
            "Wilson",
        )
        for name, row in subsets.table.head(most).iterrows()
    }


def _blocks(
    evaluation: Evaluation,
    human: Any,
    audit: BiasAudit | None,
    delta: FloatArray,
    preferences: Preferences,
    made: tuple[tuple[str, str], ...],
) -> tuple[Block, ...]:
    blocks: list[Block] = [_metric_table(evaluation, human)]
    if evaluation.subsets is not None:
        blocks.append(_subset_table(evaluation.subsets))
    blocks.append(_uncertainty_table(delta, preferences))
    if audit is not None:
        blocks += [_control_table(audit), _style_table(audit), _heat_table(audit)]
    return (*blocks, Facts("How this was made", made))


def _metric_table(evaluation: Evaluation, human: Any) -> Table:
    rows = [
        Row([(_WORDS[name], ""), interval_cell(interval)])
        for name, interval in evaluation.intervals().items()
    ]
    if human is not None:
        rows.append(
            Row(
                [
                    ("a person, by the others' majority", ""),
                    interval_cell(human.leave_one_out),
                ]
            )
        )
        if human.head is not None:
            rows.append(Row([("the head, by the same", ""), interval_cell(human.head)]))
    prompts = evaluation.n_prompts
    note = (
        f"{evaluation.n_pairs:,} pairs of {prompts or 'unknown'} prompts; "
        f"{evaluation.n_ties:,} labelled as ties, {evaluation.n_reward_ties:,} with "
        f"equal rewards. Intervals by {evaluation.order_consistency.method}. "
        "A constant reward has log loss 0.693 and Brier score 0.25."
    )
    return Table("Metrics", ["", "estimate"], rows, note)


def _subset_table(subsets: Subsets) -> Table:
    rows = []
    for name, row in subsets.table.iterrows():
        bounds = f"[{row['low']:.3f}, {row['high']:.3f}]"
        rows.append(
            Row(
                [
                    (str(name), ""),
                    (f"{row['n_pairs']:,.0f}", ""),
                    (f"{row['n_prompts']:,.0f}", ""),
                    (f"{row['order_consistency']:.3f}", bounds),
                    (f"{row['shrunk']:.3f}", ""),
                ]
            )
        )
    note = (
        f"{subsets.verdict()} Shrunk: drawn towards the other subsets as far as the "
        "noise of each asks for."
    )
    headings = [subsets.by, "pairs", "prompts", "order consistency", "shrunk"]
    return Table(f"By {subsets.by}", headings, rows, note)


def _uncertainty_table(delta: FloatArray, preferences: Preferences) -> Table:
    weight = preferences.weight
    parts = brier_decomposition(delta, preferences.y, sample_weight=weight)
    curve = risk_coverage(delta, preferences.y, sample_weight=weight)
    adaptive = expected_calibration_error(
        delta, preferences.y, strategy="quantile", sample_weight=weight
    )
    rows = [
        Row([("calibration error, bins of equal size", ""), (f"{adaptive:.3f}", "")]),
        Row([("Brier: miscalibration", ""), (f"{parts.reliability:.4f}", "")]),
        Row([("Brier: telling easy from hard", ""), (f"{parts.resolution:.4f}", "")]),
        Row([("Brier: what is left", ""), (f"{parts.uncertainty:.4f}", "")]),
        Row([("mean error rate over coverages", ""), (f"{curve.area:.3f}", "")]),
    ]
    for risk in (0.05, 0.1, 0.2):
        share, confidence = curve.at_risk(risk)
        at = f"from confidence {confidence:.2f}" if share else ""
        rows.append(
            Row([(f"pairs decided at {risk:.0%} error", ""), (percent(share), at)])
        )
    note = (
        "On the winner's side, in bins of equal size. Miscalibration: smaller is "
        "better; telling easy from hard: larger is better. Coverages are chosen on "
        "these pairs: expect a little more error on others."
    )
    return Table("When it can be trusted", ["", ""], rows, note)


def _control_table(audit: BiasAudit) -> Table:
    shown = {
        "order consistency": audit.accuracy,
        "at equal length": audit.length_controlled,
        "at equal style": audit.style_controlled,
        "style alone": audit.style_only,
    }
    rows = [Row([(name, ""), interval_cell(i)]) for name, i in shown.items()]
    rows.append(
        Row([("share of the reward in style", ""), (percent(audit.style_share), "")])
    )
    note = (
        "At equal length, style: probability that the preferred response has the "
        "greater reward when both look the same, by logistic regression as in "
        "AlpacaEval's length control. Style alone is fitted on other prompts' labels."
    )
    return Table("How much of it is style", ["", "estimate"], rows, note)


def _style_table(audit: BiasAudit) -> Table:
    table = audit.features
    with_gold = bool(table["gold"].notna().any())
    headings = ["feature", "with the reward"]
    headings += ["with the scores", "at equal score"] if with_gold else []
    rows = []
    for name, row in table.dropna(subset=["reward"]).iterrows():
        cells = [(str(name), ""), (f"{row['reward']:+.2f}", _bounds(row))]
        if with_gold:
            cells += [
                (f"{row[c]:+.2f}" if row[c] == row[c] else "", "")
                for c in ("gold", "partial")
            ]
        rows.append(Row(cells))
    note = (
        "Mean Spearman correlations within prompts; features that never vary are left "
        "out. At equal score: what is left once the scores are accounted for."
    )
    return Table("What raises the reward", headings, rows, note)


def _bounds(row: Any) -> str:
    return (
        f"[{row['low']:+.2f}, {row['high']:+.2f}]" if row["low"] == row["low"] else ""
    )


def _heat_table(audit: BiasAudit) -> Table:
    table = audit.heat_map
    largest = float(np.nanmax(np.abs(table.to_numpy()))) if table.size else 0.0
    rows = []
    for name, values in table.iterrows():
        known = [None if v != v else float(v) for v in values]
        rows.append(
            Row(
                [
                    (f"{name} characters", ""),
                    *(("" if v is None else f"{v:+.2f}", "") for v in known),
                ],
                shades=[
                    None,
                    *(
                        None if v is None or v < 0 or not largest else 0.6 * v / largest
                        for v in known
                    ),
                ],
            )
        )
    headings = ["prompt's mean length", *(f"{c} times" for c in table.columns)]
    note = (
        "Mean reward less the prompt's mean, in standard deviations within prompts, by "
        "a response's length over the mean of its prompt. Rising from left to right: "
        "longer responses get more reward."
    )
    return Table("Reward by length", headings, rows, note)
