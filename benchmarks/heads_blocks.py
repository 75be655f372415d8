"""What blocks cost and what style buys: one prior for each block, on the real pool.

    python benchmarks/heads_blocks.py [--seeds 3] [--sizes 1000,2000,4000] [--out FILE]

The linear head on MiniLM vectors, on style features, on both with a prior of each or
with one prior, on vectors with 64 random columns, and on vectors twice. The length
baseline orders by the number of characters.
"""

import argparse
import json
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from heads_data import make_task, real_pool

from embrm import Pairs
from embrm.blocks import blocks_of
from embrm.embed import StyleEncoder
from embrm.heads import LinearBradleyTerry, order_consistency

ERROR_RATES, PAIRINGS = (0.0, 0.25, 0.4), ("same", "cross")


def matrices(directory: Path) -> tuple:
    """Make the pool, and what the heads see of its items."""
    pool = real_pool(directory)
    frame = pd.read_parquet(directory / "pool_dev.parquet")
    texts = list(zip(frame["prompt"], frame["response"], strict=True))
    style = StyleEncoder().encode(texts)
    vectors = pool.items
    chance = np.random.default_rng(0).normal(size=(len(vectors), 64)).astype(np.float32)

    def joined(names, *parts):
        return np.hstack(parts), blocks_of(names, [part.shape[1] for part in parts])

    seen = {
        "vectors": (vectors, None),
        "style": (style, None),
        "both": joined(["minilm", "style"], vectors, style),
        "both, one prior": (np.hstack([vectors, style]), None),
        "vectors + chance": joined(["minilm", "chance"], vectors, chance),
        "vectors twice": joined(["one", "other"], vectors, vectors),
    }
    return pool, seen, frame["response"].str.len().to_numpy(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", default="1000,2000,4000")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/heads_blocks.json")
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    pool, seen, lengths = matrices(arguments.data)
    rows = []
    sizes = [int(n) for n in arguments.sizes.split(",")]
    for n, error, pairing in product(sizes, ERROR_RATES, PAIRINGS):
        found: dict = {name: [] for name in ["length", *seen]}
        for seed in range(arguments.seeds):
            task = make_task(pool, n, error, pairing, seed)
            first, second = task.test_ids.T

            def consistency(reward, first=first, second=second, y=task.test_y):
                return float(order_consistency(reward[first] - reward[second], y))

            found["length"].append(consistency(lengths))
            for name, (items, blocks) in seen.items():
                pairs = Pairs(items, task.pairs.ids, task.pairs.prompt_ids, blocks)
                head = LinearBradleyTerry(posterior=False).fit(pairs, task.y)
                found[name].append(consistency(head.reward(items)))
        row = {"n": n, "error": error, "pairing": pairing, "seeds": arguments.seeds}
        rows.append(row | {k: round(float(np.mean(v)), 4) for k, v in found.items()})
        print(rows[-1], flush=True)
        mean = {k: round(float(np.mean([r[k] for r in rows])), 4) for k in found}
        arguments.out.write_text(json.dumps({"mean": mean, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
