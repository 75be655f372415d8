"""How fast preferences are simulated, beside a loop over prompts.

    python benchmarks/simulate.py [--rounds 7] [--out benchmarks/results/simulate.json]

The pool has 40,000 prompts with 10 responses each. All sides draw index pairs and
labels alone: the published scripts copy the two vectors of each pair besides, which
here would only slow the loops down. Sides are timed in turn, round by round; "best"
is the best round of each, which other work on the machine disturbs least.
"""

import argparse
import json
import math
import random
import statistics
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from demo import describe_machine

from embrm import CandidatePool
from embrm.simulate import BradleyTerryAnnotator, CrossPrompt, SamePrompt, simulate

N_PROMPTS, N_RESPONSES, D = 40_000, 10, 2048
N_PAIRS = 1_000_000
BETA = 1.0


def make_pool() -> CandidatePool:
    n_items = N_PROMPTS * N_RESPONSES
    # One vector seen 400,000 times: whoever copied them would need 1.6 GB.
    items = np.broadcast_to(np.zeros(D, dtype=np.float16), (n_items, D))
    prompt_ids = np.repeat(np.arange(N_PROMPTS), N_RESPONSES)
    gold = np.random.default_rng(0).normal(size=n_items)
    return CandidatePool(items, prompt_ids, gold=gold)


def indexed(pool: CandidatePool, design, seed: int) -> int:
    return len(simulate(pool, design, BradleyTerryAnnotator(BETA), N_PAIRS, seed))


def numpy_loop(gold: np.ndarray, cross: bool, seed: int) -> int:
    """One pair for each prompt, in the style of the paper's scripts."""
    rng = np.random.RandomState(seed)
    pairs, labels = [], []
    for i in range(N_PROMPTS):
        if cross:
            j = rng.choice(N_PROMPTS - 1)
            j += j >= i
            one, other = rng.randint(N_RESPONSES), rng.randint(N_RESPONSES)
        else:
            j = i
            one, other = rng.choice(N_RESPONSES, 2, replace=False)
        delta = gold[i, one] - gold[j, other]
        labels.append(rng.rand() < 1 / (1 + np.exp(-BETA * delta)))
        pairs.append((i * N_RESPONSES + one, j * N_RESPONSES + other))
    return min(len(np.array(pairs)), len(np.array(labels)))


def plain_loop(gold: list[list[float]], cross: bool, seed: int) -> int:
    """The same without numpy, which is the fastest way to write such a loop."""
    rng = random.Random(seed)
    pairs, labels = [], []
    for i in range(N_PROMPTS):
        if cross:
            j = int(rng.random() * (N_PROMPTS - 1))
            j += j >= i
            one = int(rng.random() * N_RESPONSES)
            other = int(rng.random() * N_RESPONSES)
        else:
            j = i
            one = int(rng.random() * N_RESPONSES)
            other = int(rng.random() * (N_RESPONSES - 1))
            other += other >= one
        delta = gold[i][one] - gold[j][other]
        labels.append(rng.random() < 1 / (1 + math.exp(-BETA * delta)))
        pairs.append((i * N_RESPONSES + one, j * N_RESPONSES + other))
    return min(len(np.array(pairs)), len(np.array(labels)))


def rate(side, *arguments) -> float:
    """Pairs per second."""
    start = time.perf_counter()
    n_pairs = side(*arguments)
    return n_pairs / (time.perf_counter() - start)


def peak_bytes(pool: CandidatePool, design) -> float:
    tracemalloc.start()
    indexed(pool, design, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / N_PAIRS


def measure(pool: CandidatePool, design, n_rounds: int) -> dict:
    cross = isinstance(design, CrossPrompt)
    gold = pool.gold.reshape(N_PROMPTS, N_RESPONSES)
    as_lists = gold.tolist()
    indexed(pool, design, 0)
    rounds = [
        {
            "embrm": rate(indexed, pool, design, seed),
            "numpy_loop": rate(numpy_loop, gold, cross, seed),
            "plain_loop": rate(plain_loop, as_lists, cross, seed),
        }
        for seed in range(n_rounds)
    ]
    best = {side: max(each[side] for each in rounds) for side in rounds[0]}
    loops = ("numpy_loop", "plain_loop")
    return {
        "pairs_per_second": {
            side: {
                "best": best[side],
                "median": statistics.median(each[side] for each in rounds),
            }
            for side in best
        },
        "times": {
            loop: {
                "best": best["embrm"] / best[loop],
                "median": statistics.median(
                    each["embrm"] / each[loop] for each in rounds
                ),
            }
            for loop in loops
        },
        "peak_bytes_per_pair": peak_bytes(pool, design),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/simulate.json")
    )
    arguments = parser.parse_args()
    pool = make_pool()
    figures = {
        "same_prompt": measure(pool, SamePrompt(), arguments.rounds),
        "cross_prompt": measure(pool, CrossPrompt(), arguments.rounds),
    }
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "pairs": {
            "n_prompts": N_PROMPTS,
            "n_responses": N_RESPONSES,
            "d": D,
            "n_pairs": N_PAIRS,
            "rounds": arguments.rounds,
            **figures,
        },
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, figure in figures.items():
        print(
            f"{name}: {figure['pairs_per_second']['embrm']['best'] / 1e6:.1f} million "
            f"pairs/s, {figure['times']['numpy_loop']['best']:.0f} times a numpy loop, "
            f"{figure['times']['plain_loop']['best']:.0f} times a plain one, "
            f"{figure['peak_bytes_per_pair']:.0f} bytes a pair at most"
        )


if __name__ == "__main__":
    main()
