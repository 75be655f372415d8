"""How fast the linear head is, and how much memory it takes beyond the items.

    python benchmarks/linear_speed.py [--out benchmarks/results/linear_speed.json]

1,000,000 pairs of 100,000 float32 items in 1,024 dimensions: time with a given penalty
and with the automatic one, each in a process of its own whose peak memory is read, and
time to score all items. `heads.py speed --figures scikit-learn` compares with
scikit-learn.

Last, how far a process grows while it fits 300,000 pairs of a memory map of 300,000 x
384, none of whose pages it has read before, as a multiple of the matrix. The pages that
are read count, so that 1 is the least. `--only NAME` repeats one part and keeps others.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

FULL = {"n_pairs": 1_000_000, "n_items": 100_000, "d": 1024}
ALPHA = 100.0
MAP = {"n_pairs": 300_000, "n_items": 300_000, "d": 384}
LAYOUTS = ("float16", "float32", "float32 in Fortran order")
MOST_GROWTH = 1.5


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


def map_items(place: Path, layout: str, d: int, n_items: int, mode: str) -> np.memmap:
    """Open the matrix of this layout in a file."""
    dtype, _, fortran = layout.partition(" ")
    order = "F" if fortran else "C"
    return np.memmap(place, dtype=dtype, mode=mode, shape=(n_items, d), order=order)


def write_items(place: Path, layout: str, d: int, n_items: int, n_pairs: int) -> None:
    """Write the items, few rows at a time, and the pairs beside them."""
    rng = np.random.default_rng(0)
    items = map_items(place, layout, d, n_items, "w+")
    weights = rng.standard_normal(d) / np.sqrt(d)
    reward = np.empty(n_items)
    for start in range(0, n_items, 10_000):
        block = rng.standard_normal((min(10_000, n_items - start), d)) + 0.1
        items[start : start + len(block)] = block
        reward[start : start + len(block)] = block @ weights
    items.flush()
    first = rng.permutation(np.resize(np.arange(n_items), n_pairs))
    second = first - first % 10 + (first + rng.integers(1, 10, n_pairs)) % 10
    y = rng.random(n_pairs) < 1 / (1 + np.exp(reward[second] - reward[first]))
    np.savez(place.with_suffix(".npz"), ids=np.column_stack([first, second]), y=y)


def growth_of_a_fit(place: Path, layout: str) -> dict:
    """Fit in this process, and say how far it grew."""
    from embrm import Pairs
    from embrm.heads import LinearBradleyTerry

    small = make(2_000, 2_000, 32)
    # Imports, and the buffers that BLAS keeps from its first large product on.
    LinearBradleyTerry().fit(Pairs(*small[:3]), small[3])
    _ = small[0].T @ small[0], np.ones((512, 512)) @ np.ones((512, 512))
    stored = np.load(place.with_suffix(".npz"))
    ids, y = stored["ids"], stored["y"]
    prompts = np.arange(MAP["n_items"]) // 10
    items = map_items(place, layout, MAP["d"], MAP["n_items"], "r")
    base, begun = resident_megabytes(), time.perf_counter()
    head = LinearBradleyTerry().fit(Pairs(items, ids, prompts), y)
    seconds, grown = time.perf_counter() - begun, megabytes() - base
    return {
        "layout": layout,
        "matrix_megabytes": items.nbytes / 2**20,
        "grown_megabytes": grown,
        "grown_over_matrix": grown / (items.nbytes / 2**20),
        "must_be_below": MOST_GROWTH,
        "fit_seconds": seconds,
        "alpha": head.alpha_,
        "coef_norm": float(np.linalg.norm(head.coef_)),
    }


def of_memory_maps() -> list[dict]:
    rows = []
    for layout in LAYOUTS:
        with tempfile.TemporaryDirectory() as name:
            place = Path(name) / "items.bin"
            in_child("--write", str(place), "--layout", layout)
            rows.append(in_child("--grow", str(place), "--layout", layout))
    return rows


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
    parser.add_argument("--write", type=Path, help="write items into this file")
    parser.add_argument("--grow", type=Path, help="fit the items in this file")
    parser.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0])
    parser.add_argument("--only", choices=("memory_map",), help="repeat one part")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/linear_speed.json")
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.child:
        print(json.dumps(fit_full(arguments.child)))
        return
    if arguments.write:
        write_items(arguments.write, arguments.layout, **MAP)
        print("{}")
        return
    if arguments.grow:
        print(json.dumps(growth_of_a_fit(arguments.grow, arguments.layout)))
        return
    if arguments.only:
        kept = json.loads(arguments.out.read_text())
        kept["memory_map"] = MAP | {"fits": of_memory_maps()}
        arguments.out.write_text(json.dumps(kept, indent=2) + "\n")
        print(json.dumps(kept["memory_map"], indent=2))
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
    result["memory_map"] = MAP | {"fits": of_memory_maps()}
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
