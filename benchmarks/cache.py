"""The vector cache at size: open, find what is missing, read through, take at random.

    python benchmarks/cache.py [--rows 1400000] [--dim 2048] [--dir /tmp]
        [--out benchmarks/results/cache.json]

Fills a store and, beside it, one raw .npy file with the same vectors (together about
11.5 GB at full size; both are deleted at the end). Everything is measured in one fresh
process, with the files in the page cache; reads of the two sides take turns.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from demo import describe_machine

from embrm.embed import Fingerprint
from embrm.embed.cache import VectorCache

SEGMENT_ROWS, CHUNK_ROWS = 16_384, 8_192
N_ASKED, N_TAKEN = 1_000_000, 10_000
REPEATS, TAKES = 3, 20
LIMITS = {
    "open_seconds": 2.0,
    "missing_seconds": 2.0,
    "sequential_share_of_raw": 0.6,
    "take_seconds": 0.3,
}


def fingerprint(dim: int) -> Fingerprint:
    return Fingerprint({"kind": "benchmark"}, dim=dim, dtype="float16")


def make_keys(n: int, seed: int = 0) -> np.ndarray:
    return np.frombuffer(np.random.default_rng(seed).bytes(16 * n), "V16")


def fill(directory: Path, rows: int, dim: int) -> dict:
    """Append random vectors as segments, and write the same as one raw file."""
    keys, rng = make_keys(rows), np.random.default_rng(1)
    store = VectorCache(directory / "cache").open(fingerprint(dim))
    seconds = 0.0
    with (directory / "raw.npy").open("wb") as raw:
        header = {"descr": "<f2", "fortran_order": False, "shape": (rows, dim)}
        np.lib.format.write_array_header_1_0(raw, header)
        for start in range(0, rows, SEGMENT_ROWS):
            n = min(SEGMENT_ROWS, rows - start)
            # Any bits but those of the exponent's top: finite numbers.
            bits = np.frombuffer(rng.bytes(2 * n * dim), "u2") & np.uint16(0xBFFF)
            vectors = bits.view("f2").reshape(n, dim)
            began = time.perf_counter()
            store.append(keys[start : start + n], vectors)
            seconds += time.perf_counter() - began
            raw.write(vectors)
    n_bytes = sum(segment.n_bytes for segment in store.segments)
    return {
        "n_segments": len(store.segments),
        "n_bytes": n_bytes,
        "append_mb_per_second": n_bytes / 1e6 / seconds,
    }


def memory() -> dict:
    """Resident megabytes of this process: its own, and of mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {
        name: int(fields[field].split()[0]) / 1e3
        for name, field in {"own_mb": "RssAnon", "mapped_mb": "RssFile"}.items()
    }


def timed(task) -> tuple[float, object]:
    began = time.perf_counter()
    result = task()
    return time.perf_counter() - began, result


def warm(directory: Path) -> None:
    """Read all files once, so that the page cache holds them."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(2**24):
                    pass


def sequential(store, keys: np.ndarray, raw: np.ndarray) -> dict:
    """Copy every vector once, chunk by chunk; the two sides take turns."""
    buffer = np.empty((CHUNK_ROWS, store.dim), store.dtype)

    def pass_through(read) -> float:
        began = time.perf_counter()
        for start in range(0, len(keys), CHUNK_ROWS):
            chunk = read(start, start + CHUNK_ROWS)
            np.copyto(buffer[: len(chunk)], chunk)
        return raw.nbytes / 1e9 / (time.perf_counter() - began)

    sides = {"cache": [], "raw": []}
    for _ in range(REPEATS + 1):
        sides["raw"].append(pass_through(lambda a, b: raw[a:b]))
        sides["cache"].append(pass_through(lambda a, b: store.take(keys[a:b])))
    # The first pass of each side maps the pages.
    rates = {side: statistics.median(found[1:]) for side, found in sides.items()}
    return {
        "sequential_gb_per_second": rates,
        "sequential_share_of_raw": rates["cache"] / rates["raw"],
    }


def measure(directory: Path, rows: int, dim: int) -> dict:
    who, keys = fingerprint(dim), make_keys(rows)
    rng = np.random.default_rng(2)
    half = min(N_ASKED // 2, rows)
    asked = np.concatenate(
        [keys[rng.permutation(rows)[:half]], make_keys(N_ASKED - half, seed=3)]
    )
    asked = asked[rng.permutation(len(asked))]
    warm(directory)
    before = memory()

    def open_store():
        store = VectorCache(directory / "cache").open(who)
        return store, len(store)

    open_seconds, (store, n_keys) = timed(open_store)
    assert n_keys == rows
    after = memory()
    missing, found = timed(lambda: store.contains(asked, check=False))
    assert found.sum() == half
    first_use, found = timed(lambda: store.contains(asked))
    again, found = timed(lambda: store.contains(asked))
    assert found.sum() == half
    raw = np.load(directory / "raw.npy", mmap_mode="r")
    result = {
        "open_seconds": open_seconds,
        "open_memory_mb": {name: after[name] - before[name] for name in after},
        "missing_seconds": missing,
        "missing_and_digests_at_first_use_seconds": first_use,
        "missing_after_first_use_seconds": again,
        **sequential(store, keys, raw),
    }
    takes = []
    for _ in range(TAKES):
        chosen = rng.choice(rows, min(N_TAKEN, rows), replace=False)
        seconds, vectors = timed(lambda chosen=chosen: store.take(keys[chosen]))
        takes.append(seconds)
    assert (vectors.view("u2") == raw[chosen].view("u2")).all()
    result["take_seconds"] = statistics.median(takes)
    result["take_seconds_slowest"] = max(takes)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {**result, "peak_memory_with_mapped_files_mb": peak}


def verdicts(result: dict) -> dict:
    return {
        name: result[name] >= limit if "share" in name else result[name] < limit
        for name, limit in LIMITS.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_400_000)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/cache.json")
    )
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = ["--rows", str(arguments.rows), "--dim", str(arguments.dim)]
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.rows, arguments.dim)))
        return
    needed = 2.2 * 2 * arguments.rows * arguments.dim
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        if shutil.disk_usage(name).free < needed:
            parser.error(f"{needed / 1e9:.0f} GB of free space are needed in {name}")
        filled = fill(Path(name), arguments.rows, arguments.dim)
        command = [sys.executable, __file__, *size, "--measure", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured = json.loads(done.stdout)
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "rows": arguments.rows,
        "dim": arguments.dim,
        **filled,
        **measured,
        "limits": LIMITS,
        "met": verdicts(measured),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
