"""A benchmark of many tasks, which goes on where it was stopped."""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from demo import describe_machine
from text_pools import CACHE


def make_parser(description: str, name: str) -> argparse.ArgumentParser:
    """Read where vectors are kept, how long to go on, and where results go."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument(
        "--out", type=Path, default=Path(f"benchmarks/results/{name}.json")
    )
    return parser


def run_tasks(
    tasks: Sequence[dict], run: Callable[[dict], dict], arguments: argparse.Namespace
) -> list[dict]:
    """Run tasks that have no row yet, until time is over; return all rows.

    A row is a task and what came of it. Rows are kept next to the results.
    """
    rows_file = arguments.out.with_suffix(".rows.jsonl")
    rows = []
    if rows_file.exists():
        rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    for wanted in tasks:
        known = any(wanted.items() <= row.items() for row in rows)
        if known or time.monotonic() - begun > 60 * arguments.minutes:
            continue
        rows.append(wanted | run(wanted))
        with rows_file.open("a") as stream:
            stream.write(json.dumps(rows[-1]) + "\n")
        print(wanted, flush=True)
    return rows


def write_summary(rows: list[dict], summary: list[dict], out: Path) -> None:
    """Write a summary with the machine's description, and print it."""
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "n_tasks": len(rows),
        "summary": summary,
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
