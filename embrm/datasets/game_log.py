"""Logs of games between named items, such as votes of an arena of language models.

Each row has two names and how the game ended. Columns are recognised, or named:

- names: `model_a` and `model_b`, `item` and `opponent`, `first` and `second`, or
  `winner` and `loser`, which need nothing else;
- the end: `winner` ("model_a", "model_b", "tie", "tie (bothbad)", or the name of one of
  the two), `winner_model_a`, `winner_model_b` and `winner_tie` (0 or 1), `result`
  ("win", "loss" or "tie" of the first), or `y` (1, 0, or between);
- `weight`, where rows count for several games or for a part of one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import FloatArray
from embrm.datasets.preferences import ReadReport
from embrm.datasets.reading import OnError
from embrm.datasets.sources import read_frame
from embrm.exceptions import DataError, invalid_input

_NAMES = (("model_a", "model_b"), ("item", "opponent"), ("first", "second"))
_ONE_HOT = ("winner_model_a", "winner_model_b", "winner_tie")
_ENDS = ("winner", "result", "y")

_BOTH_BAD = ("tie (bothbad)", "tie(bothbad)", "tie (both bad)", "both bad", "bothbad")
_TIES = dict.fromkeys(("tie", "draw", *_BOTH_BAD), 0.5)
_WINNER = {"model_a": 1.0, "model_b": 0.0, "first": 1.0, "second": 0.0, **_TIES}
_WINNER |= {"a": 1.0, "b": 0.0, "item": 1.0, "opponent": 0.0}
_RESULT = {"win": 1.0, "won": 1.0, "loss": 0.0, "lost": 0.0, **_TIES}

_NAMELESS = "missing name"
_UNDECIDED = "missing result"
_ALONE = "item against itself"
_SAYS_NOTHING = (_NAMELESS, _UNDECIDED, _ALONE)
_UNKNOWN = "unknown result"
_AMBIGUOUS = "result that means both"
_BAD_WEIGHT = "weight that is no number >= 0"


@dataclass(frozen=True, eq=False)
class GameLog:
    """Games that were read.

    Attributes
    ----------
    games : DataFrame
        One row for each game: `first` and `second` (str), `y` (1 if first won, 0 if
        second did, 0.5 for a tie), `both_bad` (bool), `weight` (>= 0).
    read_report : ReadReport
        Rows read, kept, and left out by reason.
    """

    games: pd.DataFrame
    read_report: ReadReport

    def __len__(self) -> int:
        return len(self.games)

    def arguments(self) -> tuple[pd.DataFrame, FloatArray, FloatArray]:
        """Return ids, y and weights, as `ItemBradleyTerry.fit` takes them."""
        ids, y = self.games[["first", "second"]], self.games["y"].to_numpy(np.float64)
        return ids, y, self.games["weight"].to_numpy(np.float64)

    @property
    def n_ties(self) -> int:
        """Games without a winner, those in which both were bad included."""
        return int((self.games["y"] == 0.5).sum())

    @property
    def n_both_bad(self) -> int:
        """Ties in which both were rated as bad."""
        return int(self.games["both_bad"].sum())


def read_game_log(
    source: str | Path | pd.DataFrame | Iterable[Mapping[str, Any]],
    *,
    columns: Mapping[str, str] | None = None,
    on_error: OnError = "skip-uninformative",
) -> GameLog:
    """Read games between named items.

    Parameters
    ----------
    source : str, Path, DataFrame or iterable of mappings
        As in `read_preferences`; see the top of this module for its columns.
    columns : mapping of str to str, optional
        Actual names of columns, e.g. `{"first": "white", "winner": "won_by"}`.
    on_error : {"raise", "skip", "skip-uninformative"}, default="skip-uninformative"
        "skip-uninformative" leaves out and counts rows that say nothing (a missing
        name or result, an item against itself) and stops at any other bad row.

    Returns
    -------
    GameLog

    Raises
    ------
    DataError
        If the columns are not recognised, a row is bad, or no game is left.

    Examples
    --------
    >>> rows = [
    ...     {"model_a": "cat", "model_b": "dog", "winner": "model_a"},
    ...     {"model_a": "dog", "model_b": "cat", "winner": "tie (bothbad)"},
    ... ]
    >>> log = read_game_log(rows)
    >>> log.games["y"].tolist(), log.n_ties, log.n_both_bad
    ([1.0, 0.5], 1, 1)
    """
    if on_error not in ("raise", "skip", "skip-uninformative"):
        raise invalid_input(
            expected="on_error: raise, skip or skip-uninformative",
            got=repr(on_error)[:40],
            fix="use on_error='skip-uninformative'",
        )
    named = dict(columns or {})
    frame = read_frame(source)
    taken = [name for name, actual in named.items() if actual != name]
    frame = frame.drop(columns=taken, errors="ignore")
    frame = frame.rename(columns={actual: name for name, actual in named.items()})
    games, reasons = _games(frame, chosen=set(named))
    report = ReadReport(_name_of(source), "games")
    _leave_out(report, reasons, on_error)
    kept = games[reasons == ""].reset_index(drop=True)
    report.n_read += len(kept)
    report.n_kept += len(kept)
    if kept.empty:
        raise DataError.of(
            expected="at least one game",
            got=f"no row kept of {report.n_read}{_first_reason(report)}",
            fix="check the rows, and the columns that are read",
            reason="no game",
        )
    return GameLog(kept, report)


def _games(frame: pd.DataFrame, chosen: set[str]) -> tuple[pd.DataFrame, pd.Series]:
    """Read all rows, good or bad; return the reason for bad ones, and "" for others."""
    frame = frame.reset_index(drop=True)
    names, end = _recognise([str(name) for name in frame.columns], chosen)
    first, second = (_texts(frame[name]) for name in names)
    y, both_bad, reasons = _ends(frame, end, first, second)
    weight = pd.Series(1.0, index=frame.index)
    if "weight" in frame:
        weight = pd.to_numeric(frame["weight"], errors="coerce")
        good = np.isfinite(weight) & (weight >= 0)
        reasons = reasons.mask(~good, _BAD_WEIGHT)
    reasons = reasons.mask(first == second, _ALONE)
    reasons = reasons.mask((first == "") | (second == ""), _NAMELESS)
    games = {"first": first, "second": second, "y": y, "both_bad": both_bad}
    return pd.DataFrame({**games, "weight": weight}), reasons


def _recognise(there: list[str], chosen: set[str]) -> tuple[tuple[str, str], str]:
    """Find the columns of the two names, and the one of the result."""
    pairs = [pair for pair in _NAMES if set(pair) <= set(there)]
    pairs = [pair for pair in pairs if set(pair) & chosen] or pairs
    ends = [end for end in _ENDS if end in there]
    ends += ["winner_model_a"] if set(_ONE_HOT) <= set(there) else []
    ends = [end for end in ends if end in chosen] or ends
    if not pairs and {"winner", "loser"} <= set(there):
        return ("winner", "loser"), "loser"
    if len(pairs) == 1 and len(ends) == 1:
        return pairs[0], ends[0]
    got = "none of these" if not pairs or not ends else f"{pairs}, and {ends}"
    raise DataError.of(
        expected="two columns of names (model_a and model_b, item and opponent, "
        "first and second, or winner and loser) and one column that says how the "
        "game ended (winner, result or y)",
        got=f"{got}, among {', '.join(there[:15]) or 'no columns'}",
        fix="name yours, e.g. columns={'first': 'white', 'second': 'black'}, or "
        "--column first=white --column second=black",
        reason="missing column",
    )


def _ends(
    frame: pd.DataFrame, end: str, first: pd.Series, second: pd.Series
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Read how games ended: y, whether both were bad, and what is wrong with it."""
    none = pd.Series("", index=frame.index)
    never = none == "-"
    if end == "loser":
        return pd.Series(1.0, index=frame.index), never, none
    if end == "winner_model_a":
        flags = frame[list(_ONE_HOT)].apply(pd.to_numeric, errors="coerce")
        fits = flags.isin([0, 1]).all(axis=1) & (flags.sum(axis=1) == 1)
        y = flags[_ONE_HOT[0]] + 0.5 * flags[_ONE_HOT[2]]
        return y, never, none.mask(~fits, _UNKNOWN)
    said = _texts(frame[end])
    words = said.str.lower()
    if end == "winner":
        y = words.map(_WINNER)
        named = pd.Series(np.nan, index=frame.index)
        named = named.mask(said == first, 1.0).mask(said == second, 0.0)
        reasons = none.mask(y.notna() & named.notna() & (y != named), _AMBIGUOUS)
        y = y.fillna(named)
    else:
        y = words.map(_RESULT) if end == "result" else pd.Series(np.nan, frame.index)
        number = pd.to_numeric(frame[end], errors="coerce")
        y, reasons = y.fillna(number.where(number.between(0, 1))), none
    reasons = reasons.mask(y.isna(), _UNKNOWN).mask(said == "", _UNDECIDED)
    return y, words.isin(_BOTH_BAD), reasons


def _texts(column: pd.Series) -> pd.Series:
    """Write names or words as text, "" where there is none; 3.0 is 3."""
    if pd.api.types.is_float_dtype(column):
        whole = column.dropna().mod(1).eq(0).all()
        column = column.astype("Int64") if whole else column
    return column.astype(object).where(column.notna(), "").astype(str).str.strip()


def _leave_out(report: ReadReport, reasons: pd.Series, on_error: OnError) -> None:
    """Count the rows that are left out, or stop at the first that may not be."""
    for number, reason in reasons[reasons != ""].items():
        where = f"{report.source}, row {int(str(number)) + 1}"
        skips = on_error == "skip" or (
            on_error == "skip-uninformative" and reason in _SAYS_NOTHING
        )
        if not skips:
            raise DataError.of(
                expected=f"two names and who won in {where}",
                got=reason,
                fix="correct the row, or leave such rows out: on_error='skip', "
                "or --on-error skip",
                reason=reason,
            )
        report.leave_out(reason, where)


def _name_of(source: Any) -> str:
    return Path(source).name if isinstance(source, str | Path) else "frame"


def _first_reason(report: ReadReport) -> str:
    return f" ({report.left_out[0].reason})" if report.left_out else ""
