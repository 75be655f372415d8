"""`embrm demo`: the main job, end to end."""

import json

import pytest


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


def test_it_compares_five_heads_and_writes_report_and_model(run, graded, tmp_path):
    """Leaderboard, report and model are made; the second run embeds nothing."""
    command = ["demo", "--data", graded, "--encoder", "hashing:64", "--out", tmp_path]
    first = run(*command)
    assert first.exit_code == 0, first.output
    for words in ("linear", "siamese", "mlp", "lightgbm", "xgboost", "length ruler"):
        assert words in first.stdout
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "model" / "manifest.json").is_file()
    second = json.loads(run(*command, "--json").stdout)
    assert second["embedded"]["n_embedded"] == 0
    assert len(second["leaderboard"]) == 5
