"""`embrm benchmark`: official scores of a saved model, or of anybody's score table."""

import json

import pandas as pd
import pytest

from embrm.evaluate.suites import score_suite
from tests.cli.conftest import write_jsonl

LLMBAR = [
    {
        "input": f"question {n}",
        "output_1": f"good {n}",
        "output_2": f"bad {n}",
        "label": 1,
    }
    for n in range(20)
]


@pytest.fixture
def llmbar(tmp_path):
    return write_jsonl(tmp_path / "llmbar.jsonl", LLMBAR)


@pytest.fixture
def scores(tmp_path):
    rows = [
        {"id": n, "item": f"output_{side}", "reward": float(side == 1 and n < 15)}
        for n in range(20)
        for side in (1, 2)
    ]
    return write_jsonl(tmp_path / "scores.jsonl", rows)


def test_a_model_is_scored_with_intervals_and_baselines(run, saved, llmbar, tmp_path):
    """And its score table can be kept: it gives the same again."""
    out = tmp_path / "kept.jsonl"
    result = run(
        "benchmark",
        saved,
        "--suite",
        "llmbar",
        "--data",
        llmbar,
        "--out",
        out,
        "--json",
    )
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    row = values["table"]["overall"]
    assert row["low"] <= values["overall"] <= row["high"]
    assert set(values["baselines"]) == {"length", "words"}
    # "good" is longer than "bad", and a word of its own.
    assert values["baselines"]["length"]["overall"] == 1.0
    assert values["baselines"]["words"]["overall"] == 1.0
    again = run(
        "benchmark", "--suite", "llmbar", "--data", llmbar, "--scores", out, "--json"
    )
    assert json.loads(again.stdout)["overall"] == values["overall"]


def test_scores_from_anywhere_embed_nothing(run, llmbar, scores):
    """No model is needed, and 5 of 20 are ties."""
    result = run("benchmark", "--suite", "llmbar", "--data", llmbar, "--scores", scores)
    assert result.exit_code == 0, result.output
    assert "llmbar (v1): overall 0.8750" in result.stdout
    assert "20 of the benchmark's 100 rows" in result.stdout
    assert "published, of all rows: GPT-4" in result.stdout


def test_results_of_the_benchmarks_own_code_are_scores(run, tmp_path):
    """RewardBench writes one object of columns, which has subsets and ids, too."""
    columns = {
        "model": "org/name",
        "id": list(range(4)),
        "subset": ["hep-go"] * 4,
        "scores_chosen": [1.0, 2.0, 3.0, 4.0],
        "scores_rejected": [0.0, 0.0, 0.0, 4.0],
    }
    results = tmp_path / "name.json"
    results.write_text(json.dumps(columns))
    arguments = ("benchmark", "--suite", "rewardbench", "--data", results)
    values = json.loads(run(*arguments, "--scores", results, "--json").stdout)
    assert values["table"]["hep-go"]["score"] == 0.75


def test_a_partial_table_is_labelled(run, llmbar, scores, tmp_path):
    """On the first line, and no overall is in the JSON."""
    some = tmp_path / "some.jsonl"
    some.write_text("".join(scores.read_text().splitlines(keepends=True)[:30]))
    arguments = ("benchmark", "--suite", "llmbar", "--data", llmbar, "--scores", some)
    assert "PARTIAL, no official score: 15 of 20 rows" in run(*arguments).stdout
    assert json.loads(run(*arguments, "--json").stdout)["overall"] is None


def test_rows_without_texts_have_no_baselines(run, scores, tmp_path):
    """Labels are enough for scores."""
    rows = [{"id": n, "label": 1} for n in range(20)]
    bare = write_jsonl(tmp_path / "bare.jsonl", rows)
    result = run(
        "benchmark", "--suite", "llmbar", "--data", bare, "--scores", scores, "--json"
    )
    assert json.loads(result.stdout)["baselines"] == {}


def test_prompts_that_were_fitted_on_are_said(run, saved, llmbar):
    """Their scores are optimistic."""
    result = run("benchmark", saved, "--suite", "llmbar", "--data", llmbar)
    assert "20 of 20 prompts are among those the head was fitted on" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--suite", "llmbar"), "or --scores FILE; got neither"),
        (("--suite", "mmlu", "--scores", "SCORES"), "suite one of rewardbench"),
        (
            ("--suite", "llmbar", "--scores", "SCORES", "--suite-version", "v7"),
            "version one of v1",
        ),
    ],
)
def test_usage_errors_exit_with_2(run, llmbar, scores, arguments, words):
    """With what there is to choose from."""
    given = [scores if a == "SCORES" else a for a in arguments]
    result = run("benchmark", *given, "--data", llmbar)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.realdata
def test_the_real_files_have_official_tables(run, saved, shared_data, tmp_path):
    """RM-Bench by domain, which file names tell, and LLMBar."""
    files = ["rmbench_chat_filtered.json", "rmbench_safety-refuse_filtered.json"]
    data = [part for file in files for part in ("--data", shared_data / file)]
    out = tmp_path / "scores.parquet"
    result = run(
        *("benchmark", saved, "--suite", "rm-bench", *data, "--out", out, "--json")
    )
    values = json.loads(result.stdout)
    assert values["overall"] is None
    assert values["partial"] == ["no rows of math, code"]
    assert values["table"]["chat"]["rows"] == 129
    assert values["table"]["safety"]["rows"] == 284
    # The longer response is nearly always the fancier one.
    assert values["baselines"]["length"]["table"]["hard"]["score"] < 0.1
    rows = pd.concat(
        [
            pd.read_json(shared_data / file).assign(domain=domain)
            for file, domain in zip(files, ("chat", "safety"), strict=True)
        ]
    )
    table = score_suite("rm-bench", rows, pd.read_parquet(out).drop(columns="domain"))
    assert table.table.loc["chat", "score"] == values["table"]["chat"]["score"]
    natural = run(
        *("benchmark", saved, "--suite", "llmbar", "--json"),
        *("--data", shared_data / "llmbar_natural.json"),
    )
    assert json.loads(natural.stdout)["coverage"]["found"] == 100


def test_several_score_tables_make_a_leaderboard(run, llmbar, scores, tmp_path):
    """Best first, with letters."""
    worse = tmp_path / "worse.jsonl"
    rows = [json.loads(line) for line in scores.read_text().splitlines()]
    flipped = [row | {"reward": -row["reward"]} for row in rows]
    write_jsonl(worse, flipped)
    arguments = ("benchmark", "--suite", "llmbar", "--data", llmbar)
    both = ("--scores", worse, "--scores", scores)
    values = json.loads(run(*arguments, *both, "--json").stdout)
    assert [row["model"] for row in values["models"]] == ["scores", "worse"]
    assert [row["group"] for row in values["models"]] == ["a", "b"]
    assert "share a letter" in run(*arguments, *both).stdout


def test_long_names_of_result_files_leave_room_for_the_figures(run, llmbar, scores):
    """What they begin with alike is left out."""
    start = "dataset=llmbar,response_model=any,judge_name=reward_model,judge_model="
    files = [scores.with_name(f"{start}{name}.jsonl") for name in ("one", "two")]
    for file in files:
        file.write_text(scores.read_text())
    arguments = ("benchmark", "--suite", "llmbar", "--data", llmbar)
    done = run(*arguments, "--scores", files[0], "--scores", files[1])
    rows = [line.split()[:3] for line in done.stdout.splitlines()[1:3]]
    assert rows == [["one", "a", "0.8750"], ["two", "a", "0.8750"]]
