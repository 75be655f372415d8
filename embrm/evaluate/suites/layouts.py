"""Score tables as others publish them: the benchmarks' own result files.

Each layout is read by the columns it has. What comes out is a score table in the form
that `score_suite` describes; a frame that has that form already stays as it is.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from embrm.datasets import read_frame
from embrm.datasets._json_rows import parse_json
from embrm.evaluate.suites._score_table import (
    ALSO_MATCHED,
    COLUMNS,
    Side,
    is_missing,
    is_sequence,
    keys_of,
)
from embrm.exceptions import invalid_input

Entries: TypeAlias = Iterator[dict[str, Any]]
Row: TypeAlias = Mapping[Any, Any]

_NAMES = ("scores_{}", "score_{}", "{}_score", "{}_scores", "{}_reward", "reward_{}")
_CORRECT = "human_to_GPT-4"


def read_results(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a benchmark's rows, a score table or a result file, in any file format.

    Parameters
    ----------
    path : path
        A .json file may also be one object of columns, lists of equal length beside
        single values such as the model's name, as RewardBench's results are.

    Returns
    -------
    DataFrame

    Raises
    ------
    DataError
        If the file cannot be read.

    Examples
    --------
    >>> import json, tempfile
    >>> columns = {"model": "org/name", "id": [1, 2], "scores_chosen": [0.5, 0.1]}
    >>> with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    ...     json.dump(columns, file)
    ...     file.flush()
    ...     frame = read_results(file.name)
    >>> frame["scores_chosen"].tolist()
    [0.5, 0.1]
    """
    file = Path(path)
    if file.suffix == ".json" and file.is_file():
        with file.open("rb") as handle:
            opens = handle.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"
        if opens and (columns := _columns(file)) is not None:
            return pd.DataFrame(columns)
    return read_frame(file)


def _columns(file: Path) -> dict[str, Any] | None:
    """Take the columns of an object of lists of equal length, or None of another."""
    try:
        value = parse_json(file.read_bytes())
    except ValueError:
        return None  # JSON lines, or what `read_frame` says more about
    if not isinstance(value, dict):
        return None
    lists = [v for v in value.values() if isinstance(v, list)]
    if len(lists) < 2 or len({len(v) for v in lists}) != 1:
        return None
    return {k: v for k, v in value.items() if not isinstance(v, dict)}


def as_scores(
    suite: str,
    rows: pd.DataFrame,
    scores: pd.DataFrame,
    sides: Sequence[Side],
    ids: Sequence[str],
) -> pd.DataFrame:
    """Bring a benchmark's published results into the form of a score table.

    Parameters
    ----------
    suite : str
    rows : DataFrame
        The benchmark's own; results without ids are taken to be in their order where
        there are as many.
    scores : DataFrame
        In the form that `score_suite` describes, which is returned as it is, or one
        row an item of the benchmark, in one of these layouts: rewards by side
        (`scores_chosen, scores_rejected`; `chosen_reward, reject_reward`; lists for
        lists of responses), RewardBench 2 (`scores`, the correct ones first), its
        judges (`results` of 1, 0 and one half), JudgeBench (`judgments`), LLMBar
        (`results` with "swap = False" and "swap = True"), RewardMATH (`score` with
        `solution_reference`, or `chosen_position`), FairEval (`score` of two),
        MT-Bench (`winner` by `model_a, model_b`), AlpacaEval (`preference`).
    sides : sequence of Side
    ids : sequence of str
        What the id may be called.

    Returns
    -------
    DataFrame
        What is in no known layout stays as it is.

    Raises
    ------
    InvalidInputError
        If results in a known layout cannot be matched with the rows, or a row of them
        has another form.

    Examples
    --------
    >>> from embrm.evaluate.suites.rewardbench import SIDES
    >>> results = pd.DataFrame(
    ...     {"id": [7], "subset": ["hep-go"], "scores_chosen": 2, "scores_rejected": 1}
    ... )
    >>> as_scores("rewardbench", results, results, SIDES, ("id",))
       id  subset      item  reward
    0   7  hep-go    chosen       2
    1   7  hep-go  rejected       1
    """
    if any(set(columns) <= set(scores.columns) for columns in COLUMNS.values()):
        return scores
    entries = _layout(suite, scores, sides)
    if entries is None:
        return scores
    identities = _identities(suite, rows, scores, ids)
    shared = [c for c in ALSO_MATCHED if c in rows and c in scores]
    records = [
        {"id": identity, **{c: row[c] for c in shared}, **entry}
        for at, (identity, row) in enumerate(
            zip(identities, scores.to_dict("records"), strict=True)
        )
        for entry in _read(entries, row, at, suite)
    ]
    made = pd.DataFrame(records)
    return _turned(rows, made, ids) if "model_a" in made else made


