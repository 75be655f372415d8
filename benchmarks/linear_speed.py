"""How fast the linear head is, and how much memory it takes beyond the items.

    python benchmarks/linear_speed.py [--out benchmarks/results/linear_speed.json]

1,000,000 pairs of 100,000 float32 items in 1,024 dimensions: time with a given penalty
and with the automatic one, each in a process of its own whose peak memory is read, and
time to score all items. `heads.py speed --figures scikit-learn` compares with
scikit-learn.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

FULL = {"n_pairs": 1_000_000, "n_items": 100_000, "d": 1024}
ALPHA = 100.0


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def make(n_pairs: int, n_items: int, d: int, decay: float = 0.5):
    """Items whose spectrum falls as a power, pairs within prompts of ten responses."""
    rng = np.random.default_rng(0)
    items = rng.standard_normal((n_items, d), dtype=np.float32)
    items *= (np.arange(1, d + 1) ** (-decay / 2)).astype(np.float32)
    weights = (rng.standard_normal(d) / np.sqrt(d)).astype(np.float32)
    reward = items @ weights
    reward /= reward.std()
    prompt = np.arange(n_items) // 10
    first = rng.integers(n_items, size=n_pairs)
    second = first - first % 10 + (first + rng.integers(1, 10, n_pairs)) % 10
    delta = reward[first] - reward[second]
    y = rng.random(n_pairs) < 1 / (1 + np.exp(-2 * delta))
    return items, np.column_stack([first, second]), prompt, y


def fit_full(alpha: str) -> dict:
    """Fit in this process; the items count, everything before them does not."""
    from embrm import Pairs
    from embrm.heads import LinearBradleyTerry

    base = resident_megabytes()
    items, ids, prompt, y = make(**FULL)
    pairs = Pairs(items, ids, prompt)
    head = LinearBradleyTerry(alpha="auto" if alpha == "auto" else float(alpha))
    begun, cpu_begun = time.perf_counter(), time.process_time()
    head.fit(pairs, y)
    seconds = time.perf_counter() - begun
    cpu_seconds = time.process_time() - cpu_begun
    peak = megabytes()
    begun = time.perf_counter()
    head.reward(items)
    return {
        "fit_seconds": seconds,
        "fit_cpu_seconds": cpu_seconds,
        "score_all_items_seconds": time.perf_counter() - begun,
        "peak_megabytes_beyond_import": peak - base,
        "items_megabytes": items.nbytes / 2**20,
        "peak_over_items": (peak - base) / (items.nbytes / 2**20),
        "alpha": head.alpha_,
        "n_iter": head.n_iter_,
    }


def in_child(*arguments: str) -> dict:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def describe_machine() -> dict:
    names = (
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    load = Path("/proc/loadavg").read_text().split()[0]
    return {
        "cpu": next(names, platform.processor()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "load_average_before": float(load),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", help="fit with this alpha and print JSON")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/linear_speed.json")
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.child:
        print(json.dumps(fit_full(arguments.child)))
        return
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "note": "fit_cpu_seconds counts all threads; on a machine with other load it "
        "is the fairer of the two clocks",
        "full_size": FULL,
        "given_alpha": in_child("--child", str(ALPHA)),
        "auto": in_child("--child", "auto"),
    }
    result["auto_over_given"] = (
        result["auto"]["fit_cpu_seconds"] / result["given_alpha"]["fit_cpu_seconds"]
    )
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
