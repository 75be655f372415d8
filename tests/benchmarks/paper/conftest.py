"""Made-up tables of which the answer is known, and a small pool."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from benchmarks.paper.levels import (
    ALL_HEADS,
    PROMPTS_ALIKE,
    STYLE_ALONE,
    WITH_STYLE,
    matched_heads,
)
from embrm import CandidatePool

NOISE, BUDGETS, SEEDS = (0.1, 0.2, 0.4), (100, 400), (0, 1, 2)
DESIGNS = ("same-prompt", "half each", "cross-prompt")
FEW_HEADS = ("linear", "logistic")


def _grid(part, heads, diversities=("all",), designs=DESIGNS[:1]):
    factors = (diversities, designs, NOISE, BUDGETS, SEEDS, heads)
    names = ("diversity", "design", "noise", "budget", "seed", "head")
    return [
        {"part": part} | dict(zip(names, levels, strict=True))
        for levels in product(*factors)
    ]


GRIDS = {
    "a": _grid("a", ALL_HEADS),
    "a-matched": _grid("a-matched", tuple(matched_heads(4))),
    "a-style": _grid("a-style", (STYLE_ALONE, WITH_STYLE)),
    "b": _grid("b", FEW_HEADS, designs=DESIGNS),
    "b-equal": _grid("b-equal", FEW_HEADS, designs=DESIGNS),
    "b-alike": _grid("b-alike", (PROMPTS_ALIKE,), designs=DESIGNS[2:]),
    "c": _grid(
        *("c", FEW_HEADS, ("similar", "random", "diverse")),
        designs=(DESIGNS[0], DESIGNS[2]),
    ),
}


@pytest.fixture
def made_up():
    """Make cells whose order consistency is 0.7 plus what a function of a row says.

    Seeds differ by a little in every cell, and by much in all cells of a seed alike.
    """

    def make(effect=lambda row: 0.0, parts=tuple(GRIDS)):
        rows = []
        for row in (row for part in parts for row in GRIDS[part]):
            seed = row["seed"]
            number = len(row["head"] + row["design"]) + int(10 * row["noise"])
            wobble = 0.0002 * (seed * (number + row["budget"]) % 7)
            value = 0.7 + 0.01 * seed + wobble + effect(row)
            crosses = row["design"] == "cross-prompt"
            rows.append(
                row
                | {
                    "error_rate": row["noise"] * (0.9 if crosses else 1.0),
                    "mean_abs_delta": (1.3 if crosses else 1.0) + 0.01 * seed,
                    "order_consistency": value,
                    "best_of_4_recovery": 2 * value - 1,
                    "error_type": "",
                    "error": "",
                }
            )
        return pd.DataFrame(rows)

    return make


@pytest.fixture(scope="session")
def pool():
    """Twenty prompts with ten responses each; gold is linear in the vectors."""
    rng = np.random.default_rng(3)
    items = rng.normal(size=(200, 4)).astype(np.float32)
    gold = items @ np.array([1.0, -1.0, 0.5, 0.0])
    return CandidatePool(items, np.repeat(np.arange(20), 10), gold=gold)
