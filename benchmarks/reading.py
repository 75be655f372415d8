"""How fast preference files are read, and what damaged rows lead to.

    python benchmarks/reading.py speed [--shape pairs] [--rows 1000000] [--rounds 3]
    python benchmarks/reading.py fuzz [--rows 10000] [--seed 0]

`speed` writes JSON lines (a prompt of 15 words for every second row, responses of 40
and 35 words, one column that goes along): pairs, two responses and a winner, ratings,
or messages. It reads them the quick way and, by naming a column as it is called, the
careful way; both accounts must be equal. The sides take turns in one process; beside
them stands orjson alone, which only parses. Rows a second are of the clock, and of the
process's own time, which a busy machine slows less.
`fuzz` damages rows in the schemas of published data, in one to three cells or keys, and
reads each: it must be kept or counted, or refused by a typed error with a fix.
Results go to results/reading.json.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import psutil

from embrm.datasets import known_formats, read_preferences
from embrm.exceptions import DataError, InvalidInputError

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "reading.json"
GOLDEN = HERE.parent / "tests" / "datasets" / "golden"


def write_rows(path: Path, n_rows: int, shape: str) -> None:
    """Write rows of a shape as JSON lines."""
    rng = random.Random(0)
    words = [f"word{n}" for n in range(5000)]
    prompt = ""
    with path.open("w", encoding="utf-8") as lines:
        for n in range(n_rows):
            if n % 2 == 0:
                prompt = " ".join(rng.choices(words, k=15))
            one, other = (" ".join(rng.choices(words, k=k)) for k in (40, 35))
            row = SHAPES[shape][0](prompt, one, other, rng)
            lines.write(json.dumps({**row, "source": f"source {n % 5}"}) + "\n")


def _turns(prompt: str, answer: str) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": answer},
    ]


SHAPES: dict[str, tuple[Any, str]] = {
    "pairs": (
        lambda p, a, b, _: {"prompt": p, "chosen": a, "rejected": b},
        "chosen",
    ),
    "winner": (
        lambda p, a, b, rng: {
            "prompt": p,
            "response_a": a,
            "response_b": b,
            "winner": rng.choice(("A", "B", "tie")),
        },
        "winner",
    ),
    "ratings": (
        lambda p, a, _, rng: {"prompt": p, "response": a, "score": rng.randint(1, 5)},
        "score",
    ),
    "messages": (
        lambda p, a, b, _: {"chosen": _turns(p, a), "rejected": _turns(p, b)},
        "chosen",
    ),
}
"""How a row of each shape is made, and a column of it."""


def parse_only(path: Path) -> int:
    """Parse every line, and keep nothing."""
    with path.open("rb") as lines:
        return sum(1 for line in lines if orjson.loads(line))


def speed(n_rows: int, rounds: int, shape: str) -> dict[str, Any]:
    """Time the quick and the careful way in turn."""
    name_it = {SHAPES[shape][1]: SHAPES[shape][1]}
    ways = {
        "quick": read_preferences,
        "careful": lambda path: read_preferences(path, columns=name_it),
        "orjson alone": parse_only,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    own: dict[str, list[float]] = {name: [] for name in ways}
    accounts = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, n_rows, shape)
        for _ in range(rounds):
            for name, read in ways.items():
                start, cpu = time.perf_counter(), time.process_time()
                made = read(path)
                seconds[name].append(time.perf_counter() - start)
                own[name].append(time.process_time() - cpu)
                if name != "orjson alone":
                    accounts[name] = made.read_report.to_json()
                del made
        size = path.stat().st_size
    assert accounts["quick"] == accounts["careful"], "the two accounts differ"
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {
        "rows": n_rows,
        "bytes": size,
        "seconds": seconds,
        "rows_per_second": {name: n_rows / median for name, median in medians.items()},
        "rows_per_cpu_second": {
            name: n_rows / statistics.median(taken) for name, taken in own.items()
        },
        "load_average": psutil.getloadavg()[0],
        "careful_over_quick": medians["careful"] / medians["quick"],
        "peak_memory_gb": psutil.Process().memory_info().rss / 1e9,
    }


ODD: list[Any] = [
    *(None, "", " ", "N/A", "nan", 0, 1, 2, -1, 0.5, 1.5, 10**18, True, False),
    *([], {}, [None], [[]], [{}], "[", '[{"role": "user"}]', "A>B", "\ud800"),
    [{"role": "assistant", "content": None}],
    {"text": "x"},
    "x" * 50,
]


def damaged(
    row: dict[str, Any], names: list[str], rng: random.Random
) -> dict[str, Any]:
    """Change, drop or add one to three cells."""
    made = dict(row)
    for _ in range(rng.randint(1, 3)):
        kind = rng.random()
        if kind < 0.6 and made:
            made[rng.choice(list(made))] = rng.choice(ODD)
        elif kind < 0.8 and made:
            del made[rng.choice(list(made))]
        else:
            made[rng.choice(names)] = rng.choice(ODD)
    return made


def fuzz(n_rows: int, seed: int) -> dict[str, Any]:
    """Read damaged rows one by one; anything but an account or our error is a fault."""
    cases = [
        *json.loads((GOLDEN / "schemas.json").read_text("utf-8")),
        *json.loads((GOLDEN / "published.json").read_text("utf-8")).values(),
    ]
    rows = [row for case in cases for row in case["rows"]]
    names = sorted({name for row in rows for name in row})
    formats = [*[None] * 120, *known_formats()]
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    faults = []
    for _ in range(n_rows):
        row = damaged(rng.choice(rows), names, rng)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read = read_preferences(
                    [row], format=rng.choice(formats), on_error="skip"
                )
            report = read.read_report
            assert report.n_read == report.n_kept + report.n_left_out == 1
            # Where nothing was kept, nothing was read as anything.
            assert not report.n_kept or set(report.columns) == set(row)
            outcomes["kept" if report.n_kept else "left out"] += 1
        except (DataError, InvalidInputError) as error:
            outcomes["refused" if "Fix: " in str(error) else "refused without fix"] += 1
        except Exception as error:  # noqa: BLE001
            outcomes["fault"] += 1
            faults.append(f"{type(error).__name__}: {error} for {row!r}"[:300])
    return {"rows": n_rows, "seed": seed, **outcomes, "faults": faults}


def main() -> None:
    """Run one half, and keep its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", choices=("speed", "fuzz"))
    parser.add_argument("--shape", choices=SHAPES, default="pairs")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.half == "speed":
        figures = speed(given.rows or 1_000_000, given.rounds, given.shape)
    else:
        figures = fuzz(given.rows or 10_000, given.seed)
    kept = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    is_plain = given.half == "fuzz" or given.shape == "pairs"
    name = given.half if is_plain else f"{given.half}, {given.shape}"
    RESULTS.write_text(json.dumps({**kept, name: figures}, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    if figures.get("fault") or figures.get("refused without fix"):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
