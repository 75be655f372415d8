"""How often the 95% posterior interval of a delta covers the true delta.

    python benchmarks/heads_coverage.py [--seeds 20] [--out FILE]

Eight made-up cells: vectors with an isotropic or a decaying spectrum, a gold reward
that is linear in them with weights from the prior of the plain ridge, of 1 or 3 nats,
and 500 or 2,000 pairs of a Bradley-Terry annotator. Intervals are of deltas of new
pairs.
"""

import argparse
import json
import warnings
from itertools import product
from pathlib import Path

import numpy as np
from scipy.special import expit

from embrm import Pairs
from embrm.heads import LinearBradleyTerry

CELLS = tuple(product(("isotropic", "decaying"), (1.0, 3.0), (500, 2000)))
D, N_NEW = 64, 2000


def simulate(spectrum: str, nats: float, n_pairs: int, seed: int):
    """Draw labelled pairs, and new items with the deltas of their pairs."""
    rng = np.random.default_rng([seed, n_pairs, round(nats), spectrum == "decaying"])
    spread = np.ones(D)
    if spectrum == "decaying":
        spread = 1 / np.sqrt(1.0 + np.arange(D))
    items = rng.normal(size=(2 * n_pairs + 2 * N_NEW, D)) * spread
    gold = items @ rng.normal(size=D)
    ids = np.arange(len(items)).reshape(-1, 2)
    delta = gold[::2] - gold[1::2]
    delta *= nats / delta.std()
    y = (rng.random(n_pairs) < expit(delta[:n_pairs])).astype(float)
    pairs = Pairs(items, ids, np.arange(len(items)) // 2)
    return pairs[:n_pairs], y, pairs[n_pairs:], delta[n_pairs:]


def coverage(cell, seed: int, **params) -> dict:
    pairs, y, new, delta = simulate(*cell, seed)
    head = LinearBradleyTerry(**params).fit(pairs, y)
    found, std = head.decision_function(new, return_std=True)
    error = found - delta
    return {
        "covered": float(np.mean(np.abs(error) <= 1.96 * std)),
        "std": float(std.mean()),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "reward_scale": head.reward_scale_,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/heads_coverage.json")
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for cell in CELLS:
        found = [coverage(cell, seed) for seed in range(arguments.seeds)]
        row = dict(zip(("spectrum", "nats", "n_pairs"), cell, strict=True))
        for name in found[0]:
            row[name] = round(float(np.mean([each[name] for each in found])), 4)
        rows.append(row)
        print(row, flush=True)
    arguments.out.write_text(
        json.dumps({"must_be": [0.92, 0.97], "rows": rows}, indent=1)
    )


if __name__ == "__main__":
    main()
