"""`embrm score`: rewards of the items in a file."""

import json

import pandas as pd
import pytest


def test_rows_come_back_in_order_with_reward_and_rank(run, saved, items):
    """Without --out, JSON lines with the original columns go to stdout."""
    result = run("score", saved, items)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["id"] for row in rows] == ["i0", "i1", "i2"]
    assert rows[1]["rank"] == 1
    assert rows[1]["reward"] > rows[0]["reward"]
    assert rows[0]["prompt"] == "问题"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_every_output_format_holds_the_same_rewards(
    run, saved, items, suffix, tmp_path
):
    """--out writes what its ending says."""
    out = tmp_path / f"scored.{suffix}"
    result = run("score", saved, items, "--out", out, "--json")
    assert json.loads(result.stdout)["n_items"] == 3
    read = {
        "jsonl": lambda: pd.read_json(out, lines=True),
        "csv": lambda: pd.read_csv(out),
        "parquet": lambda: pd.read_parquet(out),
    }[suffix]()
    expected = json.loads(run("score", saved, items, "--json").stdout)["items"]
    assert read["reward"].tolist() == pytest.approx([r["reward"] for r in expected])
    assert read["rank"].tolist() == [r["rank"] for r in expected]


def test_columns_can_be_renamed(run, saved, tmp_path):
    """--column prompt=question finds the column."""
    path = tmp_path / "items.csv"
    path.write_text("question,response\nwhy,because\n")
    assert run("score", saved, path).exit_code == 3
    result = run("score", saved, path, "--column", "prompt=question")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["question"] == "why"


def test_another_encoders_vectors_are_refused(run, saved, items):
    """The fingerprint of the bundle decides."""
    result = run("score", saved, items, "--encoder", "hashing:32")
    assert result.exit_code == 4
    assert "fingerprint" in result.stderr or "encoder" in result.stderr


def test_an_unknown_ending_is_a_usage_error(run, saved, items, tmp_path):
    """--out says what it can write."""
    result = run("score", saved, items, "--out", tmp_path / "scored.xlsx")
    assert result.exit_code == 2


def test_missing_text_is_a_data_error(run, saved, tmp_path):
    """The row is named."""
    path = tmp_path / "items.jsonl"
    path.write_text('{"prompt": "p", "response": "r"}\n{"prompt": "p"}\n')
    result = run("score", saved, path)
    assert result.exit_code == 3
    assert "row 1" in result.stderr
