"""Benchmarks of labelled pairs: JudgeBench, LLMBar, HelpSteer, FairEval, MT-Bench."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from embrm._typing import BoolArray, FloatArray
from embrm.evaluate.suites._score_table import (
    NO_VERDICT,
    ScoreTable,
    Side,
    check_known,
    is_sequence,
    read_winner,
)
from embrm.evaluate.suites._scoring import Aggregate, Cell, Scoring
from embrm.exceptions import invalid_input

_ENOUGH, _RARELY = 20, 0.35
JUDGEBENCH_SIDES = (
    Side("response_A", ("A", "response_a")),
    Side("response_B", ("B", "response_b")),
)
LLMBAR_SIDES = (Side("output_1", ("1",)), Side("output_2", ("2",)))
HELPSTEER_2_SIDES = (
    Side("response_1", ("response1",)),
    Side("response_2", ("response2",)),
)
HELPSTEER_3_SIDES = (
    Side("response1", ("response_1",)),
    Side("response2", ("response_2",)),
)
FAIREVAL_SIDES = (
    Side("answer_1", ("output_1", "response_1", "answer1", "gpt35", "1")),
    Side("answer_2", ("output_2", "response_2", "answer2", "vicuna-13b", "2")),
)
JUDGEBENCH_SOURCES = (
    "mmlu-pro",
    "livebench-reasoning",
    "livebench-math",
    "livecodebench",
)
_FAIREVAL_NAMES = {"CHATGPT": 1.0, "VICUNA13B": -1.0, "TIE": 0.0}


def verdicts(table: ScoreTable, first: Side, second: Side) -> FloatArray:
    """Give verdicts (n_rows, n_orders): 1, -1, 0, or NaN where the pair has none.

    Of rewards there is one, by the greater of the two; a verdict that a judge was
    asked for and did not give is -2.
    """
    if table.kind == "verdicts":
        return table.verdicts(first, second)
    one, other = table.rewards(first), table.rewards(second)
    return order_of(one, other)[:, None]


def order_of(one: FloatArray, other: FloatArray) -> FloatArray:
    """Say whether one is greater (1), the other (-1), neither (0), or unknown (NaN)."""
    # Not the sign of the difference: that of two infinities is unknown.
    verdict = (one > other).astype(float) - (one < other).astype(float)
    return np.where(np.isnan(one) | np.isnan(other), np.nan, verdict)


def labels(
    table: ScoreTable,
    first: Side,
    second: Side,
    *columns: str,
    names: Mapping[str, float] | None = None,
) -> FloatArray:
    """Read which of a pair is better: 1 first, -1 second, 0 a tie; none is refused."""
    values = table.column(*columns)
    if values is None:
        table.texts(columns[0])  # raises
    read = [label_of(value, first, second, names or {}) for value in values]  # type: ignore[union-attr]
    labels = np.array(read, dtype=float)
    unknown = labels == NO_VERDICT
    if unknown.any():
        raise invalid_input(
            f"a label in every row ({columns[0]})",
            f"{int(unknown.sum())} missing, the first in row {int(unknown.argmax())}",
            "leave these rows out",
        )
    return labels


def summed(votes: FloatArray) -> FloatArray:
    """Add the verdicts of both orders, no verdict as 0: the sign says who wins."""
    total: FloatArray = np.where(np.isnan(votes) | (votes == NO_VERDICT), 0, votes).sum(
        axis=1
    )
    return total


def judged(votes: FloatArray) -> BoolArray:
    """Say which pairs were judged in every order that any pair was judged in."""
    return np.asarray(~np.isnan(votes).any(axis=1))


def order_notes(votes: FloatArray) -> tuple[str, ...]:
    """Say so if a judge's verdicts look like positions and not like items."""
    if votes.shape[1] < 2:
        return ()
    told = (np.abs(votes) == 1).all(axis=1)
    if told.sum() < _ENOUGH:
        return ()
    same = float((votes[told, 0] == votes[told, 1]).mean())
    if same >= _RARELY:
        return ()
    words = (
        f"The two orders agree in {same:.0%} of pairs only: if winners name positions, "
        "map those of the swapped order to the row's own items."
    )
    return (words,)


def cohen_kappa(joint: FloatArray) -> FloatArray:
    """Compute Cohen's kappa of joint shares (..., k * k), row by row of the table."""
    k = round(joint.shape[-1] ** 0.5)
    square = joint.reshape(*joint.shape[:-1], k, k)
    agree = np.trace(square, axis1=-2, axis2=-1)
    chance = (square.sum(axis=-1) * square.sum(axis=-2)).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa: FloatArray = (agree - chance) / (1 - chance)
    return kappa


