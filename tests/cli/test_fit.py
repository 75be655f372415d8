"""`embrm fit`: from a preference file to a saved model."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from embrm.cli.app import app
from embrm.heads import known_heads
from embrm.persist import load_model, read_manifest


def test_it_prints_a_held_out_estimate_with_an_interval(run, prefs, tmp_path):
    """The account, the vectors, the cross-validated figures and the place are told."""
    result = run("fit", prefs, "--out", tmp_path / "m", "--encoder", "hashing")
    assert result.exit_code == 0
    assert "prefs.jsonl read as pairs: 40 rows, 40 kept, 0 left out" in result.stdout
    assert "5-fold cross-validation by prompt" in result.stdout
    assert "order consistency" in result.stdout
    assert "linear head fitted on 40 pairs of 20 prompts" in result.stdout


def test_the_json_holds_what_was_printed(run, prefs, tmp_path):
    """With --json, stdout is one object; words for people go to stderr."""
    out = tmp_path / "m"
    result = run("fit", prefs, "--out", out, "--encoder", "hashing", "--json")
    values = json.loads(result.stdout)
    assert values["digest"] == read_manifest(out)["digest"]
    interval = values["held_out"]["order_consistency"]
    assert interval["low"] <= interval["estimate"] <= interval["high"]
    assert values["training"]["n_pairs"] == 40
    assert "kept" in result.stderr


def test_the_estimate_is_kept_with_the_model(saved):
    """The manifest holds the held-out figures of the fit."""
    metrics = read_manifest(saved)["training"]["metrics"]
    assert metrics["held_out"]["folds"] == 4


def test_every_head_can_be_fitted_by_its_word(run, prefs, tmp_path):
    """--head takes the words of the registry."""
    result = run(
        *("fit", prefs, "--out", tmp_path / "m", "--encoder", "hashing"),
        *("--head", "logistic", "--cv", 0),
    )
    assert result.exit_code == 0
    assert type(load_model(tmp_path / "m").head_).__name__ == "ClassificationReward"


def test_the_help_lists_every_head():
    """It comes from the registry, which is imported when somebody reads it."""
    parameters = get_command(app).commands["fit"].params
    (shown,) = [p.help for p in parameters if p.name == "head"]
    words = re.split(r", | or ", shown.rstrip("."))
    assert words == list(known_heads())


def test_the_cache_is_used_the_second_time(run, prefs, tmp_path):
    """A second fit embeds nothing."""
    options = ["--encoder", "hashing", "--cache", tmp_path / "vectors", "--json"]
    run("fit", prefs, "--out", tmp_path / "a", *options)
    result = run("fit", prefs, "--out", tmp_path / "b", *options)
    assert json.loads(result.stdout)["embedded"]["n_embedded"] == 0


def test_options_can_stand_in_a_file_and_flags_override_it(run, prefs, tmp_path):
    """Keys of --config are defaults of the options."""
    config = tmp_path / "run.yaml"
    config.write_text(f"out: {tmp_path / 'a'}\nencoder: hashing\ncv: 0\njson: true\n")
    result = run("fit", prefs, "--config", config, "--out", tmp_path / "b")
    assert json.loads(result.stdout)["model"] == str(tmp_path / "b")
    assert not (tmp_path / "a").exists()


def test_a_model_that_is_replaced_is_named_before(run, prefs, tmp_path):
    """A new place is not worth a word."""
    options = ["--out", tmp_path / "m", "--encoder", "hashing", "--cv", 0]
    first, second = (run("fit", prefs, *options) for _ in range(2))
    assert "will replace" not in first.stdout
    told = "holds a model, which this one will replace: head LinearBradleyTerry, saved"
    assert told in second.stdout
    assert second.stdout.index(told) < second.stdout.index("saved to")


def test_one_prompt_alone_is_fitted_without_an_estimate(run, tmp_path):
    """Where nothing can be held out, the output says so."""
    path = tmp_path / "one.jsonl"
    path.write_text('{"prompt": "p", "chosen": "good", "rejected": "bad"}\n')
    result = run("fit", path, "--out", tmp_path / "m", "--encoder", "hashing")
    assert result.exit_code == 0
    assert "nothing can be held out" in result.stdout


def test_an_occupied_directory_is_refused_before_anything_is_embedded(
    run, prefs, tmp_path
):
    """Nobody waits for hours to hear it."""
    (tmp_path / "thesis.tex").write_text("dear")
    options = ["--encoder", "hashing", "--cache", tmp_path / "vectors"]
    result = run("fit", prefs, "--out", tmp_path, *options)
    assert result.exit_code == 2
    assert "other content" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "vectors").exists()


def test_one_fold_is_a_usage_error(run, prefs, tmp_path):
    """It would hold out everything."""
    result = run("fit", prefs, "--out", tmp_path / "m", "--cv", 1)
    assert result.exit_code == 2
    assert "expected --cv 0, or 2 and more; got 1. Fix: use --cv 5" in result.stderr


def test_bad_rows_can_be_skipped_and_are_counted(run, prefs, tmp_path):
    """--on-error skip leaves them out; the account names line and reason."""
    path = tmp_path / "holed.jsonl"
    path.write_text(prefs.read_text() + "{broken\n")
    options = ["--out", tmp_path / "m", "--encoder", "hashing", "--cv", 0]
    assert run("fit", path, *options).exit_code == 3
    result = run("fit", path, *options, "--on-error", "skip")
    assert result.exit_code == 0
    assert "1 left out" in result.stdout
    assert "line 41" in result.stdout


def test_parameters_reach_the_head(run, prefs, tmp_path):
    """On the command line, or as a mapping in the file."""
    config = tmp_path / "fit.yaml"
    config.write_text("param: {alpha: 2.5, standardise: false}\nencoder: hashing\n")
    out = tmp_path / "m"
    result = run("fit", prefs, "--out", out, "--cv", 0, "--config", config)
    assert result.exit_code == 0
    head = load_model(out).head_
    assert (head.alpha, head.standardise) == (2.5, False)


def test_annotators_are_judged_where_the_head_is_to(run, prefs, tmp_path):
    """The column is found, and every annotator has a rate."""
    rows = [json.loads(line) for line in prefs.read_text().splitlines()]
    told = [row | {"annotator": f"a{n % 2}"} for n, row in enumerate(rows)]
    file = tmp_path / "told.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in told))
    out = tmp_path / "m"
    result = run(
        *("fit", file, "--out", out, "--encoder", "hashing"),
        *("--param", "noise=estimate"),
    )
    assert result.exit_code == 0
    assert load_model(out).head_.annotators_.tolist() == ["a0", "a1"]
    assert re.search(r"flipped, by estimate: a\d \d+%, a\d \d+%\n", result.stdout)
    result = run(
        *("fit", file, "--out", tmp_path / "n", "--encoder", "hashing", "--json"),
        *("--param", "noise=estimate", "--cv", 0),
    )
    rates = json.loads(result.stdout)["flip_rates"]
    assert set(rates) == {"a0", "a1"}
    assert list(rates.values()) == sorted(rates.values(), reverse=True)


@pytest.mark.parametrize("param", ["strength=2", "name=linear"])
def test_an_unknown_parameter_is_a_usage_error(run, prefs, tmp_path, param):
    """The known ones are listed, before anything is embedded."""
    out = tmp_path / "m"
    result = run("fit", prefs, "--out", out, "--param", param)
    assert result.exit_code == 2
    assert "parameters of 'linear': alpha" in result.stderr


@pytest.fixture(scope="module")
def ratings(tmp_path_factory) -> Path:
    """Twenty prompts with three rated responses each."""
    rows = [
        {"prompt": f"question {n}", "response": f"{word} answer {n}", "score": score}
        for n in range(20)
        for score, word in enumerate(("bad", "fair", "good"))
    ]
    path = tmp_path_factory.mktemp("ratings") / "ratings.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("head", "kind", "n"),
    [
        ("regression", "ratings", 60),
        ("multi-objective", "ratings", 60),
        ("kto", "labels", 40),
        ("plackett-luce", "rankings", 20),
        ("two-stage", "pairs", 60),
    ],
)
def test_heads_of_all_kinds_are_fitted_evaluated_and_used(
    run, ratings, head, kind, n, tmp_path
):
    """On one file of ratings, each on what it learns from."""
    out = tmp_path / "model"
    options = ("--head", head, "--encoder", "hashing:64", "--out", out, "--cv", 2)
    result = run("fit", ratings, *options)
    assert result.exit_code == 0, result.output
    assert f"{head} head fitted on {n} {kind} of 20 prompts" in result.stdout
    evaluated = json.loads(run("evaluate", out, ratings, "--json").stdout)
    assert evaluated["order_consistency"]["estimate"] > 0.6
    assert evaluated["held_out_at_fit"]["order_consistency"]["estimate"] > 0.5
    assert run("score", out, ratings).exit_code == 0


def test_a_head_that_the_file_cannot_feed_is_refused_first(run, prefs, tmp_path):
    """Before a vector is made: the cache is not even there."""
    cache = tmp_path / "vectors"
    options = ("--encoder", "hashing", "--cache", cache, "--out", tmp_path / "model")
    result = run("fit", prefs, "--head", "regression", *options)
    assert result.exit_code == 3
    assert "RegressionReward learns from ratings" in result.stderr
    assert "can feed: linear, siamese" in result.stderr
    assert not cache.exists()


def test_labels_without_pairs_are_fitted_without_an_estimate(run, tmp_path):
    """Nothing can be compared, so nothing can be held out; the head is there."""
    rows = [
        {"prompt": f"question {n}", "response": f"{word} {n}", "label": word == "good"}
        for n, word in enumerate(["good", "bad"] * 15)
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--head", "kto", "--encoder", "hashing:32", "--out", tmp_path / "model")
    result = run("fit", path, *options)
    assert result.exit_code == 0, result.output
    assert "no pair to order: nothing can be held out" in result.stdout
    assert "fitted on 30 labels" in result.stdout


def test_it_says_with_which_encoder_and_the_card_says_it_again(run, prefs, tmp_path):
    """Model, layer and pooling in words."""
    out = tmp_path / "model"
    result = run("fit", prefs, "--out", out, "--cv", "0")
    assert result.exit_code == 0, result.output
    words = "SmolLM2-135M-Instruct-Q4_1, layer 20, mean over the response"
    assert f"encoder: causal-lm {words}" in result.stdout
    assert words in (out / "README.md").read_text(encoding="utf-8")


def test_a_test_file_is_evaluated_and_reported(run, prefs, new_prefs, tmp_path):
    """On the pairs of its prompts that were not fitted on."""
    out, page = tmp_path / "model", tmp_path / "report.html"
    result = run(
        *("fit", prefs, "--out", out, "--encoder", "hashing:32", "--cv", "0"),
        *("--test", new_prefs, "--report", page, "--json"),
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["test"]["n_pairs"] == 10
    assert "10 of 20 test pairs left out" in result.stderr
    assert "<h1>" in page.read_text("utf-8")


def test_the_report_is_held_out_without_a_test_file(run, prefs, tmp_path):
    """By cross-validation; where there is none, it is refused before anything."""
    page = tmp_path / "report.html"
    common = ("fit", prefs, "--out", tmp_path / "m", "--encoder", "hashing:32")
    assert run(*common, "--report", page, "--cv", "3").exit_code == 0
    assert "held out by prompt" in page.read_text("utf-8")
    refused = run(*common, "--report", page, "--cv", "0")
    assert refused.exit_code == 2
    assert "--test FILE" in refused.stderr
