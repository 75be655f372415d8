"""The suites by name, what their rows look like, and `score_suite`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from embrm._validation import check_choice
from embrm.evaluate.suites import alpaca_eval, candidates, pairs, ppe, rewardbench
from embrm.evaluate.suites._matching import match_scores
from embrm.evaluate.suites._score_table import Side, read_winner
from embrm.evaluate.suites._scoring import Scoring, SuiteResult, result_of
from embrm.evaluate.suites.layouts import as_scores
from embrm.exceptions import invalid_input

Frames = tuple[pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True)
class Suite:
    """How a benchmark is scored, and where its texts are.

    Attributes
    ----------
    score : callable
        Makes a `Scoring` of a `ScoreTable`.
    sides : tuple of Side
        What items are called; empty where any name may be.
    prompts, responses : tuple of str
        Columns of the texts.
    good : tuple of str
        Those of `responses` that are right, if all rows have the same.
    label : tuple of str
        Otherwise: columns that say which of the two responses is better.
    ids : tuple of str
        What the id may be called.
    prepare : callable, optional
        Brings other layouts of the benchmark's files to one row a prompt.
    items : callable, optional
        Brings other layouts of the rows to what `suite_items` reads.
    repeated_ids : bool
    sizes : tuple of int
        Numbers of rows that the benchmark is published with.
    versions : tuple of str
        Of its scores, the current one first. `score` is told which where there are
        several.
    """

    score: Callable[..., Scoring]
    sides: tuple[Side, ...]
    prompts: tuple[str, ...]
    responses: tuple[str, ...]
    good: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    ids: tuple[str, ...] = ("id",)
    prepare: Callable[[pd.DataFrame, pd.DataFrame], Frames] | None = None
    items: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    repeated_ids: bool = False
    sizes: tuple[int, ...] = ()
    versions: tuple[str, ...] = ("v1",)


def _of_pairs(
    score: Callable[..., Scoring], sides: tuple[Side, Side], *label: str, **more: Any
) -> Suite:
    names = tuple(side.name for side in sides)
    return Suite(score, sides, ("prompt",), names, label=label, **more)


_SUITES: dict[str, Suite] = {
    "rewardbench": Suite(
        rewardbench.score_rewardbench,
        rewardbench.SIDES,
        ("prompt",),
        ("chosen", "rejected"),
        good=("chosen",),
        sizes=(2985,),
        versions=rewardbench.VERSIONS,
    ),
    "rewardbench2": Suite(
        rewardbench.score_rewardbench_2,
        rewardbench.SIDES,
        ("prompt",),
        ("chosen", "rejected"),
        good=("chosen",),
        sizes=(1865,),
        versions=("v2",),
    ),
    "rm-bench": Suite(
        rewardbench.score_rm_bench,
        rewardbench.RM_BENCH_SIDES,
        ("prompt",),
        ("chosen", "rejected"),
        good=("chosen",),
        sizes=(1327,),
    ),
    "judgebench": Suite(
        pairs.score_judgebench,
        pairs.JUDGEBENCH_SIDES,
        ("question",),
        ("response_A", "response_B"),
        label=("label",),
        ids=("pair_id", "id"),
        sizes=(350, 620),
    ),
    "llmbar": Suite(
        pairs.score_llmbar,
        pairs.LLMBAR_SIDES,
        ("input",),
        ("output_1", "output_2"),
        label=("label",),
        sizes=(100, 419),
    ),
    "rewardmath": Suite(
        candidates.score_rewardmath,
        candidates.REWARDMATH_SIDES,
        ("problem", "prompt"),
        ("chosen", "rejected", candidates.SOLUTION),
        good=("chosen",),
        ids=("id", "unique_id", "problem_id"),
        prepare=candidates.widen_rewardmath,
        sizes=(483,),
    ),
    "rmb": Suite(
        candidates.score_rmb,
        candidates.RMB_SIDES,
        ("conversation_input",),
        ("chosen", "reject", "bon_best", "loser_list"),
        good=("chosen", "bon_best"),
        ids=("id", "pair_uid", "bon_uid"),
        prepare=lambda rows, scores: (candidates.with_one_id(rows), scores),
        items=candidates.with_one_id,
    ),
    "ppe": Suite(
        ppe.score_ppe,
        (),
        ("prompt",),
        tuple(f"response_{k}" for k in range(1, 33)),
        label=("winner",),
        ids=("id", "question_id"),
    ),
    "helpsteer2-preference": _of_pairs(
        pairs.score_helpsteer_2_preference, pairs.HELPSTEER_2_SIDES
    ),
    "helpsteer3": _of_pairs(pairs.score_helpsteer_3, pairs.HELPSTEER_3_SIDES),
    "mt-bench-human": Suite(
        alpaca_eval.score_mt_bench_human,
        (),
        ("question", "prompt"),
        ("response_a", "response_b"),
        label=("winner",),
        ids=("id", "question_id"),
        repeated_ids=True,
    ),
    "faireval": Suite(
        pairs.score_faireval,
        pairs.FAIREVAL_SIDES,
        ("question", "text", "input"),
        ("answer_1", "answer_2", "output_1", "output_2"),
        label=("label",),
        ids=("id", "question_id"),
    ),
    "alpacaeval": Suite(
        alpaca_eval.score_alpaca_eval,
        alpaca_eval.SIDES,
        ("instruction",),
        ("output_1", "output_2"),
        ids=("id", "index"),
        sizes=(805,),
        versions=("v2",),
    ),
    "if-rewardbench": Suite(
        candidates.score_preference_graphs,
        candidates.GRAPH_SIDES,
        ("messages", "prompt"),
        ("responses",),
    ),
}


def known_suites() -> tuple[str, ...]:
    """Return the names of the suites.

    Examples
    --------
    >>> known_suites()[:3]
    ('rewardbench', 'rewardbench2', 'rm-bench')
    """
    return tuple(_SUITES)


def score_suite(
    name: str,
    rows: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    version: str | None = None,
    aggregate: str | None = None,
    **options: Any,
) -> SuiteResult:
    """Compute the official scores of a benchmark.

    Parameters
    ----------
    name : str
        One of `known_suites()`.
    rows : DataFrame
        The benchmark's own rows: ids, labels, subsets; texts may be absent. Rows
        without an id are known by their index.
    scores : DataFrame
        `id, item, reward`: item is the row's own column (`response_A`, `output_1`,
        `chosen`), with an index for lists (`rejected[2]`), and reward a number, or a
        list of the steps' with `aggregate`. Or, for benchmarks of pairs, `id, order,
        winner`: a judge's verdicts in one or both orders, in which `winner` is the
        row's own item in either order (`response_A`, `A`, `A>B`, `1`), `tie`, or None
        where the judge gave none. Or, for alpacaeval, `id, preference`. Where ids
        repeat over subsets, domains or turns, the scores have that column, too. Or a
        frame of what the benchmark's own code writes; see `as_scores`.
    version : str, optional
        Of the benchmark; None is the current one.
    aggregate : str, optional
        How the rewards of steps become one; see `aggregate_steps`.
    **options
        alpacaeval: `difficulty` and `gamed`.

    Returns
    -------
    SuiteResult
        With `.overall`, `.table`, `.coverage`, and `.intervals()` for intervals from
        resampled prompts. A row that is not scored in full (a response without a
        reward, a NaN) is left out, and its scores are labelled partial; `overall` is
        then NaN.

    Raises
    ------
    InvalidInputError
        On an unknown suite or version, columns that are missing, ids that are missing
        or repeated, items a row does not have, rewards that are no numbers, or scores
        that belong to no row.

    Examples
    --------
    >>> rows = pd.DataFrame({"id": [1, 2], "label": [1, 2]})
    >>> scores = pd.DataFrame(
    ...     {
    ...         "id": [1, 1, 2, 2],
    ...         "item": ["output_1", "output_2"] * 2,
    ...         "reward": [0.3, 0.1, 0.2, 0.2],
    ...     }
    ... )
    >>> result = score_suite("llmbar", rows, scores)
    >>> result.overall, result.coverage
    (0.75, 2 of 2 rows)
    """
    suite = _suite(name)
    if suite.prepare is not None and isinstance(rows, pd.DataFrame):
        rows, scores = suite.prepare(rows, scores)
    if isinstance(scores, pd.DataFrame) and isinstance(rows, pd.DataFrame):
        scores = as_scores(name, rows, scores, suite.sides, suite.ids)
    table = match_scores(
        rows,
        scores,
        suite.ids,
        aggregate=aggregate,
        repeated_ids=suite.repeated_ids,
    )
    if suite.sides:
        table.check_items(suite.sides)
    version = suite.versions[0] if version is None else version
    check_choice(version, "version", suite.versions)
    if len(suite.versions) > 1:
        options["version"] = version
    scoring = suite.score(table, **options)
    if not scoring.found.any():
        raise invalid_input(
            "at least one row with all of its scores",
            f"none among {len(table)} rows",
            f"score every response of a row: {', '.join(suite.responses[:4])}",
        )
    return result_of(name, scoring, table.n_unknown, suite.sizes, version)


def suite_items(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """List the responses of a benchmark's rows, to be rewarded.

    Parameters
    ----------
    name : str
    rows : DataFrame
        With texts.

    Returns
    -------
    DataFrame
        One row a response: `id, item` as `score_suite` takes them, the columns that
        tell repeated ids apart, `prompt`, `response`, and `good`: 1 for the better
        responses of a row, 0 for the worse ones, NaN where none is.

    Raises
    ------
    InvalidInputError
        If the rows have no texts.

    Examples
    --------
    >>> rows = pd.DataFrame(
    ...     [{"input": "Say hi.", "output_1": "Hi.", "output_2": "Bye.", "label": 1}]
    ... )
    >>> suite_items("llmbar", rows)[["id", "item", "response", "good"]]
       id      item response  good
    0   0  output_1      Hi.   1.0
    1   0  output_2     Bye.   0.0
    """
    suite = _suite(name)
    if suite.items is not None:
        rows = suite.items(rows)
    prompt = next((c for c in suite.prompts if c in rows), None)
    columns = [c for c in suite.responses if c in rows]
    if prompt is None or not columns:
        raise invalid_input(
            f"columns {suite.prompts[0]} and {', '.join(suite.responses[:4])}",
            f"columns {', '.join(map(str, rows.columns))}"[:200],
            "pass the benchmark's rows with their texts",
        )
    id_column = next((c for c in suite.ids if c in rows), None)
    ids = rows.index if id_column is None else rows[id_column]
    apart = [c for c in ("domain", "subset", "category_path", "turn") if c in rows]
    records = [
        {
            "id": identity,
            **{c: row[c] for c in apart},
            "item": item,
            "prompt": _prompt_of(row[prompt]),
            "response": response,
            "good": good,
        }
        for identity, row in zip(ids, rows.to_dict("records"), strict=True)
        for item, response, good in _responses(suite, row, columns)
    ]
    return pd.DataFrame(records)


def _responses(
    suite: Suite, row: Mapping[Any, Any], columns: Sequence[str]
) -> Iterator[tuple[str, str, float]]:
    for at, column in enumerate(columns):
        value = row[column]
        if value is None or (isinstance(value, float) and np.isnan(value)):
            continue
        good = _goodness(suite, row, column, at)
        if column == candidates.SOLUTION:
            yield column, "\n".join(value), float(row["solution_type"] == "chosen")
        elif isinstance(value, list | tuple | np.ndarray):
            for index, response in enumerate(value):
                yield f"{column}[{index}]", _text_of(response), good
        else:
            yield column, _text_of(value), good


def _goodness(suite: Suite, row: Mapping[Any, Any], column: str, at: int) -> float:
    if suite.good:
        return float(column in suite.good)
    label = next((row[c] for c in suite.label if c in row), None)
    if label is None or len(suite.sides) != 2:
        return np.nan
    winner = read_winner(label, *suite.sides)
    if winner not in (1.0, -1.0):
        return np.nan
    return float((winner > 0) == (at == 0))


def _text_of(value: Any) -> Any:
    """Take a text, or the answer in RMB's records."""
    if isinstance(value, dict):
        return value.get("answer", value.get("content", ""))
    return value


def _prompt_of(value: Any) -> Any:
    """Take a text, or messages with nothing but their role and content."""
    if not isinstance(value, list | np.ndarray):
        return value
    return [{"role": turn["role"], "content": turn["content"]} for turn in value]


def _suite(name: str) -> Suite:
    check_choice(name, "suite", known_suites())
    return _SUITES[name]
