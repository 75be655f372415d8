"""Scores in the order of a benchmark's rows, and what cells of both hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from embrm._typing import AnyArray, BoolArray, FloatArray
from embrm.exceptions import invalid_input

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
        return np.array(["" if is_missing(v) else str(v) for v in values], object)

    def numbers(self, *names: str) -> FloatArray | None:
        """Take the first of these columns that the rows have as numbers, or None."""
        values = self.column(*names)
        if values is None:
            return None
        known = np.array([is_number(value) or is_missing(value) for value in values])
        if not known.all():
            raise invalid_input(
                f"numbers in the column {names[0]}",
                f"{type(values[~known][0]).__name__} in row {int((~known).argmax())}",
                "convert them, or leave these rows out",
            )
        return np.array([np.nan if is_missing(v) else float(v) for v in values])

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
                f"scores with columns {', '.join(COLUMNS[kind])}",
                f"{self.kind}: columns {', '.join(COLUMNS[self.kind])}",
                "this suite takes rewards of items, or verdicts where it is of pairs",
            )


COLUMNS = {
    "rewards": ("id", "item", "reward"),
    "verdicts": ("id", "order", "winner"),
    "preferences": ("id", "preference"),
}


# Columns that tell rows apart where ids repeat, if both frames have them.
ALSO_MATCHED = (
    "subset",
    "domain",
    "benchmark",
    "category_path",
    "response_model",
    "turn",
    "model_a",
    "model_b",
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
    if is_missing(value):
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


def _key(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def is_number(value: Any) -> bool:
    """Say whether a cell holds a number; True and False are none."""
    is_bool = isinstance(value, bool | np.bool_)
    return isinstance(value, int | float | np.number) and not is_bool


def is_missing(value: Any) -> bool:
    """Say whether a cell is empty."""
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


def lists_are_whole(
    table: ScoreTable, chosen: FloatArray, rejected: FloatArray
) -> BoolArray:
    """Say of which rows every response has a reward.

    How many there are of each side, at least one, is told by the rows' columns, else
    by the scores.

    Parameters
    ----------
    table : ScoreTable
    chosen, rejected : ndarray of shape (n_rows, width)
        Rewards, NaN where there is none.

    Returns
    -------
    ndarray of bool, shape (n_rows,)
    """
    has_chosen, has_rejected = n_scored(chosen), n_scored(rejected)
    n_chosen, n_rejected = has_chosen, has_rejected
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
    whole = has_chosen == np.maximum(1.0, n_chosen)
    return np.asarray(whole & (has_rejected == np.maximum(1.0, n_rejected)))


def _length(value: object) -> float:
    return float(len(value)) if is_sequence(value) else 1.0


def n_scored(wide: FloatArray) -> FloatArray:
    """Count the rewards of each row of (n_rows, width)."""
    return np.asarray((~np.isnan(wide)).sum(axis=1), dtype=np.float64)