def label_of(
    value: Any, first: Side, second: Side, names: Mapping[str, float]
) -> float:
    """Read one label: by a benchmark's own names for the sides, else as a verdict."""
    named = names.get(str(value).strip().upper())
    return read_winner(value, first, second) if named is None else named


def score_judgebench(table: ScoreTable) -> Scoring:
    """Score JudgeBench: the share of pairs whose objectively right response wins.

    Of rewards, the strictly greater one must be right. Of a judge in both orders, the
    pair is right if more verdicts are right than wrong; a tie or no verdict is neither.
    The official headline is the micro average over pairs; some reports give the macro
    average over the four sources: both are in the table, and each response model
    apart, since the benchmark's leaderboard is over the 350 pairs of GPT-4o.

    References
    ----------
    Tan et al. (2024), arXiv:2410.12784.
    """
    votes = verdicts(table, *JUDGEBENCH_SIDES)
    truth = labels(table, *JUDGEBENCH_SIDES, "label")
    right = (summed(votes) * truth > 0).astype(float)
    sources = table.texts("source")
    named = [
        next((s for s in JUDGEBENCH_SOURCES if str(v).startswith(s)), str(v))
        for v in sources
    ]
    groups = np.array(named, object)
    check_known(groups, JUDGEBENCH_SOURCES, "source", "judgebench")
    cells = [Cell(name, right, groups == name) for name in JUDGEBENCH_SOURCES]
    cells.append(Cell("micro", right, np.ones(len(table), bool)))
    models = table.names("response_model")
    if len(set(models)) > 1:
        cells += [Cell(f"micro ({m})", right, models == m) for m in sorted(set(models))]
    return Scoring(
        cells,
        [Aggregate("macro", JUDGEBENCH_SOURCES)],
        judged(votes),
        groups,
        "micro",
        notes=order_notes(votes),
    )


def score_llmbar(table: ScoreTable) -> Scoring:
    """Score LLMBar: accuracy averaged over both orders, then over subsets.

    As in the benchmark's rating evaluators, equal rewards win in one order and lose in
    the other, so that they count one half. `both right` wants both orders right,
    `agreement` is how often both orders have the same winner, `kappa` Cohen's kappa of
    the two. With a column `subset` (Natural, Neighbor, GPTInst, GPTOut, Manual) the
    headline is the unweighted mean of the subsets, as in the paper; `micro` weighs
    pairs.

    References
    ----------
    Zeng et al. (2023), arXiv:2310.07641.
    """
    votes = verdicts(table, *LLMBAR_SIDES)
    truth = labels(table, *LLMBAR_SIDES, "label")
    found = judged(votes)
    if table.kind == "rewards":
        # The rating evaluator: a tie is "second" as it stands, and "first" swapped.
        votes = np.hstack([np.where(votes == 0, tie, votes) for tie in (-1.0, 1.0)])
    right = (votes == truth[:, None]).astype(float)
    everywhere = np.ones(len(table), bool)
    values = table.column("subset")
    subsets = table.names("subset")
    names = sorted(set(subsets))
    accuracy = right.mean(axis=1)
    cells = [
        Cell(f"subset {n}" if n == "micro" else n, accuracy, subsets == n)
        for n in names
        if values is not None
    ]
    cells.append(Cell("micro", accuracy, everywhere))
    aggregates = [Aggregate("mean of subsets", tuple(names))] if len(names) > 1 else []
    adversarial = tuple(n for n in names if "natural" not in n.lower())
    if 1 < len(adversarial) < len(names):
        aggregates.insert(0, Aggregate("Adversarial (mean of subsets)", adversarial))
    if votes.shape[1] == 2:
        one, other = votes.T
        joint, kappa = _kappa(one, other, (1.0, -1.0, 0.0, -2.0))
        cells += [
            Cell("both right", right.all(axis=1).astype(float), everywhere),
            Cell("agreement", (one == other).astype(float), everywhere),
            *joint,
        ]
        aggregates.append(kappa)
    return Scoring(
        cells,
        aggregates,
        found,
        subsets,
        "mean of subsets" if len(names) > 1 else "micro",
        notes=order_notes(votes) if table.kind == "verdicts" else (),
    )


def _kappa(
    one: FloatArray, other: FloatArray, kinds: Sequence[float]
) -> tuple[list[Cell], Aggregate]:
    """Make Cohen's kappa of two judgements, and the joint cells that it is made of."""
    everywhere = np.ones(len(one), bool)
    joint = [
        Cell(f"{a} and {b}", ((one == a) & (other == b)) * 1.0, everywhere, shown=False)
        for a, b in product(kinds, repeat=2)
    ]
    names = tuple(cell.name for cell in joint)
    return joint, Aggregate("kappa", names, function=cohen_kappa)


