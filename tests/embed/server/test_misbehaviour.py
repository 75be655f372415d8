"""The first of the misbehaviours that `benchmarks/server_faults.py` counts."""

import json
import subprocess
import sys
from pathlib import Path

_SCRIPT = Path(__file__).parents[3] / "benchmarks" / "server_faults.py"


def test_a_hostile_server_is_given_up_in_time_and_memory_and_sees_no_key_spread(
    tmp_path,
):
    """Forty ways; and eight endless answers at once take three of the largest."""
    out = tmp_path / "figures.json"
    command = [sys.executable, _SCRIPT, "--faults", "40", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(out.read_text())
    assert found["misbehaviour"]["trials"] == 40
    assert found["misbehaviour"]["faults"] == []
    assert done.returncode == 0, done.stderr
    assert found["memory"]["grown_over_largest"] < 3
