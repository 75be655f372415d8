"""The package as a whole: what importing it costs, what its names are."""

import json
import subprocess
import sys

import pytest

import embrm

HEAVY = {
    "torch",
    "transformers",
    "sentence_transformers",
    "lightgbm",
    "xgboost",
    "matplotlib",
    "fastapi",
    "pandas",
    "sklearn",
}


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("room", ["embrm", "embrm.cli"])
def test_importing_embrm_loads_no_heavy_package(room):
    """`import embrm` and every command leave torch, pandas and their like unloaded."""
    code = f"import {room}, sys, json; print(json.dumps(sorted(sys.modules)))"
    assert HEAVY.isdisjoint(json.loads(run_python(code)))


def test_importing_every_room_loads_no_optional_dependency():
    """Rooms import torch, LightGBM and their like only when they are used."""
    rooms = [
        "datasets",
        "embed",
        "heads",
        "simulate",
        "experiment",
        "evaluate",
        "model",
        "persist",
        "report",
        "integrations",
        "web",
        "serve",
        "cli",
        "testing",
    ]
    code = (
        "import importlib, sys, json\n"
        f"for room in {rooms!r}: importlib.import_module('embrm.' + room)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    optional = HEAVY - {"pandas", "sklearn"}
    assert optional.isdisjoint(json.loads(run_python(code)))


def test_importing_embrm_takes_less_than_half_a_second():
    """The best of five imports in fresh processes stays under 0.5 s of CPU time."""
    code = (
        "import time; start = time.process_time(); import embrm; "
        "print(time.process_time() - start)"
    )
    assert min(float(run_python(code)) for _ in range(5)) < 0.5


def test_every_public_name_can_be_imported():
    """`__all__` holds no name that is not there."""
    assert all(hasattr(embrm, name) for name in embrm.__all__)
