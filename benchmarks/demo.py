"""How long the demo takes, first and second run, and how long an import takes.

    python benchmarks/demo.py [--out benchmarks/results/demo.json]
    python benchmarks/demo.py --only leaderboard

The second keeps the times, which want a quiet machine, and replaces what the demo
finds; `python benchmarks/demo_picture.py` then draws it. Installation is not counted.
Each run is a process of its own in a fresh directory.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

EMBRM = [sys.executable, "-c", "from embrm.cli import main; main()"]


def timed(command: list[str]) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout


def describe_machine() -> dict:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {"cpu": cpu, "python": platform.python_version(), "os": platform.platform()}


def n_embedded(run: dict) -> int:
    return sum(done["n_embedded"] for done in run["embedded"].values())


def write_leaderboard(out: Path) -> None:
    kept = json.loads(out.read_text())
    with tempfile.TemporaryDirectory() as directory:
        _, output = timed([*EMBRM, "demo", "--out", directory, "--json"])
    kept["leaderboard"] = json.loads(output)["leaderboard"]
    kept["leaderboard_measured"] = datetime.now(UTC).isoformat(timespec="seconds")
    out.write_text(json.dumps(kept, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/demo.json")
    )
    parser.add_argument("--only", choices=["leaderboard"])
    arguments = parser.parse_args()
    if arguments.only:
        write_leaderboard(arguments.out)
        return
    imports = [timed([sys.executable, "-c", "import embrm"])[0] for _ in range(5)]
    bare = [timed([sys.executable, "-c", "pass"])[0] for _ in range(5)]
    with tempfile.TemporaryDirectory() as directory:
        command = [*EMBRM, "demo", "--out", directory, "--json"]
        first, first_output = timed(command)
        second, second_output = timed(command)
    runs = [json.loads(first_output), json.loads(second_output)]
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "import_seconds": statistics.median(imports) - statistics.median(bare),
        "first_run_seconds": first,
        "second_run_seconds": second,
        "embedded": [run["embedded"] for run in runs],
        "leaderboard": runs[0]["leaderboard"],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"import embrm: {result['import_seconds']:.2f} s over a bare interpreter")
    print(f"first run:  {first:.1f} s, {n_embedded(runs[0])} embedded")
    print(f"second run: {second:.1f} s, {n_embedded(runs[1])} embedded")


if __name__ == "__main__":
    main()
