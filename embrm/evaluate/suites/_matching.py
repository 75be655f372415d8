"""The score table: rewards, verdicts or preferences, matched with a benchmark's rows.

Ids are compared as text (8, 8.0 and "8" are one id). Columns such as subset, domain or
turn take part in the match where both frames have them. A reward may be a list, of
steps, as process reward models give them: one number is made of it.
"""

import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import FloatArray, IntArray
from embrm._validation import as_numbers, check_choice
from embrm.evaluate.suites._score_table import (
    ALSO_MATCHED,
    COLUMNS,
    ScoreTable,
    is_missing,
    is_number,
    is_sequence,
    keys_of,
)
from embrm.exceptions import invalid_input

_INDEXED = re.compile(r"(.+)\[(\d+)\]")


def match_scores(
    rows: pd.DataFrame,
    scores: pd.DataFrame,
    id_columns: Sequence[str],
    *,
    aggregate: str | None = None,
    repeated_ids: bool = False,
) -> ScoreTable:
    """Match a score table with a benchmark's rows.

    Parameters
    ----------
    rows : DataFrame
    scores : DataFrame
        Columns `id, item, reward`; or `id, order, winner`; or `id, preference`.
    id_columns : sequence of str
        What the id may be called in `rows`, the first that is there counts. Rows
        without any are known by their index.
    aggregate : str, optional
        How the rewards of steps become one; see `aggregate_steps`.
    repeated_ids : bool, default=False
        Whether several rows may have one id (votes on one pair).

    Returns
    -------
    ScoreTable

    Raises
    ------
    InvalidInputError
        If a column is missing, an id is there twice or missing, a reward is no
        number, or no score belongs to any row.
    """
    _check_frames(rows, scores)
    kind = _kind_of(scores)
    id_column = next((name for name in id_columns if name in rows), None)
    ids = rows.index.to_series() if id_column is None else rows[id_column]
    shared = [c for c in ALSO_MATCHED if c in rows and c in scores]
    row_keys = _keys(ids, rows, shared, "the rows")
    repeated = row_keys.duplicated()
    if repeated.any() and not repeated_ids:
        raise invalid_input(
            "each id once in the rows",
            f"{int(repeated.sum())} repeated, the first in row "
            f"{int(repeated.argmax())}",
            "if ids repeat over subsets or domains, put that column into the scores, "
            "too; otherwise drop the copies",
        )
    keys = _keys(scores["id"], scores, shared, "the scores")
    numbers, distinct = pd.factorize(row_keys)
    place = pd.Index(distinct).get_indexer(pd.Index(keys))
    known = place >= 0
    if not known.any():
        raise invalid_input(
            f"scores whose ids are those of the rows ({id_column or 'their index'})",
            f"none among {len(scores)} scores",
            "score this benchmark's rows, and keep their ids"
            + (f" and {', '.join(shared)}" if shared else ""),
        )
    matched = _spread(scores[known], place[known], numbers)
    if kind == "rewards":
        matched = _with_rewards(matched, aggregate)
    _check_once(matched, kind)
    return ScoreTable(
        rows.reset_index(drop=True), matched, int((~known).sum()), kind, id_column
    )


def _check_frames(rows: Any, scores: Any) -> None:
    for name, frame in (("rows", rows), ("scores", scores)):
        if not isinstance(frame, pd.DataFrame) or frame.empty:
            raise invalid_input(
                f"{name} as a DataFrame with at least one row",
                "an empty one"
                if isinstance(frame, pd.DataFrame)
                else type(frame).__name__,
                "pd.DataFrame(records) makes one of a list of dicts",
            )


def _kind_of(scores: pd.DataFrame) -> str:
    for kind, columns in COLUMNS.items():
        if set(columns) <= set(scores.columns):
            return kind
    ways = "; or ".join(", ".join(columns) for columns in COLUMNS.values())
    raise invalid_input(
        f"scores with columns {ways}",
        f"columns {', '.join(map(str, scores.columns))}"[:200],
        "rename the columns",
    )


def _keys(
    ids: pd.Series, frame: pd.DataFrame, shared: Collection[str], where: str
) -> pd.Series:
    missing = ids.isna().to_numpy()
    if missing.any():
        raise invalid_input(
            f"an id in every row of {where}",
            f"{int(missing.sum())} missing, the first in row {int(missing.argmax())}",
            "fill them in",
        )
    keys = keys_of(ids.reset_index(drop=True))
    for column in shared:
        keys = keys + "\x1f" + keys_of(frame[column].reset_index(drop=True))
    return keys