def _read(
    entries: Callable[[Row], Entries], row: Row, at: int, suite: str
) -> list[dict[str, Any]]:
    try:
        return list(entries(row))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise invalid_input(
            f"results as the code of {suite} writes them",
            f"a row {at} of another form ({type(error).__name__})",
            "write a score table: one row an item, with id, item and reward",
        ) from error


def _layout(
    suite: str, scores: pd.DataFrame, sides: Sequence[Side]
) -> Callable[[Row], Entries] | None:
    """Choose how a row of results is read, by the columns there are."""
    named = _named_sides(sides, scores)
    if named and scores[list(named.values())].notna().any(axis=None):
        return partial(_by_side, named=named)
    layouts = _LAYOUTS.get(suite, {})
    return next((f for c, f in layouts.items() if set(c) <= set(scores.columns)), None)


def _identities(
    suite: str, rows: pd.DataFrame, scores: pd.DataFrame, ids: Sequence[str]
) -> list[Any]:
    """Give each row of results the id of a row of the benchmark."""
    of_rows = next((name for name in ids if name in rows), None)
    # What the file calls its ids may differ from what the rows do.
    of_scores = next(
        (n for n in [of_rows, *ids] if n is not None and n in scores.columns), None
    )
    if of_scores is not None and of_rows is not None:
        return list(scores[of_scores])
    if suite == "rewardmath" and {"problem"} <= set(rows) & set(scores):
        return _by_problem(rows, scores, of_rows)
    if len(rows) != len(scores):
        raise invalid_input(
            f"results with {' or '.join(ids)}, or one for each of {len(rows)} rows",
            f"{len(scores)} results without it",
            "keep the benchmark's ids, or score all of its rows in their order",
        )
    return list(rows.index if of_rows is None else rows[of_rows])


def _by_problem(
    rows: pd.DataFrame, scores: pd.DataFrame, id_column: str | None
) -> list[Any]:
    """Look ids up by the problem's text, which RewardMATH's results have instead."""
    known = rows.drop_duplicates("problem")
    own = known.index if id_column is None else known[id_column]
    found = pd.Series(list(own), known["problem"]).reindex(scores["problem"])
    return list(found)


def _named_sides(sides: Sequence[Side], scores: pd.DataFrame) -> dict[str, str]:
    """Find the columns that hold the rewards of each side, by the side's name."""
    named = {
        side.name: column
        for side in sides
        for name in (side.name, *side.also)
        for column in (form.format(name) for form in _NAMES)
        if column in scores
    }
    return named if len(named) > 1 else {}


def _by_side(row: Row, named: Mapping[str, str]) -> Entries:
    for side, column in named.items():
        value = row[column]
        if is_sequence(value):
            for index, reward in enumerate(value):
                yield {"item": f"{side}[{index}]", "reward": _single(reward)}
        elif not is_missing(value):
            yield {"item": side, "reward": value}


def _single(reward: Any) -> Any:
    """Take the number out of a list of one, as models with one output give it."""
    return reward[0] if is_sequence(reward) and len(reward) == 1 else reward


def _correct_first(row: Row) -> Entries:
    n_correct = int(row["num_correct"])
    for at, reward in enumerate(row["scores"]):
        side = f"chosen[{at}]" if at < n_correct else f"rejected[{at - n_correct}]"
        yield {"item": side, "reward": _single(reward)}


