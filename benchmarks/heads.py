"""How well and how fast heads learn, beside the published recipes.

    python benchmarks/heads.py table [--cells quick|usual|full] [--heads linear,siamese]
        [--datasets pool,synthetic] [--seeds 3] [--data DIR] [--out FILE]
    python benchmarks/heads.py penalty [--datasets pool,iso,dec,...] [--seeds 10]
        [--sizes 500,2000,10000,40000] [--pairings same,cross]
    python benchmarks/heads.py speed
        [--figures siamese,scoring,ensemble,linear,scikit-learn,siamese-small,ranker]

Both sides are fitted in one process, in turn, on the same data. `table` appends a row
for each (cell, head, seed) to FILE with the ending .rows.jsonl as soon as it is known;
run again, it goes on where it was stopped. Then it writes the summary to FILE.
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
from demo import describe_machine
from heads_data import load_pool, make_task, synthetic_pool
from heads_figures import figures, print_summary
from reference_recipes import RECIPES

from embrm.exceptions import LeftOutWarning
from embrm.heads import make_head, order_consistency

HEADS = ("linear", "siamese", "stacked", "boosted", "boosted-xgboost")
HEADS += ("logistic", "mlp", "lightgbm", "xgboost")
SIZES, ERROR_RATES, PAIRINGS = (
    (2_000, 10_000, 40_000),
    (0.0, 0.3, 0.4),
    ("same", "cross"),
)
KEY = ("dataset", "n", "error", "pairing", "head", "seed")
RESULTS = Path("benchmarks/results")


def make(name: str, seed: int):
    """Make one of our heads by word."""
    return make_head(name, random_state=seed)


def fit(name: str, task, seed: int):
    """Fit a head or a recipe; return its reward function."""
    items = task.pairs.items
    if name in RECIPES:
        return RECIPES[name](items, task.pairs.ids, task.y, seed)
    return make(name, seed).fit(task.pairs, task.y).reward


def run_cell(pool, task, name: str, seed: int) -> dict:
    start = time.perf_counter()
    reward = fit(name, task, seed)
    seconds = time.perf_counter() - start
    rows, ids = np.unique(task.test_ids, return_inverse=True)
    scores = np.asarray(reward(pool.items[rows]), dtype=np.float64)
    ids = ids.reshape(-1, 2)
    return {
        "consistency": order_consistency(
            scores[ids[:, 0]] - scores[ids[:, 1]], task.test_y
        ),
        "fit_seconds": seconds,
        "realised_error": task.error_rate,
    }


def cells(choice: str, datasets: list[str]):
    sizes = SIZES if choice == "full" else SIZES[:1]
    if "pool" in datasets:
        yield from product(["pool"], sizes, ERROR_RATES, PAIRINGS)
    if choice == "usual":
        yield from product(["pool"], SIZES[1:2], (0.0, 0.4), PAIRINGS)
    if "synthetic" in datasets:
        yield from product(["synthetic"], SIZES[-1:], ERROR_RATES, PAIRINGS)


def run_table(arguments) -> None:
    rows_file = arguments.out.with_suffix(".rows.jsonl")
    rows_file.parent.mkdir(parents=True, exist_ok=True)
    rows = read_rows(rows_file)
    done = {tuple(row[key] for key in KEY) for row in rows}
    names = [*arguments.heads, *RECIPES]
    wanted = list(cells(arguments.cells, arguments.datasets))
    warm_up(names)
    pool_of = cache(lambda dataset: load_pool(dataset, arguments.data))
    for seed, cell in product(range(arguments.seeds), wanted):
        missing = [name for name in names if (*cell, name, seed) not in done]
        if not missing:
            continue
        dataset, n, error, pairing = cell
        pool = pool_of(dataset)
        task = make_task(pool, n, error, pairing, seed)
        # A new order in every cell, so that neither side always goes first.
        for name in np.random.default_rng([seed, n]).permutation(missing):
            row = dict(zip(KEY, (*cell, str(name), seed), strict=True))
            row |= run_cell(pool, task, str(name), seed)
            rows.append(row)
            with rows_file.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            print(
                f"{dataset} n={n} error={error:.0%} {pairing} seed {seed}: "
                f"{name} {row['consistency']:.4f} in {row['fit_seconds']:.1f} s",
                flush=True,
            )
    used = [
        row
        for row in rows
        if row["head"] in names
        and row["seed"] < arguments.seeds
        and tuple(row[key] for key in KEY[:4]) in set(wanted)
    ]
    write(arguments.out, {"figures": figures(used), "rows": used})
    print_summary(used)


def warm_up(names) -> None:
    """Import and start every library once, outside the measured seconds."""
    tiny = make_task(synthetic_pool(500, 4, 8), 100, 0.3, "same", 0)
    for name in names:
        fit(name, tiny, 0)


def read_rows(path: Path) -> list[dict]:
    """Read what an earlier run wrote; a line cut short by a kill is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"left out a damaged row of {path}")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def write(path: Path, result: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    described = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine()
        | {
            "cores": os.cpu_count(),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        },
    }
    path.write_text(json.dumps(described | result, indent=1) + "\n")


