"""A few of the kills that `benchmarks/kills.py` counts; other rooms have their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[1] / "benchmarks" / "kills.py"


@pytest.mark.parametrize("room", ["score", "experiment"])
def test_what_is_killed_is_as_before_or_whole(room, tmp_path):
    """Output over an old file and over the input; a grid, continued bit for bit."""
    out = tmp_path / "kills.json"
    command = [sys.executable, _SCRIPT, "--kills", "24", "--only", room, "--out", out]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(out.read_text())[room]
    assert (found["trials"], found["wrong"], found["left_behind"]) == (6, 0, 0)
    assert done.returncode == 0, done.stderr
