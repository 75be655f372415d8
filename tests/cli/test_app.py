"""The command as people meet it."""

import pytest


def test_help_names_every_command_and_the_exit_codes(run):
    """`embrm --help` is the way in."""
    shown = run("--help").stdout
    for command in ("demo", "embed", "fit", "evaluate", "score", "cache", "doctor"):
        assert command in shown
    assert "0 ok, 2 usage, 3 data, 4 integrity" in shown


@pytest.mark.parametrize(
    "command", ["demo", "embed", "fit", "evaluate", "score", "doctor"]
)
def test_every_command_takes_config_json_and_debug(run, command):
    """The common options are everywhere."""
    shown = run(command, "--help").stdout
    for option in ("--config", "--json", "--debug"):
        assert option in shown


def test_a_missing_file_exits_with_3(run, tmp_path):
    """The file is named, in one line."""
    result = run("fit", tmp_path / "no.jsonl", "--out", tmp_path / "m")
    assert result.exit_code == 3
    assert "no such file" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unknown_head_exits_with_2(run, prefs, tmp_path):
    """The known heads are listed."""
    result = run("fit", prefs, "--out", tmp_path / "m", "--head", "bt")
    assert result.exit_code == 2
    assert "unknown head 'bt'; known: linear, siamese" in result.stderr


def test_an_unknown_option_exits_with_2(run, prefs):
    """Usage errors are typer's own."""
    assert run("fit", prefs, "--colour", "red").exit_code == 2


def test_the_installed_command_gives_clean_streams(run_process, prefs, tmp_path):
    """In a process of its own with warnings as errors: no noise, exit code 0."""
    command = ("fit", prefs, "--out", tmp_path / "m", "--encoder", "hashing")
    done = run_process(*command)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_scores_can_be_piped(run_process, saved, items):
    """Items on standard input, scored rows on standard output."""
    done = run_process("score", saved, "-", input=items.read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
