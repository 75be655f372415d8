"""How fast the exact best-of-n curve is, and that shuffling finds the same curve.

    python benchmarks/best_of_n.py [--shuffles 10000]

The pool has 2,000 prompts with 500 responses each. The curve has all n from 1 to 500,
with a band from 2,000 resamples of prompts, and is computed on one core. Shuffling
puts the responses in random order and takes the best of the first n by reward, for
some n. One order serves all prompts, whose responses have none to begin with: each
prompt is then shuffled uniformly. The mean over shuffles has the interval
mean +- z s / sqrt(shuffles), with z such that all n hold together with 95%.
"""

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from demo import describe_machine
from scipy.stats import norm, rankdata
from threadpoolctl import threadpool_limits

from embrm.evaluate import best_of_n_curve, pick_quality

N_PROMPTS, N_RESPONSES = 2_000, 500
SOME_N = (1, 2, 5, 10, 30, 50, 100, 300, 500)
ROUNDS = 5
LEVEL = 0.95


def make_scores() -> tuple[np.ndarray, np.ndarray]:
    """Gold and reward, which sees gold through noise of the same size."""
    rng = np.random.default_rng(0)
    level = rng.normal(size=(N_PROMPTS, 1))
    gold = level + rng.normal(size=(N_PROMPTS, N_RESPONSES))
    return gold, gold + rng.normal(size=gold.shape)


def seconds(function, *arguments) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return times


def shuffle(gold: np.ndarray, reward: np.ndarray, n_shuffles: int) -> np.ndarray:
    """Mean gold of the best of the first n, shape (n_shuffles, len(SOME_N))."""
    rng = np.random.default_rng(1)
    ranks = rankdata(reward, axis=1, method="ordinal").astype(np.int16) - 1
    by_rank = np.take_along_axis(gold, np.argsort(reward, axis=1), axis=1)
    ranks = np.ascontiguousarray(ranks.T)
    prompts = np.arange(N_PROMPTS)
    found = np.empty((n_shuffles, len(SOME_N)))
    for row in found:
        order = rng.permutation(N_RESPONSES)
        best = np.full(N_PROMPTS, -1, dtype=np.int16)
        start = 0
        for place, n in enumerate(SOME_N):
            np.maximum(best, ranks[order[start:n]].max(axis=0), out=best)
            row[place] = by_rank[prompts, best].mean()
            start = n
    return found


def compare(exact: np.ndarray, shuffled: np.ndarray) -> list[dict]:
    """The curve beside the interval of the shuffles, n by n."""
    z = norm.isf((1 - LEVEL) / 2 / len(SOME_N))
    mean = shuffled.mean(axis=0)
    half = z * shuffled.std(axis=0, ddof=1) / np.sqrt(len(shuffled))
    # All of 500 leave no choice: the interval is a point, and rounding remains.
    slack = 1e-12
    return [
        {
            "n": n,
            "exact": exact[n - 1],
            "shuffled": mean[place],
            "low": mean[place] - half[place],
            "high": mean[place] + half[place],
            "inside": bool(abs(exact[n - 1] - mean[place]) <= half[place] + slack),
        }
        for place, n in enumerate(SOME_N)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shuffles", type=int, default=10_000)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/best_of_n.json")
    )
    arguments = parser.parse_args()
    gold, reward = make_scores()
    prompt_ids = np.repeat(np.arange(N_PROMPTS), N_RESPONSES)
    pool = gold.ravel(), reward.ravel(), prompt_ids
    one = np.random.default_rng(2).normal(size=(2, 12_600))
    with threadpool_limits(1):
        curve_seconds = seconds(best_of_n_curve, *pool)
        quality_seconds = seconds(pick_quality, *pool)
        large_seconds = seconds(best_of_n_curve, *one, np.zeros(12_600, dtype=int))
    curve = best_of_n_curve(*pool)
    start = time.perf_counter()
    shuffled = shuffle(gold, reward, arguments.shuffles)
    shuffle_seconds = time.perf_counter() - start
    rows = compare(curve.mean, shuffled)
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "n_prompts": N_PROMPTS,
        "n_responses": N_RESPONSES,
        "resamples_of_the_band": 2000,
        "threads": 1,
        "curve_seconds": {"best": min(curve_seconds), "all": curve_seconds},
        "quality_seconds": {"best": min(quality_seconds), "all": quality_seconds},
        "one_prompt_of_12600_seconds": {
            "best": min(large_seconds),
            "all": large_seconds,
        },
        "shuffles": arguments.shuffles,
        "shuffle_seconds": shuffle_seconds,
        "level_for_all_n": LEVEL,
        "all_inside": all(row["inside"] for row in rows),
        "curve": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"exact curve with bands: {min(curve_seconds):.2f} s at best, "
        f"{max(curve_seconds):.2f} s at worst of {ROUNDS}; quantile, regret and "
        f"recovery {min(quality_seconds):.2f} s; one prompt of 12,600 "
        f"{min(large_seconds):.2f} s"
    )
    print(
        f"{arguments.shuffles:,} shuffles: {shuffle_seconds:.0f} s for {len(rows)} n, "
        f"{sum(row['inside'] for row in rows)} of {len(rows)} inside the interval"
    )
    for row in rows:
        print(
            f"  n = {row['n']:3d}: exact {row['exact']:.5f}, shuffled "
            f"{row['shuffled']:.5f} [{row['low']:.5f}, {row['high']:.5f}]"
        )


if __name__ == "__main__":
    main()
