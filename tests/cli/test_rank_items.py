"""`embrm rank-items`: a leaderboard from a log of games."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from embrm.heads import ItemBradleyTerry

NAMES = np.array(["ant", "bee", "cat", "dog"])


@pytest.fixture(scope="module")
def games() -> pd.DataFrame:
    """Two hundred votes, a tenth of them ties, some of those with both bad."""
    rng = np.random.default_rng(0)
    ids = np.stack([rng.permutation(4)[:2] for _ in range(200)])
    won = rng.random(200) < 1 / (1 + np.exp(ids[:, 0] - ids[:, 1]))
    winner = np.where(won, "model_a", "model_b").astype(object)
    winner[:12], winner[12:20] = "tie", "tie (bothbad)"
    first, second = NAMES[ids.T]
    return pd.DataFrame({"model_a": first, "model_b": second, "winner": winner})


@pytest.fixture(scope="module")
def log(games, tmp_path_factory) -> Path:
    """The same in a file, with two rows that say nothing."""
    path = tmp_path_factory.mktemp("log") / "arena.jsonl"
    nothing = {"model_a": ["ant", "bee"], "model_b": ["ant", "cat"], "winner": None}
    whole = pd.concat([games, pd.DataFrame(nothing)])
    whole.to_json(path, orient="records", lines=True)
    return path


def test_the_leaderboard_is_that_of_the_library(run, log, games):
    """Scores, intervals and ranks, to the last bit; counts of games and ties."""
    result = run("rank-items", log, "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    y = games["winner"].map({"model_a": 1.0, "model_b": 0.0}).fillna(0.5)
    board = ItemBradleyTerry().fit(games[["model_a", "model_b"]], y)
    wanted = board.to_frame().reset_index().to_dict("records")
    assert said["items"] == wanted
    assert said["items"][0]["item"] == "ant"
    counts = {name: said[name] for name in ("n_games", "n_ties", "n_both_bad")}
    assert counts == {"n_games": 200, "n_ties": 20, "n_both_bad": 8}
    assert said["account"]["n_read"] == 202
    assert {entry["reason"] for entry in said["account"]["left_out"]} == {
        "item against itself",
        "missing result",
    }
    assert said["connectivity"] == {
        "connected": True,
        "determined": True,
        "n_components": 1,
        "islands": [NAMES.tolist()],
    }


def test_the_table_is_for_people(run, log):
    """One line for each item, what was left out, ties and connectivity above."""
    result = run("rank-items", log, "--level", 0.9)
    assert result.exit_code == 0
    assert "202 rows, 200 kept, 2 left out" in result.stdout
    assert "20 of them ties (10.0%), 8 of them with both bad" in result.stdout
    assert "every item can be reached from every other" in result.stdout
    assert "90% interval" in result.stdout
    names = [line.split()[1] for line in result.stdout.splitlines()[-4:]]
    assert names == ["ant", "bee", "cat", "dog"]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_it_is_written_to_a_file(run, log, suffix, tmp_path):
    """In the format that its ending names."""
    out = tmp_path / "new" / f"board.{suffix}"
    assert run("rank-items", log, "--out", out).exit_code == 0
    read = {"jsonl": lambda p: pd.read_json(p, lines=True), "csv": pd.read_csv}
    frame = read.get(suffix, pd.read_parquet)(out)
    assert frame["item"].tolist()[0] == "ant"
    assert {"score", "lower", "upper", "rank", "n_games"} <= set(frame.columns)


def test_it_is_drawn(run, log, tmp_path):
    """As a picture of some size."""
    plot = tmp_path / "new" / "board.png"
    assert run("rank-items", log, "--plot", plot).exit_code == 0
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert plot.stat().st_size > 5_000


@pytest.mark.parametrize("ties", ["rao-kupper", "davidson"])
def test_ties_may_have_a_parameter(run, log, ties):
    """Which is printed with the rest."""
    said = json.loads(run("rank-items", log, "--ties", ties, "--json").stdout)
    assert said["tie_parameter"] > 0


@pytest.mark.filterwarnings("always::embrm.exceptions.EmbrmWarning")
def test_items_that_never_met_are_reported(run, tmp_path):
    """Their scores cannot be compared, and the sets are named."""
    path = tmp_path / "two.csv"
    path.write_text("item,opponent,result\na,b,win\nb,a,win\nc,d,win\nd,c,win\n")
    result = run("rank-items", path)
    assert result.exit_code == 0
    assert "Not connected: 2 sets of items never met: {a, b}; {c, d}" in result.stdout
    assert "cannot be compared" in result.stdout
    said = json.loads(run("rank-items", path, "--json").stdout)
    assert said["connectivity"]["islands"] == [["a", "b"], ["c", "d"]]
    assert said["alpha"] == 0.01


@pytest.mark.filterwarnings("always::embrm.exceptions.EmbrmWarning")
def test_an_item_that_won_every_game_is_reported(run, tmp_path):
    """Connected, and yet its score is infinite but for the penalty."""
    path = tmp_path / "best.csv"
    path.write_text("winner,loser\na,b\nb,c\nc,b\na,c\n")
    result = run("rank-items", path)
    assert "Connected, but in 2 parts" in result.stdout
    assert "penalty (alpha = 0.01)" in result.stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--ties", "thirds"], 2, "'half', 'rao-kupper' or 'davidson'"),
        (["--level", "2"], 2, "level"),
        (["--plot", "board.gif"], 2, ".png, .svg or .pdf"),
        (["--out", "board.xls"], 2, ".jsonl, .csv or .parquet"),
        (["--column", "winner=won"], 3, "name yours"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, log, options, code, message):
    """With the exit code of its kind."""
    result = run("rank-items", log, *options)
    assert result.exit_code == code
    (line,) = [text for text in result.stderr.splitlines() if "error" in text]
    assert message in line
