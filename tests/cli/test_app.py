"""The command as people meet it."""

import json
import subprocess
import sys

import pytest
from typer.main import get_command

import embrm
from embrm.cli.app import app


def test_help_names_every_command_and_the_exit_codes(run):
    """`embrm --help` is the way in."""
    shown = run("--help").stdout
    for command in (
        "demo",
        "embed",
        "fit",
        "evaluate",
        "score",
        "simulate",
        "cache",
        "doctor",
    ):
        assert command in shown
    assert "0 ok, 2 usage, 3 data, 4 integrity" in shown


@pytest.mark.parametrize(
    "command", ["demo", "embed", "fit", "evaluate", "score", "simulate", "doctor"]
)
def test_every_command_takes_config_json_and_debug(run, command):
    """The common options are everywhere."""
    shown = run(command, "--help").stdout
    for option in ("--config", "--json", "--debug"):
        assert option in shown


def test_no_option_belongs_to_two_parameters_of_a_command():
    """Else the value of one of them would be dropped in silence."""
    queue = [get_command(app)]
    assert len(queue[0].commands) > 15
    for command in queue:
        queue += getattr(command, "commands", {}).values()
        names = [name for one in command.params for name in one.opts]
        assert len(names) == len(set(names)), command.name


def test_paper_says_where_it_went(run):
    """In one line, whatever its options were, and as JSON on demand; not in --help."""
    result = run("paper", "--out", "paper", "--quick")
    assert result.exit_code == 2
    assert "`python -m benchmarks.paper` takes the options" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert json.loads(run("paper", "--json").stdout)["exit_code"] == 2
    assert "paper" not in run("--help").stdout


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fit", "x", "--colour", "red"), "No such option: --colour"),
        (("fit", "x"), "Missing option '--out'. See embrm fit --help."),
        (("fit", "x", "--out", "m", "--cv", "x"), "'--cv'"),
        (("nope",), "No such command 'nope'. See embrm --help."),
        (("cache", "nope"), "See embrm cache --help."),
        (("embed", "x"), "Missing option '--cache'"),
    ],
)
def test_usage_errors_are_one_line_and_exit_with_2(run, arguments, words):
    """With --json they are an object, as every error is."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    as_json = run(*arguments, "--json")
    assert as_json.exit_code == 2
    assert json.loads(as_json.stdout)["exit_code"] == 2


@pytest.mark.parametrize("arguments", [(), ("cache",)])
def test_without_a_command_the_help_is_shown(run, arguments):
    """And the exit code says that nothing was done."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: embrm" in result.output
    assert "error" not in result.output


def test_the_version_is_that_of_the_package(run):
    """`embrm --version`, for bug reports."""
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"embrm {embrm.__version__}\n")


@pytest.mark.parametrize("command", ["fit", "evaluate", "score", "embed", "doctor"])
def test_help_fits_into_80_columns(run, command):
    """No line is broken in the middle."""
    shown = run(command, "--help").stdout
    assert max(map(len, shown.splitlines())) <= 80


def test_a_pipe_that_closes_early_gives_no_traceback(run_process, saved, items):
    """`embrm score ... | head -1` is a way to look."""
    command = f"{sys.executable} -c 'from embrm.cli import main; main()'"
    rows = items.read_text(encoding="utf-8") * 20_000
    done = subprocess.run(
        ["bash", "-c", f"{command} score {saved} - | head -1; exit ${{PIPESTATUS[0]}}"],
        input=rows,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 141
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


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
