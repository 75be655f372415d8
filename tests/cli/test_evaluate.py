"""`embrm evaluate`: a saved model on a preference file."""

import json


def test_pairs_of_training_prompts_are_left_out(run, saved, new_prefs):
    """Figures are on new prompts only, and the output counts the others."""
    result = run("evaluate", saved, new_prefs, "--json")
    values = json.loads(result.stdout)
    assert (values["n_pairs"], values["n_pairs_seen_in_training"]) == (10, 10)
    assert values["on_training_prompts"] is False
    assert "10 left out because the head was fitted on their prompts" in result.stderr


def test_the_figures_come_with_intervals_and_the_length_baseline(run, saved, new_prefs):
    """Order consistency stands beside the length baseline."""
    values = json.loads(run("evaluate", saved, new_prefs, "--json").stdout)
    for metric in ("order_consistency", "length_baseline", "log_loss", "brier"):
        interval = values[metric]
        assert interval["low"] <= interval["estimate"] <= interval["high"]


def test_on_training_data_the_held_out_figure_is_shown_too(run, saved, prefs):
    """All prompts seen: marked as optimistic, with the estimate from the fit."""
    result = run("evaluate", saved, prefs)
    assert result.exit_code == 0
    assert "these figures are optimistic" in result.stdout
    assert "Held out (4-fold cross-validation when it was fitted)" in result.stdout


def test_another_encoder_exits_with_4(run, saved, new_prefs):
    """Vectors of another encoder are an integrity error."""
    result = run("evaluate", saved, new_prefs, "--encoder", "hashing:32")
    assert result.exit_code == 4
    assert "expected vectors of the encoder hashing" in result.stderr


def test_what_is_no_model_exits_with_4(run, tmp_path, new_prefs):
    """A directory without a manifest is named."""
    result = run("evaluate", tmp_path, new_prefs)
    assert result.exit_code == 4
    assert "manifest.json" in result.stderr


def test_a_damaged_model_exits_with_4(run, saved, new_prefs, tmp_path):
    """Damage is found before anything is loaded."""
    import shutil

    copy = tmp_path / "model"
    shutil.copytree(saved, copy)
    weights = copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    result = run("evaluate", copy, new_prefs)
    assert result.exit_code == 4
    assert "checksum" in result.stderr


def test_a_column_divides_the_pairs(run, saved, tmp_path):
    """Each of its values has an interval of its own."""
    from tests.cli.conftest import write_jsonl

    rows = [
        {
            "prompt": f"new question {n}",
            "chosen": f"good {n}",
            "rejected": f"bad {n}",
            "language": "en" if n < 12 else "de",
        }
        for n in range(20)
    ]
    file = write_jsonl(tmp_path / "languages.jsonl", rows)
    values = json.loads(
        run("evaluate", saved, file, "--by", "language", "--json").stdout
    )
    assert [s["by"] for s in values["subsets"]["subsets"]] == ["en", "de"]
    assert (
        "2 subsets by language"
        in run("evaluate", saved, file, "--by", "language").stdout
    )
    refused = run("evaluate", saved, file, "--by", "planet")
    assert refused.exit_code == 2
    assert "language" in refused.stderr


def test_a_report_is_written(run, saved, new_prefs, tmp_path):
    """With the same figures."""
    page = tmp_path / "report.html"
    result = run("evaluate", saved, new_prefs, "--report", page, "--json")
    assert result.exit_code == 0, result.output
    estimate = json.loads(result.stdout)["order_consistency"]["estimate"]
    assert f"{estimate:.1%}" in page.read_text("utf-8")


def test_a_model_is_probed(run, saved, new_prefs):
    """By non-answers, and by changes that should not matter."""
    result = run("evaluate", saved, new_prefs, "--probe", "5", "--json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert set(values["kinds"]) >= {"rejected", "no answer"}
    assert values["changes"]["said twice"]["n_changed"] == 5
    assert (
        "another prompt's answer"
        in run("evaluate", saved, new_prefs, "--probe", "5").stdout
    )
