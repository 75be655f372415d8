"""`embrm layers`: from a file to a table, a picture and the next command."""

import json

import pytest


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Twelve prompts with three graded responses."""
    rows = [
        {"prompt": f"question {n}", "response": f"{word} answer {n}", "score": score}
        for n in range(12)
        for score, word in enumerate(("no", "some", "good"))
    ]
    path = tmp_path_factory.mktemp("graded") / "graded.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_it_prints_a_table_a_recommendation_and_the_next_command(run, graded, tmp_path):
    """On the real model, few layers; the picture is drawn."""
    picture = tmp_path / "deep" / "layers.png"
    options = ["--layers", "5,0.67", "--poolings", "mean_response", "--prompts", "10"]
    result = run("layers", graded, *options, "--out", picture)
    assert result.exit_code == 0, result.output
    assert "30 pairs of 10 prompts, 2 settings of 30 layers" in result.stdout
    assert "embrm fit" in result.stdout
    assert "--encoder smollm2@" in result.stdout
    assert "length alone" in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_json_says_the_same(run, graded, tmp_path):
    """One object on stdout; vectors are kept where that was asked for."""
    options = ["--layers", "5", "--prompts", "10", "--cache", tmp_path, "--json"]
    first = json.loads(run("layers", graded, *options).stdout)
    assert first["n_layers"] == 30
    assert first["recommended"]["layer"] == 5
    assert {column["pooling"] for column in first["columns"]} == {
        "mean_response",
        "last_content",
        "mean",
    }
    again = json.loads(run("layers", graded, *options).stdout)
    assert again["embedded"]["n_embedded"] == 0
    assert again["columns"] == first["columns"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--encoder", "hashing"], "a causal language model"),
        (["--layers", "five"], "write numbers with commas"),
        (["--layers", "31"], "a layer from -31 to 30"),
        (["--layers", "1.5"], r"in (0, 1]"),
        (["--poolings", "max"], "mean_response"),
        (["--prompts", "3"], "--prompts"),
    ],
)
def test_bad_options_are_refused_before_the_file_is_read(run, options, words):
    """With what is possible instead."""
    result = run("layers", "no-such-file.jsonl", *options)
    assert result.exit_code == 2
    assert words in result.output
