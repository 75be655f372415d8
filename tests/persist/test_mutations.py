"""The first of the damaged models that `benchmarks/model_faults.py` counts."""

import json
import subprocess
import sys
from pathlib import Path

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "model_faults.py"


def test_damaged_models_of_every_head_are_refused_or_the_same(tmp_path):
    """No death, no hang, no error of another's, no other rewards."""
    out = tmp_path / "figures.json"
    command = [sys.executable, _SCRIPT, "--mutations", "300", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(out.read_text())["mutations"]
    assert found["trials"] == 300
    assert found["faults"] == []
    assert found["refused"] > 100
    assert done.returncode == 0, done.stderr
