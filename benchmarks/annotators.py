"""Measure what it is worth to tell Bradley-Terry heads who labelled each pair.

    python benchmarks/annotators.py [--data DIR] [--cache DIR] [--minutes M]

Labels are a Bradley-Terry annotator's, then flipped at rates of their own by each of a
panel. Every head is fitted without knowing (`noise=None`), with `noise="estimate"` and
the annotators, and with the true rates; scored by order consistency with gold on pairs
of unseen prompts, and by how far estimated rates are from the true ones. Gold is made
up, on the vectors of `text_pools.py`, or a judge's, on those of `--data`. A half-done
run goes on where it was stopped.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from choose_penalty import teacher_pool
from heads_data import make_task, real_pool
from resumable import make_parser, run_tasks, write_summary
from text_pools import GOLDS, make_pool

from embrm.heads import (
    BoostedBradleyTerry,
    LinearBradleyTerry,
    SiameseBradleyTerry,
    make_comparisons,
    order_consistency,
)

HEADS = {
    "linear": lambda **params: LinearBradleyTerry(posterior=False, **params),
    "siamese": lambda **params: SiameseBradleyTerry(random_state=0, **params),
    "siamese, robust": lambda **params: SiameseBradleyTerry(
        loss="robust", random_state=0, **params
    ),
    "boosted": lambda **params: BoostedBradleyTerry(random_state=0, **params),
}
PANELS = {
    "5, rates 0 to 0.45": lambda _: np.array([0.0, 0.05, 0.15, 0.3, 0.45]),
    "40, a third at 0.45": lambda rng: np.where(rng.random(40) < 1 / 3, 0.45, 0.02),
    "40, mean 1/6": lambda rng: 0.5 * rng.beta(1, 2, size=40),
    "400, mean 1/6": lambda rng: 0.5 * rng.beta(1, 2, size=400),
    "20, no flips": lambda _: np.zeros(20),
}
KEY = ("kind", "seed", "n", "error", "panel")


def tasks(with_data: bool) -> list[dict]:
    kinds = [("teacher", 20 + k) for k in range(5)]
    kinds += [(GOLDS[k], 500 + k) for k in range(5)]
    kinds += [("judge", k) for k in range(3)] if with_data else []
    cells = product(kinds, (2000, 10000), (0.05, 0.3), PANELS)
    found = [
        dict(zip(KEY, (*kind, n, error, panel), strict=True))
        for kind, n, error, panel in cells
    ]
    return [found[k] for k in np.random.default_rng(0).permutation(len(found))]


def run(wanted: dict, directory: Path, data: Path | None) -> dict:
    kind, seed = wanted["kind"], wanted["seed"]
    if kind == "judge":
        pool = real_pool(data)
    elif kind == "teacher":
        pool = teacher_pool(seed, directory)
    else:
        pool = make_pool(kind, seed, directory)
    task = make_task(pool, wanted["n"], wanted["error"], "same", seed)
    rng = np.random.default_rng([seed, wanted["n"], *wanted["panel"].encode()])
    rates = PANELS[wanted["panel"]](rng)
    who = rng.integers(len(rates), size=len(task.y))
    flipped = rng.random(len(who)) < rates[who]
    y = np.where(flipped, 1 - task.y, task.y)
    wins = make_comparisons(task.pairs, y, annotator=who)
    known = replace(wins, flip_rate=np.minimum(rates, 0.49)[wins.annotator])
    first, second = task.test_ids.T

    def score(head) -> float:
        reward = head.reward(pool.items)
        return float(order_consistency(reward[first] - reward[second], task.test_y))

    found = {}
    for name, make in HEADS.items():
        told = make(noise="estimate").fit(task.pairs, y, annotator=who)
        found[name] = {
            "none": score(make().fit(task.pairs, y)),
            "estimate": score(told),
            "true rates": score(make().fit_comparisons(known)),
        }
    away = told.flip_rates_ - rates[told.annotators_]
    return {"heads": found, "away": float(np.sqrt(np.mean(away**2)))}


def summarise(rows: list[dict]) -> list[dict]:
    """Paired differences to not knowing, in points of order consistency."""
    made_up = [row for row in rows if row["kind"] != "judge"]
    groups = {"made-up gold": made_up}
    groups |= {name: [r for r in made_up if r["panel"] == name] for name in PANELS}
    groups |= {f"{n} pairs": [r for r in made_up if r["n"] == n] for n in (2000, 10000)}
    groups["a judge's gold"] = [row for row in rows if row["kind"] == "judge"]
    summary = []
    for (name, members), head in product(groups.items(), HEADS):
        if not members:
            continue
        line = {"tasks": name, "n_tasks": len(members), "head": head}
        base = np.array([row["heads"][head]["none"] for row in members])
        line["none"] = round(float(base.mean()), 4)
        for way in ("estimate", "true rates"):
            gain = np.array([row["heads"][head][way] for row in members]) - base
            line[f"{way}, gain"] = round(float(gain.mean()), 4)
            error = gain.std() / np.sqrt(len(gain))
            line[f"{way}, standard error"] = round(float(error), 4)
        line["rates off by"] = round(float(np.mean([r["away"] for r in members])), 3)
        summary.append(line)
    return summary


def main() -> None:
    parser = make_parser(__doc__, "annotators")
    parser.add_argument("--data", type=Path, help="with pool_dev.parquet")
    arguments = parser.parse_args()
    rows = run_tasks(
        tasks(arguments.data is not None),
        lambda task: run(task, arguments.cache, arguments.data),
        arguments,
    )
    write_summary(rows, summarise(rows), arguments.out)


if __name__ == "__main__":
    main()