def score_helpsteer_2_preference(table: ScoreTable) -> Scoring:
    """Score HelpSteer2-Preference: `preference_strength` < 0 prefers response 1.

    The headline is the share of pairs of strength other than 0 that are ordered
    strictly right; the table has each strength apart.

    References
    ----------
    Wang et al. (2024), arXiv:2410.01257.
    """
    return _by_strength(table, HELPSTEER_2_SIDES, "preference_strength")


def score_helpsteer_3(table: ScoreTable) -> Scoring:
    """Score HelpSteer3: as HelpSteer2-Preference, by `overall_preference`.

    Domains and languages stand apart where the rows have these columns.

    References
    ----------
    Wang et al. (2025), arXiv:2505.11475.
    """
    return _by_strength(table, HELPSTEER_3_SIDES, "overall_preference")


def _by_strength(table: ScoreTable, sides: tuple[Side, Side], column: str) -> Scoring:
    votes = verdicts(table, *sides)
    table.texts(column)
    numbers = table.numbers(column)
    strength = np.full(len(table), np.nan) if numbers is None else numbers
    bad = ~(np.abs(strength) <= 3)
    if bad.any():
        raise invalid_input(
            f"{column} from -3 to 3",
            f"another value in row {int(bad.argmax())}",
            "leave rows without a preference out",
        )
    right = (summed(votes) * -strength > 0).astype(float)
    told = strength != 0
    cells = [
        Cell(f"strength {s}", right, np.abs(strength) == s)
        for s in (1, 2, 3)
        if (np.abs(strength) == s).any()
    ]
    for name in ("domain", "language"):
        if name in table.rows:
            values = table.texts(name)
            cells += [
                Cell(f"{name} {v}", right, told & (values == v))
                for v in sorted(set(values))
            ]
    cells.append(Cell("accuracy", right, told))
    left_out = int((~told).sum())
    return Scoring(
        cells,
        [],
        judged(votes) | ~told,
        np.array([f"strength {abs(int(s))}" for s in strength], object),
        "accuracy",
        prompts=table.texts("prompt") if "prompt" in table.rows else None,
        notes=(f"{left_out} pairs of strength 0 are left out.",) if left_out else (),
    )


def score_faireval(table: ScoreTable) -> Scoring:
    """Score FairEval: agreement with the annotators' majority, ties among it.

    Verdicts and labels are win, lose or tie; a judge's two orders are averaged, and
    cancel to a tie. `kappa` is Cohen's; `accuracy without ties` leaves pairs out that
    the majority calls a tie. Labels are in `label` (or `winner`): 1, 2 or tie, or the
    benchmark's own CHATGPT (first), VICUNA13B (second), TIE; or a list of votes in
    `votes`, of which the majority counts, and a tie where there is none.

    References
    ----------
    Wang et al. (2023), arXiv:2305.17926.
    """
    votes = verdicts(table, *FAIREVAL_SIDES)
    truth = _majority(table)
    verdict = np.sign(summed(votes))
    everywhere = np.ones(len(table), bool)
    joint, kappa = _kappa(verdict, truth, (1.0, 0.0, -1.0))
    right = (verdict == truth).astype(float)
    return Scoring(
        [
            Cell("accuracy", right, everywhere),
            Cell("accuracy without ties", right, truth != 0),
            *joint,
        ],
        [kappa],
        judged(votes),
        np.full(len(table), "all", object),
        "accuracy",
        notes=order_notes(votes),
    )


def _majority(table: ScoreTable) -> FloatArray:
    lists = table.column("votes", "labels")
    if lists is None:
        return labels(table, *FAIREVAL_SIDES, "label", "winner", names=_FAIREVAL_NAMES)
    counted = []
    for row, values in enumerate(lists):
        if not is_sequence(values) or len(values) == 0:
            raise invalid_input(
                "a list of votes in every row",
                f"{type(values).__name__} in row {row}",
                "pass the labels of all annotators, or their majority as label",
            )
        signs = [label_of(v, *FAIREVAL_SIDES, _FAIREVAL_NAMES) for v in values]
        counts = {s: signs.count(s) for s in (1.0, -1.0, 0.0)}
        best = [s for s, n in counts.items() if n == max(counts.values())]
        counted.append(best[0] if len(best) == 1 else 0.0)
    return np.array(counted)