def run_speed(arguments) -> None:
    from heads_speed import FIGURES

    rows = []
    warm_up([*HEADS, *RECIPES])
    for name in arguments.figures:
        for row in FIGURES[name](make, HEADS):
            rows.append({"figure": name, **row})
            print(json.dumps(rows[-1]), flush=True)
            write(arguments.out, {"rows": rows})


def run_penalty(arguments) -> None:
    """Compare the automatic penalty with thirty fixed ones."""
    import heads_penalty

    rows, earlier, summary = [], [], {}
    if arguments.out.exists():
        earlier = json.loads(arguments.out.read_text())["cells"]
    sizes = [int(n) for n in arguments.sizes]
    for row in heads_penalty.run(
        arguments.datasets, sizes, arguments.pairings, arguments.seeds, arguments.data
    ):
        rows.append(row)
        summary = heads_penalty.summarise(rows, earlier)
        write(arguments.out, summary)
    print(json.dumps(summary["figures"], indent=1))


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    table = commands.add_parser("table", help="order consistency and fit seconds")
    table.add_argument("--cells", choices=["quick", "usual", "full"], default="quick")
    table.add_argument("--heads", type=words, default=list(HEADS))
    table.add_argument("--datasets", type=words, default=["pool"])
    table.add_argument("--seeds", type=int, default=3)
    table.add_argument("--data", type=Path, default=Path("../shared/data"))
    table.add_argument("--out", type=Path, default=RESULTS / "heads.json")
    table.set_defaults(run=run_table)
    penalty = commands.add_parser(
        "penalty", help="alpha='auto' against fixed penalties"
    )
    made_up = "pool,iso,dec,steep,pc,bent"
    penalty.add_argument("--datasets", type=words, default=words(made_up))
    penalty.add_argument("--sizes", type=words, default=words("500,2000,10000,40000"))
    penalty.add_argument("--pairings", type=words, default=list(PAIRINGS))
    penalty.add_argument("--seeds", type=int, default=10)
    penalty.add_argument("--data", type=Path, default=Path("../shared/data"))
    penalty.add_argument("--out", type=Path, default=RESULTS / "heads_penalty.json")
    penalty.set_defaults(run=run_penalty)
    speed = commands.add_parser("speed", help="seconds, peak memory, scoring")
    speed.add_argument(
        "--figures", type=words, default=["siamese", "scoring", "ensemble", "linear"]
    )
    speed.add_argument("--out", type=Path, default=RESULTS / "heads_speed.json")
    speed.set_defaults(run=run_speed)
    arguments = parser.parse_args()
    # Equal vectors of different texts are in the data, and told once is enough.
    warnings.filterwarnings("ignore", category=LeftOutWarning)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
