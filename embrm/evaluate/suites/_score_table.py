"""The score table: rewards, verdicts or preferences, matched with a benchmark's rows.

Ids are compared as text (8, 8.0 and "8" are one id). Columns such as subset, domain or
turn take part in the match where both frames have them.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import check_choice, invalid_input
from embrm.evaluate.suites._aggregate import aggregate_steps

# Columns that tell rows apart where ids repeat, if both frames have them.
_ALSO_MATCHED = (
    "subset",
    "domain",
    "benchmark",
    "category_path",
    "response_model",
    "turn",
    "model_a",
    "model_b",
)
_INDEXED = re.compile(r"(.+)\[(\d+)\]")

FIRST, SECOND, TIE, NO_VERDICT = 1.0, -1.0, 0.0, -2.0


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a pair, or one list of responses, and what its column may be called.

    Attributes
    ----------
    name : str
        For messages, the column's name in the benchmark's own files.
    also : tuple of str
        Other names under which scores come.
    """

    name: str
    also: tuple[str, ...] = ()

    def __contains__(self, item: object) -> bool:
        return item == self.name or item in self.also


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores in the order of a benchmark's rows.

    Attributes
    ----------
    rows : DataFrame
        The benchmark's rows, with positions 0, 1, ... as its index.
    scores : DataFrame
        Those of known rows, with a column `row`: the position of their row.
    n_unknown : int
        Scores whose id is none of the rows'.
    kind : str
        "rewards", "verdicts" or "preferences".
    """

    rows: pd.DataFrame
    scores: pd.DataFrame
    n_unknown: int
    kind: str
    id_column: str | None

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, *names: str) -> AnyArray | None:
        """Take the first of these columns that the rows have, or None."""
        for name in names:
            if name in self.rows:
                return self.rows[name].to_numpy(object)
        return None

    def texts(self, *names: str) -> AnyArray:
        """Take a column of names, which must be there; missing ones are empty."""
        values = self.column(*names)
        if values is None:
            raise invalid_input(
                f"a column {names[0]} in the rows",
                f"columns {', '.join(map(str, self.rows.columns))}"[:200],
                "pass the benchmark's own rows; the score is made of this column",
            )
        return np.array(["" if _is_missing(v) else str(v) for v in values], object)

    def numbers(self, *names: str) -> FloatArray | None:
        """Take the first of these columns that the rows have as numbers, or None."""
        values = self.column(*names)
        if values is None:
            return None
        known = np.array([_is_number(value) or _is_missing(value) for value in values])
        if not known.all():
            raise invalid_input(
                f"numbers in the column {names[0]}",
                f"{type(values[~known][0]).__name__} in row {int((~known).argmax())}",
                "convert them, or leave these rows out",
            )
        return np.array([np.nan if _is_missing(v) else float(v) for v in values])

    def names(self, column: str, default: str = "all") -> AnyArray:
        """Take a column of names, or one name for all rows where there is none."""
        if column in self.rows:
            return self.texts(column)
        return np.full(len(self), default, object)

    def rewards(self, side: Side) -> FloatArray:
        """Give the reward of each row's only response on a side, shape (n_rows,)."""
        wide = self.lists(side)
        if wide.shape[1] > 1:
            raise invalid_input(
                f"one reward a row for {side.name}",
                f"{wide.shape[1]} of them",
                f"name the item {side.name}, without an index",
            )
        return wide[:, 0]

    def lists(self, side: Side, length: int | None = None) -> FloatArray:
        """Give the rewards of each row's list on a side, NaN where there is none.

        Returns
        -------
        ndarray of shape (n_rows, length), or as wide as the longest list
        """
        self._check_kind("rewards")
        part = self.scores[self.scores["side"].isin([side.name, *side.also])]
        rows, at = part["row"].to_numpy(np.intp), part["index"].to_numpy(np.intp)
        width = max(length or 1, int(at.max()) + 1 if len(at) else 1)
        if length is not None and width > length:
            raise invalid_input(
                f"at most {length} responses as {side.name}",
                f"an item {side.name}[{width - 1}]",
                "count from 0, in the order of the benchmark's own list",
            )
        if pd.Series(rows * width + at).duplicated().any():
            raise invalid_input(
                f"each response of {side.name} once",
                f"both {side.name} and {side.name}[0] for a row",
                "keep one of them",
            )
        wide = np.full((len(self), width), np.nan)
        wide[rows, at] = part["reward"].to_numpy(np.float64)
        return wide

    def verdicts(self, first: Side, second: Side) -> FloatArray:
        """Give a judge's verdicts in terms of the row's own items, (n_rows, n_orders).

        1 for first, -1 for second, 0 for a tie, -2 for no verdict, NaN where the pair
        was not judged in this order.
        """
        self._check_kind("verdicts")
        orders, names = pd.factorize(self.scores["order"].map(str))
        rows = self.scores["row"].to_numpy(np.intp)
        if len(names) > 2:
            raise invalid_input(
                "one or two orders of each pair",
                f"{len(names)}: {', '.join(map(str, names))}"[:120],
                "say for each verdict whether the pair stood as it is, or swapped",
            )
        votes = np.full((len(self), max(1, len(names))), np.nan)
        votes[rows, orders] = [
            read_winner(winner, first, second) for winner in self.scores["winner"]
        ]
        return votes

    def check_items(self, sides: Sequence[Side]) -> None:
        """Refuse items that this benchmark does not have."""
        if self.kind != "rewards":
            return
        known = {name for side in sides for name in (side.name, *side.also)}
        others = sorted(set(self.scores["side"]) - known)
        if others:
            raise invalid_input(
                f"items among {', '.join(side.name for side in sides)}",
                f"{others[0][:40]!r}",
                "name each item by the row's own column, with an index for lists: "
                f"{sides[-1].name}[0]",
            )

    def _check_kind(self, kind: str) -> None:
        if self.kind != kind:
            raise invalid_input(
                f"scores with columns {', '.join(_COLUMNS[kind])}",
                f"{self.kind}: columns {', '.join(_COLUMNS[self.kind])}",
                "this suite takes rewards of items, or verdicts where it is of pairs",
            )


