"""How long evaluation takes, and whether its tests and intervals hold.

    python benchmarks/evaluate.py [--out benchmarks/results/evaluate.json] [--quick]

Times, each the median of three runs in one process: RM-Bench scored from 100,000
rewards; a prompt bootstrap of order consistency on 100,000 pairs, 1,000 resamples; the
report of 10,000 pairs; the comparison of ten heads on 10,000 pairs. Shares: how often
equal heads are told apart, with what was done before beside it, and how often 95%
conformal sets hold the label of a pair of a new prompt.
"""

import argparse
import json
import os
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from embrm.datasets import read_preferences
from embrm.evaluate import ConformalPairs, compare, compare_heads, prompt_bootstrap
from embrm.evaluate.suites import score_suite
from embrm.report import evaluation_report

ASKED = {
    "rm_bench_seconds": 1.0,
    "bootstrap_seconds": 2.0,
    "report_seconds": 5.0,
    "report_megabytes": 3.0,
    "compare_seconds": 10.0,
    "size_of_comparison": 0.06,
}


def timed(work, repeats: int = 3) -> dict:
    """Take the median of both clocks: with other load, the second is the fairer."""
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return {
        "seconds": statistics.median(wall),
        "cpu_seconds": statistics.median(cpu),
    }


def rm_bench(n_rewards: int = 100_000) -> dict:
    """Score as many rewards, with and without intervals."""
    rng = np.random.default_rng(0)
    n = n_rewards // 6
    domains = ["chat", "math", "code", "safety-refuse", "safety-response"]
    rows = pd.DataFrame({"id": np.arange(n), "domain": rng.choice(domains, n)})
    items = [f"{side}[{k}]" for side in ("chosen", "rejected") for k in range(3)]
    scores = pd.DataFrame(
        {
            "id": np.repeat(np.arange(n), 6),
            "item": np.tile(items, n),
            "reward": rng.normal(size=6 * n),
        }
    ).sample(frac=1, random_state=0)
    return {
        "n_rewards": len(scores),
        **timed(lambda: score_suite("rm-bench", rows, scores)),
        "with_intervals": timed(
            lambda: score_suite("rm-bench", rows, scores).intervals()
        ),
    }


def bootstrap(n_pairs: int = 100_000) -> dict:
    """Resample prompts of five pairs each."""
    rng = np.random.default_rng(0)
    right = (rng.random(n_pairs) < 0.7).astype(float)
    prompts = np.arange(n_pairs) // 5
    return {
        "n_pairs": n_pairs,
        "n_resamples": 1000,
        **timed(lambda: prompt_bootstrap(right, prompts, n_resamples=1000)),
    }


def report(n_pairs: int = 10_000) -> dict:
    """Write a page about pairs with texts of a thousand characters."""
    rng = np.random.default_rng(0)
    words = np.array(["word", "another", "- item\n", "**bold**", "So", "it", "is."])

    def text() -> str:
        return " ".join(rng.choice(words, int(rng.integers(50, 350))))

    rows = [
        {
            "prompt": f"question {n // 3}",
            "chosen": text(),
            "rejected": text(),
            "subset": f"subset {n % 8}",
        }
        for n in range(n_pairs)
    ]
    preferences = read_preferences(rows)
    reward = rng.normal(size=len(preferences.items))
    ends = preferences.pairs[["first", "second"]].to_numpy()
    delta = reward[ends[:, 0]] - reward[ends[:, 1]] + 0.7

    def page() -> str:
        return evaluation_report(preferences, delta, reward, by="subset").to_html()

    return {
        "n_pairs": len(preferences),
        "characters": int(preferences.items["response"].str.len().sum()),
        **timed(page),
        "megabytes": len(page().encode()) / 1e6,
    }


def comparison(n_heads: int = 10, n_pairs: int = 10_000) -> dict:
    """Compare heads by their deltas, with every test of the table."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=n_pairs)
    deltas = {str(n): truth + rng.normal(size=n_pairs) for n in range(n_heads)}
    groups = np.arange(n_pairs) // 3
    return {
        "n_heads": n_heads,
        "n_pairs": n_pairs,
        **timed(lambda: compare(deltas, groups=groups)),
    }


def size_of_comparison(n_sets: int, n_prompts: int = 100) -> dict:
    """Count the data sets in which equal heads are told apart."""
    shares = {}
    for n_heads in (2, 4, 6, 8, 10):
        now = before = 0
        for seed in range(n_sets):
            rng = np.random.default_rng(seed)
            prompt = 0.5 + 0.5 * np.repeat(rng.normal(size=(n_prompts, 1)), 4, axis=0)
            deltas = prompt + rng.normal(size=(4 * n_prompts, n_heads))
            table = compare_heads(
                {str(n): d for n, d in enumerate(deltas.T)},
                groups=np.repeat(np.arange(n_prompts), 4),
                n_resamples=1000,
                random_state=seed,
            )
            now += bool((~table["ties_with_best"]).any())
            # Before: an interval of the difference to the best that leaves 0 out.
            before += bool((table["difference_high"] < 0).any())
        shares[str(n_heads)] = {"now": now / n_sets, "before": before / n_sets}
    return {"n_data_sets": n_sets, "n_prompts": n_prompts, "share_flagged": shares}


def coverage(n_sets: int) -> dict:
    """Hold the label of one pair of a new prompt, in as many calibrations."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(n_sets):
        prompts = np.repeat(np.arange(101), rng.integers(1, 6, 101))
        truth = rng.normal(size=len(prompts)) * rng.gamma(2, 1, 101)[prompts]
        delta = truth + rng.normal(size=101)[prompts]
        y = (rng.random(len(truth)) < expit(truth)).astype(int)
        new = prompts == 100
        sets = ConformalPairs.fit(delta[~new], y[~new], prompts[~new])
        at = rng.integers(new.sum())
        held += bool(sets.predict(delta[new])[at, 1 - y[new][at]])
    return {"n_calibrations": n_sets, "level": 0.95, "coverage": held / n_sets}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer simulations")
    given = parser.parse_args()
    n_sets = 100 if given.quick else 1000
    load = os.getloadavg()[0]
    measured = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "load_average_before": round(load, 2),
        },
        "asked": ASKED,
        "rm_bench": rm_bench(),
        "bootstrap": bootstrap(),
        "report": report(),
        "compare": comparison(),
        "size_of_comparison": size_of_comparison(n_sets),
        "conformal": coverage(n_sets),
    }
    text = json.dumps(measured, indent=2) + "\n"
    print(text)
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text)


if __name__ == "__main__":
    main()
