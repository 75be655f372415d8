"""How often intervals of a share over few prompts hold the true share.

    python benchmarks/intervals.py [--rounds 600] [--out FILE]

Prompts differ in how often a head is right on them, by a beta distribution; each has a
number of pairs of its own. The interval is that of `prompt_bootstrap`, at 95%.
"""

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np

from embrm.evaluate import prompt_bootstrap

N_PROMPTS = (5, 8, 12, 20, 35)
TRUTHS = ((6, 4), (9, 1), (3.5, 1.5), (30, 10))
"""Parameters of the beta distribution of a prompt's share."""

SIZES = {
    "one pair": lambda _, n: np.ones(n, int),
    "4 to 9 pairs": lambda rng, n: rng.integers(4, 10, size=n),
    "20 to 199 pairs": lambda rng, n: rng.integers(20, 200, size=n),
    "geometric, mean 10": lambda rng, n: rng.geometric(0.1, size=n),
}


def coverage(n: int, sizes: str, truth: tuple, rounds: int) -> dict:
    """Draw data sets, and count those whose interval holds the truth."""
    rng = np.random.default_rng(0)
    share = truth[0] / sum(truth)
    held, width = [], []
    for seed in range(rounds):
        groups = np.repeat(np.arange(n), SIZES[sizes](rng, n))
        right = rng.random(len(groups)) < rng.beta(*truth, size=n)[groups]
        found = prompt_bootstrap(
            right.astype(float), groups, n_resamples=500, random_state=seed
        )
        held.append(found.low <= share <= found.high)
        width.append(found.high - found.low)
    return {
        "n_prompts": n,
        "pairs_of_a_prompt": sizes,
        "share": round(share, 3),
        "covered": float(np.mean(held)),
        "width": round(float(np.mean(width)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/intervals.json")
    )
    arguments = parser.parse_args()
    rows = [
        coverage(*cell, arguments.rounds) for cell in product(N_PROMPTS, SIZES, TRUTHS)
    ]
    covered = np.array([row["covered"] for row in rows])
    several = np.array([row["pairs_of_a_prompt"] != "one pair" for row in rows])
    figures = {
        "least": float(covered.min()),
        "mean": round(float(covered.mean()), 4),
        "cells from .93 to .97": int(((covered >= 0.93) & (covered <= 0.97)).sum()),
        "cells above .97": int((covered > 0.97).sum()),
        "cells above .97, several pairs of a prompt": int(
            (covered[several] > 0.97).sum()
        ),
        "cells": len(rows),
    }
    print(json.dumps(figures, indent=1))
    result = {"rounds": arguments.rounds, "figures": figures, "rows": rows}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
