"""What the suites of pairs share: labels, and verdicts made of rewards."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from embrm._typing import BoolArray, FloatArray
from embrm.evaluate.suites._score_table import NO_VERDICT, ScoreTable, Side, read_winner
from embrm.exceptions import invalid_input


def verdicts(table: ScoreTable, first: Side, second: Side) -> FloatArray:
    """Give verdicts (n_rows, n_orders): 1, -1, 0, or NaN where the pair has none.

    Of rewards there is one, by the greater of the two; a verdict that a judge was
    asked for and did not give is -2.
    """
    if table.kind == "verdicts":
        return table.verdicts(first, second)
    one, other = table.rewards(first), table.rewards(second)
    # Not the sign of the difference: that of two infinities is unknown.
    verdict = (one > other).astype(float) - (one < other).astype(float)
    unknown = np.isnan(one) | np.isnan(other)
    return np.where(unknown, np.nan, verdict)[:, None]


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


_ENOUGH, _RARELY = 20, 0.35


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
