"""Logs of games: every common form is read, and every row accounted for."""

import numpy as np
import pandas as pd
import pytest

from embrm.datasets.game_log import read_game_log
from embrm.exceptions import DataError, InvalidInputError

ARENA = [
    {"model_a": "cat", "model_b": "dog", "winner": "model_a"},
    {"model_a": "cat", "model_b": "dog", "winner": "model_b"},
    {"model_a": "cat", "model_b": "dog", "winner": "tie"},
    {"model_a": "cat", "model_b": "dog", "winner": "tie (bothbad)"},
]
ENDS = [1.0, 0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    "rows",
    [
        ARENA,
        [
            {"item": "cat", "opponent": "dog", "result": result}
            for result in ("win", "loss", "draw", "Both bad")
        ],
        [{"first": "cat", "second": "dog", "y": y} for y in ENDS],
        [
            {"item": "cat", "opponent": "dog", "winner": winner}
            for winner in ("cat", "dog", "tie", "tie(bothbad)")
        ],
        [
            {
                "model_a": "cat",
                "model_b": "dog",
                "winner_model_a": int(y == 1),
                "winner_model_b": int(y == 0),
                "winner_tie": int(y == 0.5),
            }
            for y in ENDS
        ],
    ],
    ids=["arena", "result", "y", "winner by name", "one column for each end"],
)
def test_every_form_gives_the_same_games(rows):
    """Names, ends and ties."""
    log = read_game_log(rows)
    assert log.games["first"].tolist() == ["cat"] * 4
    assert log.games["second"].tolist() == ["dog"] * 4
    assert log.games["y"].tolist() == ENDS
    assert log.n_ties == 2
    ids, y, weight = log.arguments()
    assert ids.shape == (4, 2)
    assert y.tolist() == ENDS
    assert weight.tolist() == [1.0] * 4


def test_games_in_which_both_were_bad_are_counted():
    """As ties, and by themselves."""
    assert read_game_log(ARENA).n_both_bad == 1


def test_winner_and_loser_need_nothing_else():
    """The first is the winner."""
    log = read_game_log([{"winner": "cat", "loser": "dog"}])
    assert log.games.loc[0, ["first", "second", "y"]].tolist() == ["cat", "dog", 1.0]


def test_columns_can_be_named():
    """Also where others look like them."""
    rows = [{"white": "cat", "black": "dog", "won": "dog", "first": 3, "y": 7}]
    columns = {"first": "white", "second": "black", "winner": "won"}
    log = read_game_log(rows, columns=columns)
    assert log.games.loc[0, ["first", "second", "y"]].tolist() == ["cat", "dog", 0.0]


def test_numbers_are_names():
    """Also where a missing one has made them floats."""
    frame = pd.DataFrame({"item": [1, 2], "opponent": [2.0, np.nan], "y": [1, 1]})
    log = read_game_log(frame)
    assert log.games[["first", "second"]].to_numpy().tolist() == [["1", "2"]]
    assert log.read_report.n_left_out == 1


def test_weights_are_kept():
    """How many games a row stands for."""
    rows = [row | {"weight": 2.5} for row in ARENA]
    assert read_game_log(rows).arguments()[2].tolist() == [2.5] * 4


def test_every_row_is_accounted_for():
    """Rows that say nothing are left out, with where they are."""
    rows = [
        *ARENA,
        {"model_a": "cat", "model_b": None, "winner": "model_a"},
        {"model_a": "cat", "model_b": "cat", "winner": "tie"},
        {"model_a": "cat", "model_b": "dog", "winner": None},
    ]
    report = read_game_log(rows).read_report
    assert (report.n_read, report.n_kept) == (7, 4)
    assert {entry.reason: entry.where for entry in report.left_out} == {
        "missing name": ("frame, row 5",),
        "item against itself": ("frame, row 6",),
        "missing result": ("frame, row 7",),
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"winner": "nobody"}, "unknown result"),
        ({"model_a": "model_b", "winner": "model_b"}, "result that means both"),
        ({"weight": -1}, "weight that is no number >= 0"),
        ({"weight": "many"}, "weight that is no number >= 0"),
    ],
)
def test_a_bad_row_stops_the_reading_or_is_counted(change, reason):
    """By default it is named; with "skip" it is left out."""
    rows = [ARENA[0] | {"weight": 1}, {**ARENA[0], "weight": 1, **change}]
    with pytest.raises(DataError, match=f"in frame, row 2; got {reason}"):
        read_game_log(rows)
    report = read_game_log(rows, on_error="skip").read_report
    assert [entry.reason for entry in report.left_out] == [reason]


def test_rows_that_say_nothing_stop_the_reading_on_demand():
    """With on_error="raise"."""
    rows = [*ARENA, {"model_a": "cat", "model_b": "cat", "winner": "tie"}]
    with pytest.raises(DataError, match="row 5; got item against itself"):
        read_game_log(rows, on_error="raise")
    with pytest.raises(InvalidInputError, match="on_error: raise, skip or"):
        read_game_log(rows, on_error="ignore")


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ({"a": "cat", "b": "dog", "winner": "a"}, "none of these, among a, b, winner"),
        ({"model_a": "cat", "model_b": "dog"}, "none of these, among model_a"),
        (ARENA[0] | {"y": 1.0}, "'winner', 'y'"),
        (ARENA[0] | {"item": "eel", "opponent": "fox"}, "'item', 'opponent'"),
    ],
)
def test_columns_are_never_guessed(row, got):
    """Of two that may be meant none is taken; the fix is to name one."""
    with pytest.raises(DataError, match=rf"{got}.*--column first=white"):
        read_game_log([row])


def test_a_log_without_a_game_is_refused():
    """The reasons stand in the error."""
    rows = [{"model_a": "cat", "model_b": "cat", "winner": "tie"}]
    with pytest.raises(DataError, match=r"no row kept of 1 \(item against itself\)"):
        read_game_log(rows)
    with pytest.raises(DataError, match=r"no row kept of 0\."):
        read_game_log(pd.DataFrame(rows).head(0))
