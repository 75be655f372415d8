"""MT-Bench human judgements: agreement with people's votes, and of people with people.

Zheng et al. (2023), arXiv:2306.05685.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from embrm._typing import AnyArray, BoolArray, FloatArray
from embrm.evaluate.suites._pairs import labels, verdicts
from embrm.evaluate.suites._score_table import ScoreTable, Side, check_version, keys_of
from embrm.evaluate.suites._scoring import Cell, Scoring
from embrm.exceptions import invalid_input

SIDES = (
    Side("model_a", ("conversation_a", "response_a", "A")),
    Side("model_b", ("conversation_b", "response_b", "B")),
)


def score_mt_bench_human(table: ScoreTable, *, version: str | None = None) -> Scoring:
    """Score agreement with the votes of MT-Bench's experts, one row a vote.

    Rows are `question_id, model_a, model_b, winner, judge, turn`; scores have
    `id` = question_id (and `turn`), and as item a side (`model_a`, with columns
    `model_a, model_b`) or the model's name. A judge that differs between its two orders
    says a tie. As in the benchmark, agreement is over votes, for each turn with ties,
    and without them (pairs left out that the judge or the vote calls a tie); the
    headline is without ties, over both turns. Beside it stand the agreement with the
    majority of a pair's votes (a tie where there is none), and that of people with
    people, which is what can be hoped for.
    """
    version = check_version(version, ("v1",))
    votes = labels(table, *SIDES, "winner")
    verdict = _verdict(table)
    human = _is_human(table)
    turns = table.numbers("turn")
    turn = np.ones(len(table)) if turns is None else turns
    if np.isnan(turn).any():
        raise invalid_input(
            "a turn in every row",
            f"none in row {int(np.isnan(turn).argmax())}",
            "fill it in, or leave the column out",
        )
    told = (votes != 0) & (verdict != 0)
    right = (verdict == votes).astype(float)
    majority, first = _majority(table, votes, human, turn)
    by_majority = (verdict == majority).astype(float)
    cells = [
        *(
            Cell(f"turn {t:g} {words}", right, human & (turn == t) & kept)
            for t in sorted(set(turn))
            for words, kept in (("with ties", votes == votes), ("without ties", told))
        ),
        Cell("with ties", right, human),
        Cell("without ties", right, human & told),
        Cell("majority with ties", by_majority, first),
        Cell("majority without ties", by_majority, first & (majority * verdict != 0)),
    ]
    return Scoring(
        cells,
        [],
        ~np.isnan(verdict),
        np.array([f"turn {t:g}" for t in turn], object),
        "without ties",
        prompts=table.texts("question_id") if "question_id" in table.rows else None,
        single=_people(table, votes, human, turn),
        version=version,
    )


def _verdict(table: ScoreTable) -> FloatArray:
    names = {name for side in SIDES for name in (side.name, *side.also)}
    if table.kind == "rewards" and not set(table.scores["side"]) <= names:
        one, other = (_rewards_of_models(table, side.name) for side in SIDES)
        verdict = (one > other).astype(float) - (one < other).astype(float)
        return np.where(np.isnan(one) | np.isnan(other), np.nan, verdict)
    both = verdicts(table, *SIDES)
    same = both[:, 0] == both[:, -1]
    unknown = np.isnan(both).any(axis=1)
    return np.where(unknown, np.nan, np.where(same, both[:, 0], 0.0))


def _rewards_of_models(table: ScoreTable, column: str) -> FloatArray:
    """Give the reward of the model that a row names in a column."""
    models = table.texts(column)
    scores = table.scores
    rows = scores["row"].to_numpy(np.intp)
    mine = scores["side"].to_numpy(object) == models[rows]
    rewards = np.full(len(table), np.nan)
    rewards[rows[mine]] = scores["reward"].to_numpy(np.float64)[mine]
    return rewards


def _is_human(table: ScoreTable) -> BoolArray:
    judges = table.column("judge")
    if judges is None:
        return np.ones(len(table), bool)
    expert = np.array([str(judge).startswith("expert") for judge in judges])
    return expert if expert.any() else np.ones(len(table), bool)


def _comparisons(table: ScoreTable, turn: FloatArray) -> tuple[AnyArray, FloatArray]:
    """Give each comparison a number, and -1 to rows that name it in reverse."""
    a, b = table.texts("model_a"), table.texts("model_b")
    swapped = np.where(a < b, 1.0, -1.0)
    question = keys_of(pd.Series(table.texts(table.id_column or "question_id")))
    if "question_id" in table.rows:
        question = keys_of(table.rows["question_id"])
    frame = pd.DataFrame(
        {
            "question": question.to_numpy(),
            "one": np.where(a < b, a, b),
            "other": np.where(a < b, b, a),
            "turn": turn,
        }
    )
    return frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy(), swapped


def _majority(
    table: ScoreTable, votes: FloatArray, human: BoolArray, turn: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Give each row the majority's vote, and say which row stands for its pair."""
    pair, swapped = _comparisons(table, turn)
    counts = np.zeros((3, pair.max() + 1))
    for at, kind in enumerate((1.0, 0.0, -1.0)):
        mine = human & (votes * swapped == kind)
        counts[at] = np.bincount(pair[mine], minlength=counts.shape[1])
    top = counts == counts.max(axis=0)
    alone = top.sum(axis=0) == 1
    winner = np.where(alone, np.array([1.0, 0.0, -1.0])[top.argmax(axis=0)], 0.0)
    first = np.zeros(len(pair), bool)
    rows = np.flatnonzero(human)
    first[rows[np.unique(pair[rows], return_index=True)[1]]] = True
    return winner[pair] * swapped, first


def _people(
    table: ScoreTable, votes: FloatArray, human: BoolArray, turn: FloatArray
) -> dict[str, float]:
    """Compute how often two people's votes on one pair agree."""
    pair, swapped = _comparisons(table, turn)
    oriented = pd.Series((votes * swapped)[human]).groupby(pair[human])
    turn_of = dict(zip(pair[human], turn[human], strict=True))
    counts: dict[str, list[int]] = {}
    for number, group in oriented:
        of_turn = turn_of[number]
        for one, other in combinations(group, 2):
            for words in ("with ties", "without ties"):
                if words == "without ties" and 0 in (one, other):
                    continue
                key = f"people, turn {of_turn:g} {words}"
                agreed, total = counts.get(key, [0, 0])
                counts[key] = [agreed + int(one == other), total + 1]
    return {key: agreed / total for key, (agreed, total) in sorted(counts.items())}
