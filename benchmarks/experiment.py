"""What the experiment engine costs per cell, and whether a killed run comes out alike.

    python benchmarks/experiment.py [--rounds 3] [--out FILE]

Overhead is wall time less the seconds spent in fit and in scoring, divided by cells:
calibration of annotators, storing the pools, simulation, all metrics with their
intervals, and a durable file for each cell, in a fresh directory. The head is a sum of
differences, so that there is little else. A round that nothing disturbed is the best.

A run with two workers is killed with SIGKILL five times, each time after a random
number of new cells, and started again; in the end its table is compared with that of
an undisturbed run with one worker, bit for bit.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from demo import describe_machine
from sklearn.base import BaseEstimator

from embrm import CandidatePool
from embrm.embed.cache.durable import write_durably
from embrm.experiment import SECONDS, AtErrorRate, Experiment
from embrm.heads import BaseHead
from embrm.simulate import BradleyTerryAnnotator, CrossPrompt, SamePrompt

D = 64
# Prompts to train on and to test on, responses to each: a small and a real size.
SIZES = {"small": (500, 200, 10), "real": (400, 200, 35)}
N_KILLS = 5


class SumOfDifferences(BaseHead, BaseEstimator):
    """The least that can be called a head."""

    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign

    def fit(self, pairs, y):
        net = np.zeros(len(pairs.items))
        np.add.at(net, pairs.first, self.sign * (y - 0.5))
        np.add.at(net, pairs.second, self.sign * (0.5 - y))
        self.coef_ = net @ pairs.items
        return self

    def reward(self, X):
        return X @ self.coef_


def make_pools(n_train: int, n_test: int, k: int) -> list[CandidatePool]:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=D)
    pools = []
    for first, n_prompts in ((0, n_train), (n_train, n_test)):
        items = rng.normal(size=(n_prompts * k, D)).astype(np.float32)
        gold = items @ weights + 4 * rng.normal(size=len(items))
        prompt_ids = first + np.repeat(np.arange(n_prompts), k)
        pools.append(CandidatePool(items, prompt_ids, gold=gold))
    return pools


def make_experiment(size: str, heads) -> Experiment:
    return Experiment(
        *make_pools(*SIZES[size]),
        designs=[SamePrompt(), CrossPrompt()],
        annotators=[AtErrorRate(BradleyTerryAnnotator(), r) for r in (0.1, 0.3)],
        budgets=[500, 5000],
        heads=heads,
        seeds=range(6),
    )


def overhead(size: str, n_rounds: int) -> dict:
    heads = {f"head {n}": SumOfDifferences(float(n)) for n in range(1, 6)}
    experiment = make_experiment(size, heads)
    rounds, resumes = [], []
    for _ in range(n_rounds):
        with tempfile.TemporaryDirectory() as directory:
            start = time.perf_counter()
            table = experiment.run(directory, progress=False)
            wall = time.perf_counter() - start
            assert set(table["error"]) == {""}
            spent = float(table[list(SECONDS)].sum(axis=None))
            rounds.append(1000 * (wall - spent) / len(table))
            start = time.perf_counter()
            experiment.run(directory, progress=False)
            resumes.append(time.perf_counter() - start)
    return {
        "cells": len(experiment),
        "n_test_pairs": int(table["n_test_pairs"].iloc[0]),
        "overhead_ms_per_cell": {
            "best": min(rounds),
            "median": statistics.median(rounds),
        },
        "fit_and_score_ms_per_cell": 1000 * spent / len(table),
        "seconds_to_find_all_stored": min(resumes),
    }


def durable_write_ms() -> float:
    """What the disk takes for one small file that survives a power cut."""
    with tempfile.TemporaryDirectory() as directory:
        seconds = []
        for n in range(30):
            start = time.perf_counter()
            write_durably(Path(directory) / str(n), b"x" * 4000)
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def to_be_killed() -> Experiment:
    return make_experiment("small", ["linear", "logistic"])


def n_stored(directory: Path) -> int:
    return len(list(directory.glob("cells/*.json")))


def kills(directory: Path) -> dict:
    experiment = to_be_killed()
    expected = experiment.run(progress=False).drop(columns=list(SECONDS))
    rng, killed_at = random.Random(0), []
    share = len(experiment) // (N_KILLS + 2)
    for _ in range(N_KILLS):
        wanted = n_stored(directory) + rng.randint(1, share)
        # A session of its own: the workers are killed with it.
        run = subprocess.Popen(
            [sys.executable, __file__, "--child", str(directory)],
            start_new_session=True,
        )
        while run.poll() is None and n_stored(directory) < wanted:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.05)
        assert run.poll() is None, "the run was over before it could be killed"
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        killed_at.append(n_stored(directory))
    table = experiment.run(directory, n_jobs=2, progress=False)
    table = table.drop(columns=list(SECONDS))
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    same = table.to_csv() == expected.to_csv()
    return {
        "cells": len(experiment),
        "cells_stored_at_each_kill": killed_at,
        "same_table_bit_for_bit": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/experiment.json")
    )
    arguments = parser.parse_args()
    if arguments.child:
        to_be_killed().run(arguments.child, n_jobs=2, progress=False)
        return
    with tempfile.TemporaryDirectory() as directory:
        killed = kills(Path(directory))
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "rounds": arguments.rounds,
        "durable_write_ms": durable_write_ms(),
        **{size: overhead(size, arguments.rounds) for size in SIZES},
        "killed": killed,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    for size in SIZES:
        figure = result[size]
        print(
            f"{size}: {figure['overhead_ms_per_cell']['best']:.1f} ms per cell beyond "
            f"fit and score, {figure['n_test_pairs']:,} test pairs, of which "
            f"{result['durable_write_ms']:.1f} ms for the durable file"
        )
    print(
        f"killed after {killed['cells_stored_at_each_kill']} of {killed['cells']} "
        f"cells: same table bit for bit: {killed['same_table_bit_for_bit']}"
    )


if __name__ == "__main__":
    main()