def _spread(scores: pd.DataFrame, place: IntArray, numbers: IntArray) -> pd.DataFrame:
    """Give each score the position of its row; repeat it where rows share the id."""
    by_key = np.argsort(numbers, kind="stable")
    counts = np.bincount(numbers)
    starts = np.cumsum(counts) - counts
    repeats = counts[place]
    taken = scores.iloc[np.repeat(np.arange(len(scores)), repeats)]
    within = np.arange(len(taken)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return taken.assign(row=by_key[np.repeat(starts[place], repeats) + within])


def _with_rewards(scores: pd.DataFrame, aggregate: str | None) -> pd.DataFrame:
    """Read rewards as numbers and items as side and index."""
    codes, items = pd.factorize(scores["item"].map(str))
    parts = [_INDEXED.fullmatch(str(item)) for item in items]
    sides = np.array(
        [m[1] if m else str(i) for m, i in zip(parts, items, strict=True)], object
    )
    indices = np.array([int(m[2]) if m else 0 for m in parts], np.intp)
    return scores.assign(
        reward=_numbers(scores["reward"], aggregate),
        side=sides[codes],
        index=indices[codes],
    )


def _numbers(rewards: pd.Series, aggregate: str | None) -> FloatArray:
    if rewards.dtype.kind in "iuf":
        return rewards.to_numpy(np.float64)
    values = rewards.to_numpy(object)
    if any(map(is_sequence, values)):
        if aggregate is None:
            raise invalid_input(
                "one reward for each item",
                "lists of rewards, one for each step",
                "pass aggregate='min' or another way to make one number of them",
            )
        return np.array(
            [
                np.nan if is_missing(value) else aggregate_steps(value, aggregate)
                for value in values
            ]
        )
    bad = np.array([not is_missing(v) and not is_number(v) for v in values])
    if bad.any():
        at = int(bad.argmax())
        raise invalid_input(
            "rewards that are numbers",
            f"{type(values[at]).__name__} in score {at}",
            "convert them, e.g. pd.to_numeric(scores['reward'])",
        )
    return np.array([np.nan if is_missing(v) else float(v) for v in values])


def _check_once(scores: pd.DataFrame, kind: str) -> None:
    columns = {
        "rewards": ["row", "side", "index"],
        "verdicts": ["row", "order"],
        "preferences": ["row"],
    }[kind]
    repeated = scores.duplicated(columns).to_numpy()
    if repeated.any():
        again = scores.iloc[int(repeated.argmax())]
        what = f" for {again['item']}" if kind == "rewards" else ""
        raise invalid_input(
            "each item scored once",
            f"{int(repeated.sum())} scores that are there already, the first for id "
            f"{str(again['id'])[:40]!r}{what}",
            "keep one score for each, or average them and say so",
        )


def _geometric_mean(steps: Sequence[float]) -> float:
    return math.prod(steps) ** (1 / len(steps))


def _mean(steps: Sequence[float]) -> float:
    return sum(steps) / len(steps)


def _odds(steps: Sequence[float]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    p = np.asarray(steps, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return p / (1 - p)


def _mean_logit(steps: Sequence[float]) -> float:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return float(1 / (1 + np.exp(-np.mean(np.log(_odds(steps))))))


def _mean_odd(steps: Sequence[float]) -> float:
    return float(np.maximum(0, np.mean(_odds(steps))))


AGGREGATORS: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "max": max,
    "prod": math.prod,
    "geometric_mean": _geometric_mean,
    "mean": _mean,
    "mean_logit": _mean_logit,
    "mean_odd": _mean_odd,
    "last": lambda steps: steps[-1],
}


def aggregate_steps(steps: Sequence[float], aggregate: str) -> float:
    r"""Make one reward of the rewards of a response's steps.

    Parameters
    ----------
    steps : sequence of float
        In [0, 1] for `geometric_mean`, `mean_logit` and `mean_odd`.
    aggregate : str
        `min`, `max`, `prod`, `geometric_mean`, `mean`, `last`; `mean_logit`
        :math:`\sigma(\mathrm{mean} \log \frac{p}{1-p})`; `mean_odd`
        :math:`\max(0, \mathrm{mean} \frac{p}{1-p})`. Kim et al. (2024),
        arXiv:2410.01729.

    Returns
    -------
    float
        NaN where there is no step, or one of them is NaN.

    Raises
    ------
    InvalidInputError
        On an unknown name, steps that are no numbers, or probabilities out of [0, 1].

    Examples
    --------
    >>> aggregate_steps([0.5, 0.8], "prod"), aggregate_steps([0.5, 0.8], "last")
    (0.4, 0.8)
    """
    check_choice(aggregate, "aggregate", tuple(AGGREGATORS))
    values = [float(v) for v in as_numbers(steps, "rewards of steps").ravel()]
    if not values or any(map(math.isnan, values)):
        return math.nan
    needs_probability = aggregate in ("geometric_mean", "mean_logit", "mean_odd")
    if needs_probability and not all(0 <= v <= 1 for v in values):
        raise invalid_input(
            f"rewards of steps in [0, 1] for aggregate={aggregate!r}",
            "others",
            "pass probabilities, or choose min, max, mean or last",
        )
    return float(AGGREGATORS[aggregate](values))
