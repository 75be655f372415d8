"""Kill savers of a model, and save and load it from many processes at once.

    python benchmarks/model_faults.py [--kills 200] [--seconds 20]

A model is saved over another, again and again, by a process that is killed (SIGKILL) at
a random moment; after each kill the path must hold one of the two models, whole. Then
four processes save while four load: every load must give one of them, whole. At the
end, after one more save, nothing may lie beside the model. Results go to
results/model_faults.json.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from embrm.datasets import make_preferences
from embrm.model import RewardModel
from embrm.persist import load_model, save_model

RESULTS = Path(__file__).parent / "results" / "model_faults.json"
_SAVER = """
import sys
from embrm.persist import load_model, save_model
models = [load_model(path) for path in sys.argv[2:]]
print("ready", flush=True)
while True:
    for model in models:
        save_model(model, sys.argv[1])
"""
_LOADER = """
import sys, time
from embrm.persist import load_model
known, until, n = sys.argv[2].split(","), time.time() + float(sys.argv[3]), 0
while time.time() < until:
    model = load_model(sys.argv[1])
    assert model.training_["n_pairs"] in map(int, known), model.training_
    n += 1
print(n, flush=True)
"""


def two_models(folder: Path) -> tuple[list[Path], list[int]]:
    """Save two models that differ."""
    paths, sizes = [], []
    for n in (20, 30):
        made = make_preferences(n, n_features=8, random_state=n)
        rows = [
            {"prompt": f"prompt {i}", "chosen": f"good {i} {y}", "rejected": f"bad {i}"}
            for i, y in enumerate(made.y)
        ]
        model = RewardModel(encoder="hashing:256").fit(rows)
        paths.append(save_model(model, folder / f"model{n}"))
        sizes.append(n)
    return paths, sizes


def start(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start a process of this Python."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill_savers(target: Path, sources: list[Path], sizes: list[int], n: int) -> int:
    """Kill a saver n times; return how often the path held no whole model."""
    rng, bad = random.Random(0), 0
    save_model(load_model(sources[0]), target)
    for _ in range(n):
        with start(_SAVER, target, *sources) as saver:
            assert saver.stdout is not None
            saver.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.05))
            os.kill(saver.pid, signal.SIGKILL)
        try:
            bad += load_model(target).training_["n_pairs"] not in sizes
        except Exception as error:  # noqa: BLE001
            print(type(error).__name__, error)
            bad += 1
    return bad


def crowd(
    target: Path, sources: list[Path], sizes: list[int], seconds: float
) -> tuple[int, list[str]]:
    """Let four processes save and four load; return loads and what went wrong."""
    savers = [start(_SAVER, target, *sources) for _ in range(4)]
    for saver in savers:
        assert saver.stdout is not None
        saver.stdout.readline()
    known = ",".join(map(str, sizes))
    loaders = [start(_LOADER, target, known, seconds) for _ in range(4)]
    outputs = [loader.communicate() for loader in loaders]
    errors = [err.strip().splitlines()[-1] for _, err in outputs if err.strip()]
    for saver in savers:
        if saver.poll() is not None:
            assert saver.stderr is not None
            errors.append(saver.stderr.read().strip().splitlines()[-1])
        saver.kill()
        saver.wait()
    return sum(int(out) for out, _ in outputs if out.strip()), errors


def main() -> None:
    """Run both, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources, sizes = two_models(folder)
        target = folder / "place" / "model"
        bad = kill_savers(target, sources, sizes, given.kills)
        loads, errors = crowd(target, sources, sizes, given.seconds)
        save_model(load_model(sources[0]), target)
        left = sorted(path.name for path in target.parent.iterdir())
    figures = {
        "kills": given.kills,
        "no_whole_model_after_a_kill": bad,
        "loads_beside_four_savers": loads,
        "errors": errors,
        "left_beside_the_model": [entry for entry in left if entry != "model"],
    }
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    if bad or errors or figures["left_beside_the_model"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
