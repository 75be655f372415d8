"""Damage saved models, kill their savers, save and load from many processes at once.

    python benchmarks/model_faults.py [--kills 200] [--seconds 20]
    python benchmarks/model_faults.py --mutations 100000 [--minutes 60]

A model is saved over another, again and again, by a process that is killed (SIGKILL) at
a random moment; after each kill the path must hold one of the two models, whole. Then
four processes save while four load: every load must give one of them, whole. At the
end, after one more save, nothing may lie beside the model.

With `--mutations` a model of every head is changed at random so often, in turn, in half
of the cases with its checksums made right again, and loaded in a process of its own
(`model_mutations.py`). Loading may refuse, by an error of embrm, or give the model that
was saved; another one only where the checksums were made again. It goes on where it was
stopped. Results go to results/model_faults.json.
"""

import argparse
import json
import os
import random
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from counting import keep_counting
from model_mutations import save_all

from embrm.datasets import make_preferences
from embrm.model import RewardModel
from embrm.persist import load_model, save_model

RESULTS = Path(__file__).parent / "results" / "model_faults.json"
BLOCK, LONGEST = 1000, 60.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# Nothing need last; each process has a directory of its own there.
SHARED_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
FAULTS = ("deaths", "hangs", "untyped_errors", "differ_without")
NAMES = {
    "refused": "refused",
    "untyped": "untyped_errors",
    "untyped in use": "untyped_errors",
    "same": "the_same",
    "differs": "differ_without",
}
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


def lines_of(process: "subprocess.Popen[str]", seconds: float) -> Iterator[str]:
    """Read lines until the end; raise TimeoutError where none comes for so long.

    The first may take longer: all libraries are loaded before it.
    """
    assert process.stdout is not None
    pipe, rest, wait = process.stdout.fileno(), b"", 20 * seconds
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while True:
            if not ready.select(wait):
                raise TimeoutError
            wait = seconds
            read = os.read(pipe, 65_536)
            if not read:
                return
            *whole, rest = (rest + read).split(b"\n")
            yield from (line.decode() for line in whole)


def mutations(folder: Path, start: int, n: int) -> dict[str, Any]:
    """Load so many changed models; count deaths, hangs and wrong loads."""
    count: Counter[str] = Counter(trials=n, deaths=0, hangs=0, untyped_errors=0)
    count.update({"refused": 0, "the_same": 0, "differ_with_right_checksums": 0})
    count.update({"differ_without": 0})
    faults, at, begun = list[dict[str, Any]](), start, time.monotonic()
    while at < start + n:
        script = Path(__file__).with_name("model_mutations.py")
        command = [sys.executable, str(script), str(folder), str(at)]
        child = subprocess.Popen(
            [*command, str(start + n)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | ONE_THREAD,
        )
        fault = "deaths"
        with child:
            try:
                lines = lines_of(child, LONGEST)
                next(lines)  # It is ready.
                for line in lines:
                    found = json.loads(line)
                    name = NAMES[found["outcome"]]
                    if name == "differ_without" and found["remade"]:
                        name = "differ_with_right_checksums"
                    count[name] += 1
                    if name in ("untyped_errors", "differ_without"):
                        faults.append(found)
                    at = found["number"] + 1
            except TimeoutError:
                fault = "hangs"
            child.kill()
        if at < start + n:
            count[fault] += 1
            faults.append({"number": at, "outcome": fault})
            at += 1
    return {**count, "seconds": round(time.monotonic() - begun, 1), "faults": faults}


def all_mutations(out: Path, target: int, minutes: float) -> dict[str, Any]:
    """Go on until so many are counted or time is over."""
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as name:
        folder = Path(name) / "models"
        save_all(folder)
        return keep_counting(
            out,
            "mutations",
            target,
            time.monotonic() + 60 * minutes,
            lambda done: mutations(folder, done, min(BLOCK, target - done)),
        )


def main() -> None:
    """Run both, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--mutations", type=int)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.mutations:
        found = all_mutations(given.out, given.mutations, given.minutes)
        raise SystemExit(any(found[name] for name in FAULTS))
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
    kept = json.loads(given.out.read_text()) if given.out.exists() else {}
    given.out.write_text(json.dumps(kept | figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    if bad or errors or figures["left_beside_the_model"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
