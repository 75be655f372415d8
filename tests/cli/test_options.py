"""Options from the command line and from files."""

import pytest
import typer

from embrm.cli.options import column_map, read_options


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
    with pytest.raises(typer.BadParameter, match="prompt=question"):
        column_map([column])


def test_on_error_is_one_of_three_words():
    """Anything else is a usage error."""
    with pytest.raises(typer.BadParameter, match="raise, skip or skip-uninformative"):
        read_options(None, None, "ignore", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour: red\n", "unknown key 'colour'"),
        ("- a\n- b\n", "should map option names to values"),
        ("a: [\n", "cannot read"),
    ],
)
def test_bad_config_files_are_usage_errors(run, prefs, tmp_path, text, message):
    """Unknown keys, other shapes and broken YAML exit with 2."""
    config = tmp_path / "run.yaml"
    config.write_text(text)
    result = run("fit", prefs, "--config", config, "--out", tmp_path / "m")
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_a_missing_config_file_is_a_usage_error(run, prefs, tmp_path):
    """It is named."""
    result = run("embed", prefs, "--config", tmp_path / "no.yaml")
    assert result.exit_code == 2
