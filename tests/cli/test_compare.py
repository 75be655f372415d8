"""`embrm compare`: saved models on one file."""

import json

import pytest

from embrm import load_model, save_model
from tests.cli.conftest import write_jsonl


@pytest.fixture
def reverse(run, prefs, tmp_path):
    """A model fitted on the same pairs the other way round."""
    rows = [json.loads(line) for line in prefs.read_text().splitlines()]
    swapped = [
        {"prompt": r["prompt"], "chosen": r["rejected"], "rejected": r["chosen"]}
        for r in rows
    ]
    file = write_jsonl(tmp_path / "swapped.jsonl", swapped)
    out = tmp_path / "reverse"
    done = run("fit", file, "--out", out, "--encoder", "hashing:64", "--cv", "0")
    assert done.exit_code == 0, done.output
    return out


def test_models_are_compared_on_prompts_new_to_all(run, saved, reverse, new_prefs):
    """The one that orders them right is best, and shares no letter with the other."""
    result = run("compare", saved, reverse, "--data", new_prefs, "--json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    best, other = values["models"]
    assert (best["head"], best["group"]) == (saved.name, "a")
    assert (other["head"], other["group"]) == ("reverse", "b")
    assert other["p_best"] < 0.05
    assert min(best["bytes"], best["score_seconds"], best["fit_seconds"]) > 0
    assert "10 of 20 pairs left out" in result.stderr
    assert values["verdict"].startswith(f"{saved.name} is best")


def test_a_copy_does_not_differ(run, saved, tmp_path, new_prefs):
    """Equal models share a letter."""
    import shutil

    copy = shutil.copytree(saved, tmp_path / "copy")
    result = run("compare", saved, copy, "--data", new_prefs)
    assert "does not differ from copy beyond noise" in result.stdout


def test_a_model_that_does_not_say_how_long_its_fit_took_is_compared(
    run, saved, new_prefs, tmp_path
):
    """Models of 0.1.0 do not: the column says so."""
    model = load_model(saved)
    model.fit_seconds_ = None
    old = save_model(model, tmp_path / "old")
    done = run("compare", saved, old, "--data", new_prefs, "--json")
    table = {m["head"]: m["fit_seconds"] for m in json.loads(done.stdout)["models"]}
    assert table["old"] is None
    assert table[saved.name] > 0
    page = tmp_path / "report.html"
    done = run("compare", saved, old, "--data", new_prefs, "--report", page)
    assert "unknown" in done.stdout
    assert "…" not in done.stdout
    assert "unknown" in page.read_text("utf-8")


def test_a_table_in_a_pipe_is_whole(run_process, saved, tmp_path, new_prefs):
    """Long names and all columns, whatever the width; and the columns are explained."""
    import shutil

    names = [f"{letter}-{'long-name-' * 6}" for letter in "ab"]
    models = [shutil.copytree(saved, tmp_path / name) for name in names]
    done = run_process("compare", *models, "--data", new_prefs)
    assert done.returncode == 0, done.stderr
    assert "\u2026" not in done.stdout
    heads = [x for x in done.stdout.splitlines() if x.startswith(("model ", "cost of"))]
    assert [x.rsplit("  ", 1)[1] for x in heads] == ["p of being best", "time to score"]
    assert all(f"\n{name}  " in done.stdout for name in names)
    assert "Embedded: tokens that were not in the cache." in done.stdout


def test_training_prompts_alone_are_optimistic(run, saved, reverse, prefs):
    """It is said."""
    result = run("compare", saved, reverse, "--data", prefs)
    assert "figures are optimistic" in result.stdout


@pytest.mark.parametrize("twice", [False, True])
def test_one_model_is_refused(run, saved, prefs, twice):
    """There is nothing to compare."""
    models = [saved] * (1 + twice)
    result = run("compare", *models, "--data", prefs)
    assert result.exit_code == 2
    assert ("different models" if twice else "two models or more") in result.stderr


def test_a_report_is_written(run, saved, reverse, new_prefs, tmp_path):
    """It opens with the same verdict."""
    page = tmp_path / "report.html"
    result = run("compare", saved, reverse, "--data", new_prefs, "--report", page)
    assert result.exit_code == 0, result.output
    assert f"{saved.name} is best" in page.read_text("utf-8")
