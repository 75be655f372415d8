"""How far a process grows while it fits each head, as a multiple of the item matrix.

    python benchmarks/fit_memory.py [--minutes 30] [--only NAME ...]

100,000 pairs of a float32 memory map of 100,000 x 256, none of whose pages were read
before: those that are read count, so that 1 is the least. Each head is fitted in a
process of its own, after a small fit that loads its libraries. `RewardModel` embeds the
texts of 50,000 pairs with the hashing encoder and fits the linear head; its texts are
there before, its vectors are not. Heads that are known already are left out, unless
they are named. Results go to results/fit_memory.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from linear_speed import make, map_items, megabytes, resident_megabytes, write_items

RESULTS = Path(__file__).parent / "results" / "fit_memory.json"
SIZE = {"n_pairs": 100_000, "n_items": 100_000, "d": 256}
LAYOUT, PER_PROMPT = "float32", 10
# Fits take as much memory with fewer rounds, and less time.
FEW = {
    "siamese": {"max_epochs": 2},
    "mlp": {"max_iter": 3},
    "boosted": {"max_rounds": 5},
    "boosted-xgboost": {"max_rounds": 5},
    "general": {"max_iter": 5},
    "ensemble": {"n_members": 2},
    "length-debiased": {"cv": None},
}
TEXTS = "RewardModel with the linear head"


def fit(name: str, items: np.ndarray, ids: np.ndarray, y: np.ndarray) -> None:
    """Fit a head on what it learns from."""
    from embrm import Pairs
    from embrm.heads import make_head

    head = make_head(name, random_state=0, **FEW.get(name, {}))
    n, rng = len(items), np.random.default_rng(0)
    prompts = np.arange(n) // PER_PROMPT
    pairs = Pairs(items, ids, prompts)
    if name == "length-debiased":
        head.fit(pairs, y, lengths=rng.integers(1, 500, size=n))
    elif head.learns_from == "pairs":
        head.fit(pairs, y)
    elif head.learns_from == "labels":
        head.fit(items, rng.integers(2, size=n) > 0, groups=prompts)
    elif head.learns_from == "rankings":
        head.fit(items, list(np.arange(n).reshape(-1, PER_PROMPT)))
    elif name == "multi-objective":
        head.fit(items, rng.normal(size=(n, 2)), pairs=pairs, y=y, groups=prompts)
    else:
        head.fit(items, rng.normal(size=n), groups=prompts)


def grown(name: str, place: Path) -> dict:
    """Fit in this process, and say how far it grew."""
    warnings.simplefilter("ignore")
    n, d = SIZE["n_items"], SIZE["d"]
    matrix = 4 * n * d / 2**20
    if name == TEXTS:
        from embrm import RewardModel

        rows = [
            {"prompt": f"q {k // 5}", "chosen": f"good {k}", "rejected": f"bad {k}"}
            for k in range(n // 2)
        ]
        RewardModel(f"hashing:{d}").fit(rows[:500])
        base, begun = resident_megabytes(), time.perf_counter()
        RewardModel(f"hashing:{d}").fit(rows)
    else:
        items, ids, _, y = make(2_000, 2_000, 32)
        fit(name, items, ids, y)
        stored = np.load(place.with_suffix(".npz"))
        ids, y = stored["ids"], stored["y"]
        items = map_items(place, LAYOUT, d, n, "r")
        base, begun = resident_megabytes(), time.perf_counter()
        fit(name, items, ids, y)
    seconds, more = time.perf_counter() - begun, megabytes() - base
    return {"grown_over_matrix": round(more / matrix, 2), "seconds": round(seconds, 1)}


def main() -> None:
    from embrm.heads import known_heads

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(grown(given.child[0], Path(given.child[1]))))
        return
    kept = {"size": SIZE, "heads": {}}
    if given.out.exists():
        kept = json.loads(given.out.read_text())
    until = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "items.bin"
        write_items(place, LAYOUT, **SIZE)
        for name in given.only or [*known_heads(), TEXTS]:
            known = name in kept["heads"] and not given.only
            if known or time.monotonic() > until:
                continue
            done = subprocess.run(
                [sys.executable, __file__, "--child", name, str(place)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                print(name, done.stderr[-600:])
                continue
            kept["heads"][name] = json.loads(done.stdout.splitlines()[-1])
            given.out.write_text(json.dumps(kept, indent=1) + "\n")
            print(name, kept["heads"][name], flush=True)


if __name__ == "__main__":
    main()
