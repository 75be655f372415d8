"""`embrm demo`: the main job, end to end."""

import json

import pytest

from embrm.persist import read_manifest


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Sixteen prompts with three graded responses."""
    words = {3: "right answer", 1: "half an answer", 0: "nonsense"}
    rows = [
        {"prompt": f"question {n}", "response": f"{text} {n}", "score": score}
        for n in range(16)
        for score, text in words.items()
    ]
    path = tmp_path_factory.mktemp("graded") / "graded.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_number_of_folds_is_that_which_was_used(run, tmp_path):
    """Three prompts cannot be held out in five folds."""
    rows = [
        {"prompt": f"q {n}", "chosen": f"good {n}", "rejected": f"bad {n}"}
        for n in range(3)
    ]
    data = tmp_path / "few.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "demo"
    result = run("demo", "--data", data, "--encoder", "hashing:16", "--out", out)
    assert "in 3 folds" in result.stdout
    metrics = read_manifest(out / "model")["training"]["metrics"]
    assert metrics["held_out"]["folds"] == 3


def test_an_occupied_place_for_the_model_is_refused_first(run, graded, tmp_path):
    """Before anything is embedded."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.tex").write_text("dear")
    result = run("demo", "--data", graded, "--out", tmp_path, "--encoder", "hashing")
    assert result.exit_code == 2
    assert result.stdout == ""


def test_it_compares_five_heads_and_writes_report_and_model(run, graded, tmp_path):
    """Leaderboard, report and model are made; the second run embeds nothing."""
    command = ["demo", "--data", graded, "--encoder", "hashing:64", "--out", tmp_path]
    first = run(*command)
    assert first.exit_code == 0, first.output
    for words in ("linear", "siamese", "mlp", "lightgbm", "xgboost", "length baseline"):
        assert words in first.stdout
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "model" / "manifest.json").is_file()
    second = json.loads(run(*command, "--json").stdout)
    assert second["embedded"]["hashing:64"]["n_embedded"] == 0
    assert len(second["leaderboard"]) == 5