def _result_of_pair(row: Row) -> Entries:
    """Read a judge's 1, 0, or one half for a tie or no verdict."""
    words = {1.0: "chosen", 0.0: "rejected"}
    yield {"order": 0, "winner": words.get(float(row["results"]), "tie")}


def _judgments(row: Row) -> Entries:
    """Read JudgeBench's decisions, of which the second is of the swapped order."""
    swapped = {"A>B": "B>A", "B>A": "A>B"}
    for order, judgment in enumerate(row["judgments"]):
        decision = judgment["decision"] if isinstance(judgment, Mapping) else None
        winner = swapped.get(str(decision), decision) if order else decision
        yield {"order": order, "winner": winner}


def _swaps(row: Row) -> Entries:
    """Read LLMBar's winners, which name the row's own outputs in either order."""
    for order in ("swap = False", "swap = True"):
        yield {"order": order, "winner": row["results"][-1][order]["winner"]}


def _solutions(row: Row) -> Entries:
    counts = {"chosen": 0, "rejected": 0}
    for source, reward in zip(row["solution_reference"], row["score"], strict=True):
        side = "chosen" if source == _CORRECT else "rejected"
        yield {"item": f"{side}[{counts[side]}]", "reward": reward}
        counts[side] += 1


def _solutions_in_pairs(row: Row) -> Entries:
    """Read verdicts on the correct solution against each wrong one.

    As the benchmark does: a wrong one that wins stands above the correct one.
    """
    wins = [a == b for a, b in zip(row["score"], row["chosen_position"], strict=True)]
    yield {"item": "chosen[0]", "reward": sum(wins) + 1}
    for at, won in enumerate(wins):
        reward = 1 if won else len(wins) + 2
        yield {"item": f"rejected[{at}]", "reward": reward}


def _two_answers(row: Row) -> Entries:
    for side, reward in zip(("answer_1", "answer_2"), row["score"], strict=True):
        yield {"item": side, "reward": reward}


def _one_verdict(row: Row) -> Entries:
    yield {"order": 0, "winner": row["winner"]}


def _preference(row: Row) -> Entries:
    yield {"preference": row["preference"]}


# By suite: the columns that tell a layout, and how a row of it is read. The first that
# fits counts.
_LAYOUTS: dict[str, dict[tuple[str, ...], Callable[[Row], Entries]]] = {
    "rewardbench": {("results",): _result_of_pair},
    "rewardbench2": {("scores", "num_correct"): _correct_first},
    "judgebench": {("judgments",): _judgments},
    "llmbar": {("results",): _swaps},
    "rewardmath": {
        ("score", "chosen_position"): _solutions_in_pairs,
        ("score", "solution_reference"): _solutions,
    },
    "faireval": {("score",): _two_answers},
    "mt-bench-human": {("model_a", "model_b", "winner"): _one_verdict},
    "alpacaeval": {("preference",): _preference},
}


def _turned(
    rows: pd.DataFrame, scores: pd.DataFrame, ids: Sequence[str]
) -> pd.DataFrame:
    """Name the two models in the orders in which the rows name them."""
    told = [c for c in ("model_a", "model_b", "turn") if c in rows and c in scores]
    of_rows = next((name for name in ids if name in rows), None)
    if of_rows is None or not {"model_a", "model_b"} <= set(told):
        return scores
    other = {"model_a": "model_b", "model_b": "model_a"}
    turned = scores.rename(columns=other)
    turned["winner"] = scores["winner"].map(lambda winner: other.get(winner, winner))
    known = _joined(rows, [of_rows, *told])
    straight, reverse = (
        _joined(frame, ["id", *told]).isin(known) for frame in (scores, turned)
    )
    return pd.concat([scores[straight | ~reverse], turned[reverse]])


def _joined(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    return pd.concat([keys_of(frame[c]) for c in columns], axis=1).agg("\x1f".join, 1)
