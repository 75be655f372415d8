"""Seconds to propose 256 of 1,000,000 candidate pairs over 100,000 x 1,024 items.

    python benchmarks/active_speed.py [--strategies d-optimal,...]

Items are random with a decaying spectrum, float32; the head is fitted on 500 labels.
What a proposal takes is the posterior of all items and the choice of the strategy. CPU
seconds (of all threads) are what a busy machine does not inflate much: the load average
before and after, beside the number of cores, says how busy it was. Results go to
results/active_speed.json.
"""

import argparse
import json
import os
import resource
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from demo import describe_machine

from embrm import CandidatePool
from embrm.active import (
    RewardPosterior,
    draw_candidates,
    known_strategies,
    make_strategy,
)
from embrm.heads import LinearBradleyTerry
from embrm.simulate import BradleyTerryAnnotator, SamePrompt, simulate

RESULTS = Path(__file__).parent / "results" / "active_speed.json"
N_PROMPTS, K, D = 5_000, 20, 1_024


def make_pool() -> CandidatePool:
    rng = np.random.default_rng(0)
    items = rng.standard_normal((N_PROMPTS * K, D), dtype=np.float32)
    items /= np.sqrt(1 + np.arange(D, dtype=np.float32) / 16)
    gold = items @ rng.normal(size=D) / np.sqrt(D)
    return CandidatePool(items, np.repeat(np.arange(N_PROMPTS), K), gold)


def measure(names: list[str]) -> dict:
    pool = make_pool()
    labels = simulate(pool, SamePrompt(), BradleyTerryAnnotator(), 500, 0)
    head = LinearBradleyTerry(alpha=4.0).fit(labels.pairs, labels.y)
    print("fitted", flush=True)
    started = time.perf_counter()
    candidates = draw_candidates(
        pool, 1_000_000, pairing="mixed", past=labels.pairs.ids, random_state=0
    )
    drawn = time.perf_counter() - started
    started, cpu = time.perf_counter(), time.process_time()
    posterior = RewardPosterior.from_head(head, pool.items)
    made, made_cpu = time.perf_counter() - started, time.process_time() - cpu
    print("posterior", made, made_cpu, flush=True)
    seconds, cpu_seconds = {}, {}
    for name in names:
        started, cpu = time.perf_counter(), time.process_time()
        ids = make_strategy(name).propose(candidates, posterior, 256, random_state=0)
        seconds[name] = round(time.perf_counter() - started, 2)
        cpu_seconds[name] = round(time.process_time() - cpu, 2)
        print(name, seconds[name], cpu_seconds[name], len(ids), flush=True)
    return {
        "n_items": len(pool),
        "d": D,
        "n_candidates": len(candidates),
        "n_proposed": 256,
        "seconds_to_draw_candidates": round(drawn, 2),
        "seconds_of_the_posterior": round(made, 2),
        "cpu_seconds_of_the_posterior": round(made_cpu, 2),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_memory_gib": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--strategies", default=",".join(known_strategies()))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    load = [round(os.getloadavg()[0], 1)]
    result = measure(arguments.strategies.split(","))
    load.append(round(os.getloadavg()[0], 1))
    result |= {"load_average": load, "cores": os.cpu_count()}
    result |= {"machine": describe_machine(), "date": datetime.now(UTC).isoformat()}
    text = json.dumps(result, indent=1)
    print(text)
    arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
