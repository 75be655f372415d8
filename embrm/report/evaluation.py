"""EvaluationReport: how good a head is, on what, how sure, and what it exploits."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import FloatArray
from embrm.datasets import Preferences
from embrm.datasets.preferences import select
from embrm.embed.run import EmbeddingReport
from embrm.evaluate.bias import BiasAudit, audit_bias
from embrm.evaluate.displays import (
    LeaderboardDisplay,
    LengthBiasDisplay,
    ReliabilityDisplay,
    RiskCoverageDisplay,
)
from embrm.evaluate.human import ceiling_of
from embrm.evaluate.inputs import check_delta
from embrm.evaluate.resampling import Interval
from embrm.evaluate.scores import Evaluation, evaluate_deltas
from embrm.evaluate.subsets import Subsets, subset_column
from embrm.model import RewardModel
from embrm.model.items import response_lengths
from embrm.report._evaluation_tables import (
    control_table,
    heat_table,
    metric_table,
    style_table,
    subset_table,
    uncertainty_table,
)
from embrm.report.page import Block, Facts, Picture, Report, percent, versions

_FEW_PAIRS, _FEW_PROMPTS = 100, 30
_N_RESAMPLES = 1000


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
    rewarded = _rewarded(preferences, differences, reward)
    audit = None if rewarded is None else audit_bias(*rewarded)
    made = (("data", str(preferences.read_report)), *facts, ("versions", versions()))
    return EvaluationReport(
        title=title,
        verdict=_verdict(evaluation, human, audit, name),
        table=evaluation.to_frame().set_index("metric"),
        warnings=_warnings(evaluation, audit, embedded, n_seen),
        pictures=(
            *_pictures(evaluation, differences, preferences, name),
            *(
                ()
                if rewarded is None
                else (_length_picture(rewarded[0].items, rewarded[1]),)
            ),
        ),
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


def _rewarded(
    preferences: Preferences, delta: FloatArray, reward: ArrayLike | None
) -> tuple[Preferences, FloatArray, FloatArray] | None:
    """Keep the items that are rewarded and compared within their prompts.

    Returns
    -------
    preferences, reward, delta
        Of those items and pairs; None where there are none.
    """
    if reward is None:
        return None
    rewards = np.asarray(reward, dtype=np.float64)
    ends = preferences.pairs[["first", "second"]].to_numpy()
    prompts = preferences.items["prompt_id"].to_numpy()
    same = prompts[ends[:, 0]] == prompts[ends[:, 1]]
    told = same & (preferences.y != 0.5) & np.isfinite(rewards[ends]).all(axis=1)
    if not told.any():
        return None
    used = np.zeros(len(rewards), dtype=bool)
    used[ends[told]] = True
    return select(preferences, used, told), rewards[used], delta[told]


def _length_picture(items: pd.DataFrame, rewards: FloatArray) -> Picture:
    display = LengthBiasDisplay.from_predictions(
        {"reward": rewards},
        items["response"].str.len(),
        items["prompt_id"],
        n_bins=8,
        n_resamples=200,
    )
    return Picture(
        display,
        "Mean reward by the length of the response, both relative to the prompt",
        "Mean reward by the length of a response, both relative to its prompt, with a "
        "95% band. A flat line says that length does not matter.",
    )


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
            f"Only {evaluation.n_prompts} prompts: intervals are rough, and those of "
            "losses too narrow rather than too wide."
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
    blocks: list[Block] = [metric_table(evaluation, human)]
    if evaluation.subsets is not None:
        blocks.append(subset_table(evaluation.subsets))
    blocks.append(uncertainty_table(delta, preferences))
    if audit is not None:
        blocks += [control_table(audit), style_table(audit), heat_table(audit)]
    return (*blocks, Facts("How this was made", made))
