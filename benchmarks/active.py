"""Which strategy saves how many labels, against random pairs, on three pools.

    python benchmarks/active.py [--pools real,linear,bent] [--strategies random,...]
        [--seeds 3] [--minutes 3] [--error-rates 0.25] [--pairings same]
        [--rows FILE] [--out FILE]

Pools: `real` is pool_dev (MiniLM vectors, gold of a judge), `linear` has a linear gold
in 64 dimensions, `bent` a gold that is half linear and half not in 256. Labels are a
Bradley-Terry annotator's, at the error rate on random same-prompt pairs. The head is
fitted with its defaults, from scratch, at every budget; it is evaluated on every two
responses to prompts that no label was of. Every strategy sees the same first 50 random
pairs by the same seed. A run that ends by --minutes goes on where it was stopped; after
a change to a strategy or to the head, take its rows out first.
"""

import argparse
import json
import os
import time
import warnings
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from demo import describe_machine
from heads_data import real_pool, synthetic_pool

from embrm import CandidatePool
from embrm.active import known_strategies, label_saving, simulate_loop
from embrm.heads import LinearBradleyTerry
from embrm.simulate import BradleyTerryAnnotator, SamePrompt, calibrate

BUDGETS = [50, 100, 150, 200, 300, 400, 500, 700, 1000]
KEYS = ["pool", "pairing", "error_rate", "strategy", "seed"]
TEST_PROMPTS = 150


@cache
def make_pools(name: str) -> tuple[CandidatePool, CandidatePool]:
    """Make the pool that is labelled and the one of the test prompts."""
    if name == "real":
        shared = os.environ.get("EMBRM_SHARED_DATA", "../shared/data")
        pool = real_pool(Path(shared))
    elif name == "linear":
        rng = np.random.default_rng(1)
        items = rng.normal(size=(400 * 12, 64)) / np.sqrt(1 + np.arange(64) / 4)
        prompt = np.repeat(np.arange(400), 12)
        items += rng.normal(size=(400, 64))[prompt]
        pool = CandidatePool(items, prompt, gold=items @ rng.normal(size=64))
    else:
        pool = synthetic_pool(400, 12, 256)
    prompts = np.random.default_rng(0).permutation(pool.prompts)
    test, train = prompts[:TEST_PROMPTS], prompts[TEST_PROMPTS:]
    return pool[np.sort(train)], pool[np.sort(test)]


def run_cell(pool: str, pairing: str, error_rate: float, strategy: str, seed: int):
    train, test = make_pools(pool)
    annotator = calibrate(
        BradleyTerryAnnotator(), train, SamePrompt(), error_rate, random_state=0
    )
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = simulate_loop(
            train,
            test,
            annotator,
            budgets=BUDGETS,
            head=LinearBradleyTerry(),
            strategy=strategy,
            pairing=pairing,
            n_candidates=10_000,
            random_state=seed,
        )
    curve = result.curve.drop(columns=["seconds"]).round(5)
    curve = curve.rename(columns={"error_rate": "label_errors"})
    return {
        "pool": pool,
        "pairing": pairing,
        "error_rate": error_rate,
        "strategy": strategy,
        "seed": seed,
        "curve": json.loads(curve.to_json(orient="records")),
        "seconds": round(time.perf_counter() - started, 1),
    }


def read_rows(path: Path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def flat(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: row[name] for name in KEYS} | point
        for row in rows
        for point in row["curve"]
    )


def summarise(rows: list[dict]) -> list[dict]:
    """Order consistency at 1,000 labels, and the saving, of each cell of the table."""
    table = []
    frame = flat(rows)
    for setting, part in frame.groupby(["pool", "pairing", "error_rate"], sort=False):
        base = set(part.loc[part["strategy"] == "random", "seed"])
        for strategy, mine in part.groupby("strategy", sort=False):
            seeds = base & set(mine["seed"])
            if len(seeds) < 2:
                continue  # One seed has no interval.
            paired = part[part["seed"].isin(seeds)]
            last = mine[mine["n_labels"] == BUDGETS[-1]]
            row = dict(zip(KEYS, [*setting, strategy], strict=False))
            row |= {"n_seeds": len(seeds)}
            row["order_consistency"] = round(last["order_consistency"].mean(), 4)
            row["best_of_n"] = round(last["best_of_n"].mean(), 3)
            row["label_errors"] = round(last["label_errors"].mean(), 3)
            for metric in ("order_consistency", "best_of_n"):
                for at in (500, 1000):
                    saving = label_saving(paired, strategy, at=at, metric=metric)
                    found = [saving.share, saving.low, saving.high]
                    row[f"share_at_{at}_{metric}"] = [
                        round(x, 3) if np.isfinite(x) else None for x in found
                    ]
            table.append(row)
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pools", default="real,linear,bent")
    parser.add_argument("--strategies", default=",".join(known_strategies()))
    parser.add_argument("--error-rates", default="0.25")
    parser.add_argument("--pairings", default="same")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=3.0)
    results = Path(__file__).parent / "results"
    parser.add_argument("--rows", type=Path, default=results / "active.rows.jsonl")
    parser.add_argument("--out", type=Path, default=results / "active.json")
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.minutes
    rows = read_rows(given.rows)
    done = {tuple(row[name] for name in KEYS) for row in rows}
    wanted = product(
        range(given.seeds),
        given.strategies.split(","),
        given.pools.split(","),
        given.pairings.split(","),
        map(float, given.error_rates.split(",")),
    )
    for seed, strategy, pool, pairing, rate in wanted:
        cell = (pool, pairing, rate, strategy, seed)
        if cell in done or time.monotonic() > until:
            continue
        rows.append(run_cell(*cell))
        print(*cell, rows[-1]["curve"][-1]["order_consistency"], rows[-1]["seconds"])
        with given.rows.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    table = summarise(rows)
    made = {"table": table, "machine": describe_machine()}
    made |= {"date": datetime.now(UTC).isoformat()}
    given.out.write_text(json.dumps(made, indent=1) + "\n")
    for row in table:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
