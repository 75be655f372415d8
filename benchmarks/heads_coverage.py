"""How often the 95% posterior interval of a delta covers the true delta.

    python benchmarks/heads_coverage.py [--seeds 20] [--data DIR] [--out FILE]

Eight made-up cells: vectors with an isotropic or a decaying spectrum, a gold reward
that is linear in them with weights from the prior of the plain ridge, of 1 or 3 nats,
and 500 or 2,000 pairs of a Bradley-Terry annotator. Intervals are of deltas of new
pairs.

Beside them stands a pool of real answers, whose gold is not linear in MiniLM vectors.
There an interval says where the best linear reward may be, and what no linear reward
can express comes on top: with many pairs it is the larger part, and coverage falls.
"""

import argparse
import json
import warnings
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from heads_data import N_TRAIN_PROMPTS, real_pool
from scipy.special import expit

from embrm import CandidatePool, Pairs
from embrm.heads import LinearBradleyTerry

CELLS = tuple(product(("isotropic", "decaying"), (1.0, 3.0), (500, 2000)))
REAL_CELLS = tuple(product((0.5, 1.0, 3.0), (500, 1000, 2000, 4000)))
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


def annotate(pool: CandidatePool, nats: float, n_pairs: int, seed: int):
    """Label pairs of some prompts of a pool, and give pairs of the others."""
    rng = np.random.default_rng([seed, n_pairs, round(10 * nats)])
    known = np.isin(pool.prompt_ids, rng.permutation(pool.prompts)[:N_TRAIN_PROMPTS])
    ids = rng.permutation(pool.same_prompt_ids())
    of_known = known[ids[:, 0]]
    ids, new = ids[of_known][:n_pairs], ids[~of_known][:N_NEW]
    truth = pool.gold[new[:, 0]] - pool.gold[new[:, 1]]
    scale = nats / truth.std()
    delta = scale * (pool.gold[ids[:, 0]] - pool.gold[ids[:, 1]])
    y = (rng.random(len(delta)) < expit(delta)).astype(float)
    return pool.pairs(ids), y, pool.pairs(new), scale * truth


def coverage(pairs: Pairs, y, new: Pairs, delta) -> dict:
    head = LinearBradleyTerry().fit(pairs, y)
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
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/heads_coverage.json")
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = range(arguments.seeds)
    made_up = measure(CELLS, ("spectrum", "nats", "n_pairs"), simulate, seeds)
    annotated = partial(annotate, real_pool(arguments.data))
    real = measure(REAL_CELLS, ("nats", "n_pairs"), annotated, seeds)
    arguments.out.write_text(
        json.dumps({"must_be": [0.92, 0.97], "rows": made_up, "real": real}, indent=1)
    )


def measure(cells, names, make, seeds) -> list[dict]:
    """Average over seeds what comes out in each cell."""
    rows = []
    for cell in cells:
        found = [coverage(*make(*cell, seed)) for seed in seeds]
        row = dict(zip(names, cell, strict=True))
        for name in found[0]:
            row[name] = round(float(np.mean([each[name] for each in found])), 4)
        rows.append(row)
        print(row, flush=True)
    return rows


if __name__ == "__main__":
    main()
