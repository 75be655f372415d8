"""`embrm score`: rewards of the items in a file."""

import errno
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
    path.write_text("frage,response\nwhy,because\n")
    assert run("score", saved, path).exit_code == 3
    result = run("score", saved, path, "--column", "prompt=frage")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["frage"] == "why"


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
    assert "row 2" in result.stderr


def test_rewards_in_json_lines_are_the_same_bits(run, saved, items, tmp_path):
    """However small a reward is, no digit is lost."""
    lines = tmp_path / "scored.jsonl"
    table = tmp_path / "scored.parquet"
    run("score", saved, items, "--out", lines)
    run("score", saved, items, "--out", table)
    rows = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    assert [row["reward"] for row in rows] == pd.read_parquet(table)["reward"].tolist()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_whatever_is_in_other_columns_becomes_json(run, saved, tmp_path, options):
    """Times, NaN, infinity and lists do not stop a score."""
    path = tmp_path / "items.parquet"
    pd.DataFrame(
        {
            "prompt": ["p", "p"],
            "response": ["a", "b"],
            "when": pd.to_datetime(["2026-11-20", None]),
            "x": [float("inf"), float("nan")],
            "tags": [["a"], []],
        }
    ).to_parquet(path)
    result = run("score", saved, path, *options)
    assert result.exit_code == 0
    first = json.loads(result.stdout.splitlines()[0])
    row = first["items"][0] if options else first
    assert (row["when"], row["x"], row["tags"]) == ("2026-11-20 00:00:00", None, ["a"])
    assert result.stderr == ""


def test_conversations_in_csv_are_json(run, saved, tmp_path):
    """A cell with messages can be read again."""
    path, out = tmp_path / "items.jsonl", tmp_path / "scored.csv"
    turn = [{"role": "user", "content": "问题"}]
    path.write_text(json.dumps({"prompt": turn, "response": "r"}) + "\n")
    run("score", saved, path, "--out", out)
    assert json.loads(pd.read_csv(out)["prompt"][0]) == turn


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_nothing_to_score_is_a_data_error(run, saved, tmp_path, suffix):
    """An empty file says so, instead of missing a column."""
    path = tmp_path / f"items.{suffix}"
    path.write_text("" if suffix == "jsonl" else "prompt,response\n")
    result = run("score", saved, path)
    assert result.exit_code == 3
    assert "at least one row" in result.stderr


def test_mixed_types_cannot_become_parquet(run, saved, tmp_path):
    """The error names what can hold them."""
    path = tmp_path / "items.jsonl"
    path.write_text(
        '{"prompt": "p", "response": "a", "x": 1}\n'
        '{"prompt": "p", "response": "b", "x": "one"}\n'
    )
    result = run("score", saved, path, "--out", tmp_path / "s.parquet")
    assert result.exit_code == 3
    assert "write to a .jsonl file instead" in result.stderr
    assert run("score", saved, path, "--out", tmp_path / "s.jsonl").exit_code == 0


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_a_full_disk_leaves_the_output_as_it_was(
    run, saved, items, tmp_path, name, monkeypatch
):
    """The file is there whole or as it was before, and nothing lies beside it."""
    out = tmp_path / name
    assert run("score", saved, items, "--out", out).exit_code == 0
    before = out.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("embrm.embed.cache.durable.os.fsync", full)
    result = run("score", saved, items, "--out", out)
    assert result.exit_code == 2
    assert "No space left" in result.stderr
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if name in path.name] == [name]


def test_the_input_may_be_the_output(run, saved, items, tmp_path):
    """It is read whole, and replaced once everything is written."""
    path = tmp_path / "items.jsonl"
    rows = [{"prompt": "p", "response": f"r{n}"} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("score", saved, path, "--out", path).exit_code == 0
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["response"] for row in written] == ["r0", "r1", "r2"]
    assert all("reward" in row for row in written)


def test_prompts_are_written_as_they_were_at_fit(run, tmp_path):
    """A saved model knows its template; another one can be passed."""
    rows = [
        {"topic": f"t{n}", "ask": "add", "chosen": f"good {n}", "rejected": f"bad {n}"}
        for n in range(6)
    ]
    prefs, items = tmp_path / "prefs.jsonl", tmp_path / "items.jsonl"
    prefs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    items.write_text(json.dumps({"topic": "t9", "ask": "add", "response": "good"}))
    template = ["--prompt-template", r"{topic}\n{ask}"]
    model = tmp_path / "model"
    fit = ["fit", prefs, "--out", model, "--encoder", "hashing:64", "--cv", "0"]
    assert run(*fit, *template).exit_code == 0
    plain, told = run("score", model, items), run("score", model, items, *template)
    assert "prompts are written as at fit" in plain.stderr
    assert (plain.exit_code, plain.stdout) == (0, told.stdout)
    refused = run("score", model, items, "--prompt-template", "{nowhere}")
    assert (refused.exit_code, "'nowhere'" in refused.stderr) == (3, True)


def test_a_column_that_is_kept_is_told_apart_from_the_rows(run, saved, tmp_path):
    """Without --out, stdout holds JSON lines and nothing else."""
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"prompt": "p", "response": "r", "reward": 1}))
    result = run("score", saved, items)
    assert "embrm_reward" in result.stderr
    assert "embrm_reward" in json.loads(result.stdout)


def test_images_are_marked_when_it_is_said(run, saved, tmp_path):
    """The error of scoring names an option that scoring has."""
    path = tmp_path / "items.jsonl"
    parts = [{"type": "image_url", "image_url": {"url": "x"}}, {"text": "Why?"}]
    row = {"prompt": [{"role": "user", "content": parts}], "response": "So."}
    path.write_text(json.dumps(row) + "\n")
    refused = run("score", saved, path)
    assert refused.exit_code == 3
    assert "read with --images mark" in refused.stderr
    assert run("score", saved, path, "--images", "mark").exit_code == 0
    assert run("score", saved, path, "--images", "drop").exit_code == 2
