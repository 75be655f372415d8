"""Kill whatever writes: the cache, a save, a score, an experiment, at random moments.

    python benchmarks/kills.py [--kills 5000] [--minutes 60] [--only ROOM ...]

A quarter of the kills (SIGKILL) each:

- `cache`: appends and compactions; every acknowledged batch must be there, whole.
- `save`: two models are saved over each other; the path must hold one of them, whole.
- `score`: `embrm score` writes over a file, every other time over its own input; the
  file must be the old one or the new one, byte for byte.
- `experiment`: a grid is killed again and again until it is done; its table must be
  that of a run that nothing disturbed, bit for bit.

After the last kill of a block each file is written once more, undisturbed, and nothing
may lie beside it. Children are forked, so that one start of Python serves all. It goes
on where it was stopped; results go to results/kills.json.
"""

import argparse
import contextlib
import io
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import cache_faults
import numpy as np
import pandas as pd
from counting import keep_counting
from model_faults import two_models

from embrm import CandidatePool
from embrm.cli import main as command_line
from embrm.experiment import SECONDS, Experiment
from embrm.persist import load_model, save_model
from embrm.simulate import BradleyTerryAnnotator, CrossPrompt, SamePrompt

RESULTS = Path(__file__).parent / "results" / "kills.json"
BLOCK, KILLS_OF_A_GRID = 50, 10


def forked(task: Callable[[], object]) -> int:
    """Run a task in a child, whose output nobody sees; return its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        task()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        os._exit(code)


def seconds_of(task: Callable[[], object]) -> float:
    """Measure an undisturbed run."""
    begun = time.monotonic()
    _, status = os.waitpid(forked(task), 0)
    assert status == 0, f"an undisturbed run ended with {status}"
    return time.monotonic() - begun


def killed(task: Callable[[], object], after: float) -> bool:
    """Kill a task after so many seconds; False if it was over by then."""
    pid = forked(task)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def cache(folder: Path, start: int, n: int) -> dict[str, Any]:
    found = cache_faults.kills(folder, n, start)
    wrong = ("lost_batches", "torn_batches", "wrong_vectors", "unreadable_stores")
    return {"trials": n, "wrong": sum(found[name] for name in wrong)}


def save(folder: Path, start: int, n: int) -> dict[str, Any]:
    rng = random.Random(start)
    paths, sizes = two_models(folder)
    models, target = [load_model(path) for path in paths], folder / "place" / "model"
    save_model(models[0], target)

    def for_ever() -> None:
        while True:
            for model in models:
                save_model(model, target)

    wrong = list[str]()
    for _ in range(n):
        assert killed(for_ever, rng.uniform(0.0, 0.03))
        try:
            assert load_model(target).training_["n_pairs"] in sizes
        except Exception as error:  # noqa: BLE001
            wrong.append(f"{type(error).__name__}: {error}")
    save_model(models[1], target)
    left = [path.name for path in target.parent.iterdir() if path != target]
    return {"trials": n, "wrong": len(wrong), "left_behind": len(left), "faults": wrong}


def score(folder: Path, start: int, n: int) -> dict[str, Any]:
    rng = random.Random(start)
    model, _ = two_models(folder)
    place = folder / "place"
    place.mkdir()
    rows = [{"prompt": f"p {k % 50}", "response": f"good {k}"} for k in range(400)]
    old = "".join(json.dumps(row) + "\n" for row in rows).encode()
    items, out = place / "items.jsonl", place / "out.jsonl"

    def run(source: Path, to: Path) -> None:
        sys.argv = ["embrm", "score", str(model[0]), str(source), "--out", str(to)]
        command_line()

    items.write_bytes(old)
    # Once here: children inherit what it imports, so that kills fall into the work.
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        run(items, out)
    usual = seconds_of(lambda: run(items, out))
    new = out.read_bytes()
    wrong, n_killed = list[str](), 0
    while n_killed < n:
        same = n_killed % 2 == 1
        items.write_bytes(old)
        out.write_bytes(b"what was there\n")
        target = items if same else out
        before = target.read_bytes()
        n_killed += killed(lambda to=target: run(items, to), rng.uniform(0, usual))
        if target.read_bytes() not in (before, new):
            wrong.append(f"{target.name}: {len(target.read_bytes())} bytes")
    items.write_bytes(old)
    for target in (out, items):
        seconds_of(lambda to=target: run(items, to))
    left = {path.name for path in place.iterdir()} - {items.name, out.name}
    return {"trials": n, "wrong": len(wrong), "left_behind": len(left), "faults": wrong}


def experiment(folder: Path, start: int, n: int) -> dict[str, Any]:
    rng, seed = random.Random(start), np.random.default_rng(0)
    items = seed.normal(size=(240, 6)).astype(np.float32)
    prompts, gold = np.repeat(np.arange(60), 4), items @ seed.normal(size=6)
    half = prompts < 40
    pools = [CandidatePool(items[k], prompts[k], gold=gold[k]) for k in (half, ~half)]
    grid = Experiment(
        *pools,
        designs=[SamePrompt(), CrossPrompt()],
        annotators=[BradleyTerryAnnotator()],
        budgets=[60, 120],
        heads=["linear"],
        seeds=range(2),
    )
    wanted = grid.run(progress=False).drop(columns=list(SECONDS))
    begun = time.monotonic()
    seconds_of(lambda: grid.run(folder / "alone", progress=False))
    usual, wrong, n_killed = time.monotonic() - begun, list[str](), 0
    while n_killed < n:
        place = folder / f"grid {n_killed}"
        here = 0
        while here < min(KILLS_OF_A_GRID, n - n_killed):
            after = rng.uniform(0, 1.5 * usual / KILLS_OF_A_GRID)
            if not killed(lambda to=place: grid.run(to, progress=False), after):
                break
            here += 1
        n_killed += here
        try:
            table = grid.run(place, progress=False).drop(columns=list(SECONDS))
            pd.testing.assert_frame_equal(table, wanted, check_exact=True)
        except Exception as error:  # noqa: BLE001
            wrong.append(f"{type(error).__name__}: {error}"[:300])
    left = [path for path in folder.rglob("*.tmp") if path.is_file()]
    return {"trials": n, "wrong": len(wrong), "left_behind": len(left), "faults": wrong}


ROOMS = {"cache": cache, "save": save, "score": score, "experiment": experiment}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", nargs="+", choices=ROOMS, default=list(ROOMS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    begun, bad = time.monotonic(), 0
    share, target = given.minutes / len(given.only), given.kills // len(ROOMS)
    for turn, room in enumerate(given.only, 1):

        def block(done: int, room: str = room) -> dict[str, Any]:
            with tempfile.TemporaryDirectory() as name:
                return ROOMS[room](Path(name), done, min(BLOCK, target - done))

        until = begun + 60 * turn * share
        total = keep_counting(given.out, room, target, until, block)
        bad += total.get("wrong", 0) + total.get("left_behind", 0)
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
