"""Files and a runner for the tests of the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from embrm.cli.app import app


@pytest.fixture
def run():
    """Run the command line in this process."""
    runner = CliRunner()

    def invoke(*arguments: object):
        return runner.invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def run_process():
    """Run the installed command in a process of its own."""

    def invoke(*arguments: object, **options):
        command = [sys.executable, "-c", "from embrm.cli import main; main()"]
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONWARNINGS": "error"},
            **options,
        )

    return invoke


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def write_rows(tmp_path):
    """Write rows to a JSONL file of one test."""

    def write(rows: list[dict], name: str = "rows.jsonl") -> Path:
        return write_jsonl(tmp_path / name, rows)

    return write


@pytest.fixture(scope="session")
def prefs(tmp_path_factory) -> Path:
    """Forty preferences over twenty prompts."""
    rows = [
        {
            "prompt": f"question {n % 20}",
            "chosen": f"good answer {n}",
            "rejected": f"bad reply {n}",
        }
        for n in range(40)
    ]
    return write_jsonl(tmp_path_factory.mktemp("prefs") / "prefs.jsonl", rows)


@pytest.fixture(scope="session")
def new_prefs(tmp_path_factory) -> Path:
    """Preferences whose prompts are partly new."""
    rows = [
        {
            "prompt": f"question {n}",
            "chosen": f"good words {n}",
            "rejected": f"bad words {n}",
        }
        for n in range(10, 30)
    ]
    return write_jsonl(tmp_path_factory.mktemp("new") / "new.jsonl", rows)


@pytest.fixture(scope="session")
def items(tmp_path_factory) -> Path:
    """Items with a column of their own."""
    rows = [
        {"id": f"i{n}", "prompt": "问题", "response": text}
        for n, text in enumerate(["bad reply", "good answer", "so so"])
    ]
    return write_jsonl(tmp_path_factory.mktemp("items") / "items.jsonl", rows)


@pytest.fixture(scope="session")
def saved(prefs, tmp_path_factory) -> Path:
    """A model fitted by the command line; do not write to it."""
    out = tmp_path_factory.mktemp("saved") / "model"
    result = CliRunner().invoke(
        app, ["fit", str(prefs), "--out", str(out), "--encoder", "hashing", "--cv", "4"]
    )
    assert result.exit_code == 0, result.output
    return out
