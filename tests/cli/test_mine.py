"""`embrm mine`: training files from the command line."""

import json

import pytest

from embrm.datasets import read_preferences


@pytest.fixture
def pool(write_rows):
    """Three responses to each of four prompts."""
    return write_rows(
        [
            {"prompt": f"question {n}", "response": f"{text} {n}"}
            for n in range(4)
            for text in ("bad reply", "good answer", "so so")
        ],
        "pool.jsonl",
    )


@pytest.mark.parametrize("name", ["trl", "openrlhf", "llama-factory", "axolotl"])
def test_the_model_s_best_is_chosen_and_its_worst_rejected(
    run, saved, pool, tmp_path, name
):
    """In every format, with a card that names model and encoder."""
    out = tmp_path / "pairs.jsonl"
    result = run("mine", saved, pool, "--out", out, "--format", name, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["n_written"], answer["n_items"], answer["n_prompts"]) == (4, 12, 4)
    read = read_preferences(out)
    chosen = [read.texts[n][1] for n in read.pairs["first"]]
    assert chosen == [f"good answer {n}" for n in range(4)]
    assert (read.pairs["margin"] > 0).all()
    card = (tmp_path / "pairs.card.md").read_text("utf-8")
    assert answer["encoder digest"] in card


def test_the_hull_of_the_training_file_is_measured(run, saved, prefs, pool, tmp_path):
    """Shares outside for all, chosen and rejected."""
    out = tmp_path / "pairs.jsonl"
    result = run("mine", saved, pool, "--out", out, "--hull", prefs, "--json")
    outside = json.loads(result.stdout)["outside"]
    assert set(outside) == {"all", "chosen", "rejected"}


def test_standard_input_is_mined(run_process, saved, pool, tmp_path):
    """It is kept, to be read twice."""
    out = tmp_path / "sft.jsonl"
    options = ("--out", out, "--strategy", "best-of-n")
    done = run_process("mine", saved, "-", *options, input=pool.read_text("utf-8"))
    assert done.returncode == 0, done.stderr
    assert len(out.read_text("utf-8").splitlines()) == 4


def test_style_is_left_out_where_the_model_has_a_block_of_it(run, tmp_path, write_rows):
    """Unless the whole reward is asked for: then the longer answer wins."""
    prefs = write_rows(
        [
            {
                "prompt": f"question {n}",
                "chosen": f"word{n} " * (9 + n % 3),
                "rejected": f"word{n}",
            }
            for n in range(30)
        ],
        "prefs.jsonl",
    )
    model = tmp_path / "model"
    fitted = run("fit", prefs, "--out", model, "--encoder", "hashing:16+style")
    assert fitted.exit_code == 0, fitted.output
    pool = write_rows(
        [{"prompt": "q", "response": "term " * n} for n in (1, 10)], "pool.jsonl"
    )
    out = tmp_path / "pairs.jsonl"
    both = [
        json.loads(run("mine", model, pool, "--out", out, flag, "--json").stdout)
        for flag in ("--whole-reward", "--net-of-style")
    ]
    assert [answer["reward"]["chosen"] is not None for answer in both]
    whole, net = (answer["margin"]["mean"] for answer in both)
    assert whole > 3 * net


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "a.csv"], "ends in .jsonl"),
        (["--out", "a.jsonl", "--format", "verl"], "llama-factory"),
        (["--out", "a.jsonl", "--strategy", "best"], "best-vs-second"),
    ],
)
def test_what_is_unknown_is_a_usage_error(run, saved, pool, options, words):
    """Before the model is opened."""
    result = run("mine", saved, pool, *options)
    assert result.exit_code == 2
    assert words in result.stderr


def test_columns_are_those_of_the_fit_where_the_file_has_them(
    run, tmp_path, write_rows
):
    """It is said; a file of which nothing can be read says what to name."""
    rows = [
        {"mail": f"question {n}", "kept": f"good answer {n}", "dropped": f"bad {n}"}
        for n in range(6)
    ]
    prefs, model, out = write_rows(rows), tmp_path / "model", tmp_path / "pairs.jsonl"
    named = ["prompt=mail", "chosen=kept", "rejected=dropped"]
    columns = [word for each in named for word in ("--column", each)]
    done = run("fit", prefs, "--out", model, "--encoder", "hashing", *columns)
    assert done.exit_code == 0, done.output
    done = run("mine", model, prefs, "--out", out)
    assert f"columns as at fit: {', '.join(named)}" in done.stdout
    assert len(out.read_text("utf-8").splitlines()) == 6
    odd = write_rows([{"frage": "a", "antwort": "b"}], "odd.jsonl")
    done = run("mine", model, odd, "--out", out)
    assert done.exit_code == 3
    assert "--column prompt=YOURS" in done.stderr