_COLUMNS = {
    "rewards": ("id", "item", "reward"),
    "verdicts": ("id", "order", "winner"),
    "preferences": ("id", "preference"),
}


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
    shared = [c for c in _ALSO_MATCHED if c in rows and c in scores]
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


def keys_of(values: pd.Series) -> pd.Series:
    """Write ids as text, whole numbers without a decimal point.

    Examples
    --------
    >>> keys_of(pd.Series([8.0, 9.0])).tolist()
    ['8', '9']
    """
    if values.dtype.kind in "iu":
        return values.astype(str)
    return values.map(_key)


def read_winner(value: Any, first: Side, second: Side) -> float:
    """Read who won in terms of the row's own items: 1, -1, 0 for a tie, -2 for none.

    Examples
    --------
    >>> read_winner("B>A", Side("response_A"), Side("response_B"))
    -1.0
    """
    if _is_missing(value):
        return NO_VERDICT
    word = _key(value).strip()
    if word in first:
        return FIRST
    if word in second:
        return SECOND
    verdict = _VERDICTS.get(word.lower())
    if verdict is None:
        raise invalid_input(
            f"a winner among {first.name}, {second.name} and tie, or none",
            f"{word[:40]!r}",
            "name the winner by the row's own column, whatever order the judge saw",
        )
    return verdict


_VERDICTS = {
    **dict.fromkeys(("a", "1", "first", "a>b", "a>>b", "model_a", "chosen"), FIRST),
    **dict.fromkeys(("b", "2", "second", "b>a", "b>>a", "model_b", "rejected"), SECOND),
    **dict.fromkeys(
        ("tie", "c", "a=b", "0", "equal", "tie (inconsistent)", "tie (bothbad)"), TIE
    ),
    **dict.fromkeys(("", "none", "null", "error", "nan"), NO_VERDICT),
}


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
    for kind, columns in _COLUMNS.items():
        if set(columns) <= set(scores.columns):
            return kind
    ways = "; or ".join(", ".join(columns) for columns in _COLUMNS.values())
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
                np.nan if _is_missing(value) else aggregate_steps(value, aggregate)
                for value in values
            ]
        )
    bad = np.array([not _is_missing(v) and not _is_number(v) for v in values])
    if bad.any():
        at = int(bad.argmax())
        raise invalid_input(
            "rewards that are numbers",
            f"{type(values[at]).__name__} in score {at}",
            "convert them, e.g. pd.to_numeric(scores['reward'])",
        )
    return np.array([np.nan if _is_missing(v) else float(v) for v in values])


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


def _key(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _is_number(value: Any) -> bool:
    is_bool = isinstance(value, bool | np.bool_)
    return isinstance(value, int | float | np.number) and not is_bool


def _is_missing(value: Any) -> bool:
    is_nan = isinstance(value, float) and np.isnan(value)
    return value is None or value is pd.NA or bool(is_nan)


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Say whether a cell holds a list."""
    return isinstance(value, list | tuple | np.ndarray)


def check_known(values: AnyArray, names: Sequence[str], what: str, suite: str) -> None:
    """Refuse values of a column that a benchmark does not have."""
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise invalid_input(
            f"{what}s of {suite}: {', '.join(names)}",
            f"{unknown[0][:40]!r}",
            f"correct the column {what}, or leave these rows out",
        )


def check_version(version: str | None, known: Sequence[str]) -> str:
    """Take a suite's version; None is the first of those known."""
    if version is None:
        return known[0]
    check_choice(version, "version", known)
    return version


def list_lengths(
    table: ScoreTable, chosen: FloatArray, rejected: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Count the responses of each side by the rows' columns, else by the scores.

    Parameters
    ----------
    table : ScoreTable
    chosen, rejected : ndarray of shape (n_rows, width)
        Rewards, NaN where there is none.

    Returns
    -------
    n_chosen, n_rejected : ndarray of shape (n_rows,)
        At least 1 each.
    """
    n_chosen, n_rejected = n_scored(chosen), n_scored(rejected)
    lists = table.column("chosen"), table.column("rejected")
    correct, total = table.numbers("num_correct"), table.numbers("total_completions")
    wrong = table.numbers("num_incorrect")
    if correct is not None:
        n_chosen = correct
    elif lists[0] is not None:
        n_chosen = np.array([_length(value) for value in lists[0]])
    if total is not None and correct is not None:
        n_rejected = total - n_chosen
    elif wrong is not None:
        n_rejected = wrong
    elif lists[1] is not None:
        n_rejected = np.array([_length(value) for value in lists[1]])
    return np.maximum(1.0, n_chosen), np.maximum(1.0, n_rejected)


def _length(value: object) -> float:
    return float(len(value)) if is_sequence(value) else 1.0


def n_scored(wide: FloatArray) -> FloatArray:
    """Count the rewards of each row of (n_rows, width)."""
    return np.asarray((~np.isnan(wide)).sum(axis=1), dtype=np.float64)
