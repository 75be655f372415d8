"""`embrm formats`, and how files are read and errors written on the command line."""

import json

import pytest

from embrm.cli.output import in_flags
from embrm.datasets import known_formats


def test_all_formats_are_listed(run):
    """Names, columns and whose they are."""
    listed = json.loads(run("formats", "--json").stdout)["formats"]
    assert [entry["name"] for entry in listed] == list(known_formats())
    assert all(entry["columns"] and entry["about"] for entry in listed)
    assert "human_ref_A" in run("formats", "shp").stdout


def test_an_unknown_format_is_answered_with_the_nearest(run):
    """A misspelling is a usage error."""
    result = run("formats", "shpp")
    assert result.exit_code == 2
    assert "did you mean 'shp'" in result.stderr


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("pass columns={'a': 'b'}", "pass --column a=b"),
        ("columns={'a': 'your name for it'}", "--column a=YOURS"),
        ("columns={'margin': 'x - y'}", "--column 'margin=x - y'"),
        ("winner={value: 'first', 'tie'}", "--winner VALUE=first (or second, tie, bo"),
        ("lower_is_better=False", "--higher-is-better"),
        ("name it: encoding='latin-1'", "name it: --encoding latin-1"),
        ("read with images='mark', which", "read with --images mark, which"),
        ("pass prompt_template='{a}'", "pass --prompt-template '{a}'"),
        ("raise max_line_bytes", "raise --max-line-bytes"),
    ],
)
def test_errors_say_what_to_type(words, flags):
    """Python's syntax becomes the command line's."""
    assert in_flags(words).startswith(flags)


TWO = {"prompt": "p", "response_a": "good", "response_b": "bad", "won": 0}


def test_files_are_read_as_the_options_say(run, tmp_path):
    """Columns, winners, templates and encodings reach the reader."""
    path = tmp_path / "a.jsonl"
    rows = [TWO | {"prompt": f"p{n}", "topic": "t", "won": n % 2} for n in range(4)]
    path.write_bytes("".join(json.dumps(row) + "\n" for row in rows).encode("utf-16"))
    options = ["--column", "winner=won", "--winner", "0=first", "--winner", "1=second"]
    options += ["--prompt-template", r"{topic}\n{prompt}", "--encoding", "utf-16"]
    fitted = ["fit", path, "--encoder", "hashing:64", "--out", tmp_path / "m"]
    result = run(*fitted, *options)
    assert result.exit_code == 0, result.stderr
    assert "won (winner)" in result.stdout
    refused = run(*fitted[:-1], tmp_path / "n", *options[:2], *options[-4:])
    assert refused.exit_code == 3
    assert "--winner VALUE=first" in refused.stderr


def test_control_characters_never_reach_the_terminal(run, tmp_path):
    """Names of columns come from strangers."""
    path = tmp_path / "a.jsonl"
    row = {"prompt": "p", "chosen": "a", "rejected": "b", "\x1b]0;x\x07\x1b[2J": 1}
    path.write_text(json.dumps(row) + "\n")
    out = run("fit", path, "--encoder", "hashing:64", "--out", tmp_path / "m")
    bad = run("fit", path, "--column", "y=\x1b[2J", "--out", tmp_path / "n")
    for text in (out.stdout, out.stderr, bad.stderr):
        assert not set(text) & {"\x1b", "\x07"}
    assert "carried along: \ufffd]0;x" in out.stdout


def test_the_longest_line_is_an_option(run, tmp_path):
    """What the error tells to raise can be raised."""
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": f"p{n}", "chosen": "a" * 200, "rejected": "b"} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused = run("data", path, "--max-line-bytes", "100", "--on-error", "raise")
    assert refused.exit_code == 3
    assert "or raise --max-line-bytes" in refused.stderr
    assert run("data", path, "--max-line-bytes", "1000").exit_code == 0
