"""Options from the command line and from files."""

import json

import pytest

from embrm.cli.options import column_map, head_params
from embrm.exceptions import InvalidInputError


def test_columns_are_name_equals_yours():
    """Repeated options become one mapping; none is None."""
    assert column_map(["prompt=question", "chosen=a=b"]) == {
        "prompt": "question",
        "chosen": "a=b",
    }
    assert column_map(None) is None


@pytest.mark.parametrize("column", ["prompt", "=x", "prompt="])
def test_other_spellings_are_usage_errors(column):
    """The error shows how to write it."""
    with pytest.raises(InvalidInputError, match="--column prompt=question"):
        column_map([column])


def test_parameters_of_heads_are_read_as_yaml():
    """Numbers, lists and switches are what they look like; the rest is text."""
    given = ["alpha=2.5", "noise=estimate", "hidden_sizes=[8, 4]", "linear_start=no"]
    assert head_params(given) == {
        "alpha": 2.5,
        "noise": "estimate",
        "hidden_sizes": [8, 4],
        "linear_start": False,
    }
    assert head_params(None) == {}


@pytest.mark.parametrize("param", ["alpha", "=2", "alpha=", "alpha=[1"])
def test_parameters_that_cannot_be_read_are_usage_errors(param):
    """The message has an example."""
    with pytest.raises(InvalidInputError, match="--param noise=estimate"):
        head_params([param])


def test_on_error_is_one_of_three_words(run, prefs, tmp_path):
    """Anything else is a usage error that lists them."""
    result = run("fit", prefs, "--out", tmp_path / "m", "--on-error", "ignore")
    assert result.exit_code == 2
    assert "'raise' or 'skip' or 'skip-uninformative'" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour: red\n", "unknown key 'colour'"),
        ("- a\n- b\n", "should map option names to values"),
        ("a: [\n", "in line 2, column 1"),
        ("head: linear\nhead: mlp\n", "'head' is there twice"),
        ("max-rows: 1\nmax_rows: 2\n", "'max_rows' is there twice"),
        ("cv: many\n", "--cv"),
        ("!!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
    ],
)
def test_bad_config_files_are_usage_errors(run, prefs, tmp_path, text, message):
    """Unknown keys, other shapes and broken YAML exit with 2."""
    config = tmp_path / "run.yaml"
    config.write_text(text)
    result = run("fit", prefs, "--config", config, "--out", tmp_path / "m")
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_every_option_can_stand_in_the_file(run, prefs, tmp_path):
    """Arguments, numbers, texts, lists and switches alike."""
    config = tmp_path / "run.yaml"
    config.write_text(
        f"prefs: {prefs}\nout: {tmp_path / 'm'}\nhead: logistic\n"
        f"encoder: 'hashing:32'\ncache: {tmp_path / 'v'}\ncv: 0\nformat: pairs\n"
        "column: [prompt=prompt]\non-error: skip\nmax_rows: 30\nseed: 3\n"
        "json: true\ndebug: false\n"
    )
    result = run("fit", "--config", config)
    values = json.loads(result.stdout)
    assert (values["head"], values["training"]["n_pairs"]) == ("logistic", 30)


@pytest.mark.parametrize(
    "column", ["prompt=question", "[prompt=question]", "{prompt: question}"]
)
def test_columns_may_be_one_many_or_a_mapping(run, saved, tmp_path, column):
    """As people write them in YAML."""
    items, config = tmp_path / "items.csv", tmp_path / "run.yaml"
    items.write_text("question,response\nwhy,because\n")
    config.write_text(f"column: {column}\n")
    result = run("score", saved, items, "--config", config)
    assert json.loads(result.stdout)["question"] == "why"


def test_an_empty_config_file_changes_nothing(run, saved, items, tmp_path):
    """All of it may be commented out."""
    config = tmp_path / "run.yaml"
    config.write_text("# column: prompt=question\n")
    assert run("score", saved, items, "--config", config).exit_code == 0


def test_a_switch_in_the_file_can_be_turned_off(run, saved, items, tmp_path):
    """Flags override the file, switches too."""
    config = tmp_path / "run.yaml"
    config.write_text("json: true\n")
    on = run("score", saved, items, "--config", config)
    off = run("score", saved, items, "--config", config, "--no-json")
    assert (len(on.stdout.splitlines()), len(off.stdout.splitlines())) == (1, 3)


def test_a_missing_config_file_is_a_usage_error(run, prefs, tmp_path):
    """It is named."""
    result = run("embed", prefs, "--config", tmp_path / "no.yaml")
    assert result.exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        f"seed: {'9' * 5000}",
        f"encoder: {'[' * 3000}{']' * 3000}",
        "param: {alpha: 2020-01-01}",
        "param:\n  a: &a {b: *a}",
        "x: " + "y" * 1_100_000,
    ],
    ids=["digits", "depth", "date", "circle", "size"],
)
def test_odd_values_of_a_config_are_usage_errors(run, prefs, tmp_path, text):
    """Numbers of thousands of digits, nesting, dates and circles end in one line."""
    config = tmp_path / "run.yaml"
    config.write_text(text)
    result = run("fit", prefs, "--config", config, "--out", tmp_path / "m")
    assert result.exit_code == 2
    assert result.stderr.startswith("error:")
    assert result.stderr.count("\n") <= 3
