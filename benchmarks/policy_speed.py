"""Seconds and memory of the three things in `embrm.policy` that grow large.

    python benchmarks/policy_speed.py [--only tilt dpo mine] [--responses 1000000]

A tilt sweep of 30 etas over 10,000 prompts with 64 candidates each; DPO on 200,000
pairs of 40,000 prompts with 10 candidates in 384 dimensions; and `embrm mine`, with and
without diversity, on a file of 1,000,000 responses, in a process of its own whose
memory is that of the whole command. CPU seconds, of all threads, are what a busy
machine does not inflate. What is measured replaces its part of
results/policy_speed.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from demo import EMBRM, describe_machine

from embrm import CandidatePool, RewardModel, save_model
from embrm.policy import DirectAlignment, tilt_sweep
from embrm.report import quickstart_path
from embrm.simulate import BradleyTerryAnnotator, SamePrompt, simulate

RESULTS = Path(__file__).parent / "results" / "policy_speed.json"
WORDS = ["ice", "water", "bread", "a", "list", "of", "steps", "so", "warm", "salt"]


def timed(work: Callable[[], object]) -> dict[str, float]:
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }


def tilt() -> dict:
    rng = np.random.default_rng(0)
    reward, gold = rng.normal(size=(2, 10_000 * 64))
    prompts = np.repeat(np.arange(10_000), 64)
    etas = np.geomspace(0.05, 10, 30)
    facts = {"prompts": 10_000, "candidates": 64, "etas": len(etas)}
    return facts | timed(lambda: tilt_sweep(reward, prompts, etas, gold=gold))


def dpo() -> dict:
    rng = np.random.default_rng(0)
    items = rng.standard_normal((400_000, 384), dtype=np.float32)
    gold = items @ rng.normal(size=384) / np.sqrt(384)
    pool = CandidatePool(items, np.repeat(np.arange(40_000), 10), gold=gold)
    made = simulate(pool, SamePrompt(), BradleyTerryAnnotator(), 200_000, 0)
    align = DirectAlignment("dpo", beta=1.0)
    facts = {"pairs": 200_000, "prompts": 40_000, "candidates": 10, "d": 384}
    return facts | timed(lambda: align.fit(pool, made.pairs.ids, made.y))


def mine(n_responses: int) -> dict:
    rows = [json.loads(line) for line in quickstart_path().open()]
    facts: dict = {"responses": n_responses}
    with tempfile.TemporaryDirectory() as place:
        model, pool = Path(place, "model"), Path(place, "pool.jsonl")
        save_model(RewardModel(encoder="hashing:64", progress=False).fit(rows), model)
        rng = np.random.default_rng(0)
        with pool.open("w") as stream:
            for n in range(n_responses):
                words = " ".join(WORDS[k] for k in rng.integers(len(WORDS), size=40))
                row = {"prompt": f"question {n // 10}", "response": f"{words} {n}"}
                stream.write(json.dumps(row) + "\n")
        facts["megabytes"] = round(pool.stat().st_size / 1e6)
        for name, options in (("plain", []), ("diverse", ["--diversity", "1"])):
            out = Path(place, f"{name}.jsonl")
            command = [*EMBRM, "mine", model, pool, "--out", out, "--json", *options]
            facts[name] = watched(list(map(str, command)))
    return facts


# A child's peak is at least what its parent held when it was forked: so the parent is
# a process that holds nothing.
WATCH = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
print(json.dumps([json.loads(done.stdout)["n_written"], cpu, used.ru_maxrss]))
"""


def watched(command: list[str]) -> dict:
    """Run `embrm mine` on its own, and ask the system what it took."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *command], stdout=subprocess.PIPE, check=True
    )
    n_pairs, cpu, kibibytes = json.loads(done.stdout)
    return {
        "pairs": n_pairs,
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_megabytes": round(kibibytes * 1024 / 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=["tilt", "dpo", "mine"])
    parser.add_argument("--responses", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    kept = json.loads(given.out.read_text()) if given.out.exists() else {}
    parts = {"tilt": tilt, "dpo": dpo, "mine": lambda: mine(given.responses)}
    for name in given.only:
        kept[name] = parts[name]() | {
            "machine": describe_machine(),
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        print(name, json.dumps(kept[name]), flush=True)
        given.out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
