"""What the vector cache survives: kills, full disks, clocks, crowds, flipped bits.

    python benchmarks/cache_faults.py [--kills 500] [--flips 10000] [--seconds 120]
        [--dir /tmp] [--out benchmarks/results/cache_faults.json]

Vectors are small, so that the time goes into faults; about ten minutes in all. The
test suite does the same at a hundredth of the size, and is where the writer processes
(`tests/embed/cache/writers.py`) come from.
"""

import argparse
import errno
import io
import json
import os
import resource
import runpy
import signal
import tempfile
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
from demo import describe_machine

from embrm.embed.cache import VectorCache, _layout, compact, verify
from embrm.exceptions import EmbrmError

HERE = Path(__file__).parent
W = runpy.run_path(str(HERE.parent / "tests/embed/cache/writers.py"))
WHO, BATCH, make_batch = W["WHO"], W["BATCH"], W["batch"]
CODES = ("ENOSPC", "EIO", "EACCES", "EMFILE", "EROFS", "EDQUOT")
CALLS = ("mkdir", "open", "fsync", "replace", "unlink")
N_CROWD, N_BATCHES = 8, 40


def wrong_rows(directory: Path, seed: int, n_batches: int) -> dict:
    """Compare the batches that are there with what was written."""
    store = VectorCache(directory).open(WHO)
    wrong = torn = kept = 0
    for number in range(n_batches):
        keys, vectors = make_batch(seed, number)
        found = store.contains(keys)
        torn += bool(found.any()) and not found.all()
        kept += bool(found.all())
        wrong += int((store.take(keys[found]) != vectors[found]).any(axis=1).sum())
    return {"wrong": wrong, "torn": torn, "kept": kept}


def append_and_compact(directory: str, seed: int, pipe: int) -> None:
    """Append for ever, acknowledge, and compact after each fifth append."""
    store = VectorCache(directory).open(WHO)
    for number in range(10_000):
        store.append(*make_batch(seed, number))
        os.write(pipe, b".")
        if number % 5 == 4:
            compact(store)


def kills(directory: Path, n: int, start: int = 0) -> dict:
    """Kill -9 at random points of appends and compactions."""
    rng = np.random.default_rng(start)
    total = {"kills": n, "wrong_vectors": 0, "torn_batches": 0, "lost_batches": 0}
    total |= {"unreadable_stores": 0, "acknowledged_batches": 0, "slowest_reopen": 0.0}
    for trial in range(start, start + n):
        place = directory / str(trial % 10)
        task = append_and_compact if trial % 2 else W["append_for_ever"]
        pid, read = W["in_child"](lambda pipe: task(str(place), trial, pipe))  # noqa: B023
        acknowledged = len(os.read(read, 1))
        time.sleep(rng.uniform(0, 0.08))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        acknowledged += W["drain"](read)
        began = time.perf_counter()
        try:
            found = wrong_rows(place, trial, acknowledged + 2)
        except EmbrmError:
            total["unreadable_stores"] += 1
            continue
        total["slowest_reopen"] = max(
            total["slowest_reopen"], time.perf_counter() - began
        )
        total["acknowledged_batches"] += acknowledged
        total["wrong_vectors"] += found["wrong"]
        total["torn_batches"] += found["torn"]
        total["lost_batches"] += max(0, acknowledged - found["kept"])
    for place in directory.iterdir():
        total["unreadable_stores"] += not verify(VectorCache(place)).ok
    return total


class HalfWritten:
    """A file whose write is a call that may fail half-way."""

    def __init__(self, file, tick):
        self.file, self.tick = file, tick

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        raw = bytes(data)
        self.file.write(raw[: len(raw) // 2])
        self.tick("write")
        self.file.write(raw[len(raw) // 2 :])


class Failing:
    """Fails the at-th call that touches the disk, and lists the calls."""

    def __init__(self, at: int, code: int):
        self.at, self.code, self.calls = at, code, []
        self.real = {call: getattr(os, call) for call in CALLS}
        self.real_open = io.open

    def tick(self, name):
        self.calls.append(name)
        if len(self.calls) - 1 == self.at:
            raise OSError(self.code, os.strerror(self.code))

    def guard(self, name):
        def guarded(*args, **kwargs):
            self.tick(name)
            return self.real[name](*args, **kwargs)

        return guarded

    def open(self, path, mode="r", *args, **kwargs):
        if mode != "xb":
            return self.real_open(path, mode, *args, **kwargs)
        self.tick("create")
        return HalfWritten(self.real_open(path, mode, buffering=0), self.tick)

    def __enter__(self):
        for call in CALLS:
            setattr(os, call, self.guard(call))
        io.open = self.open
        return self.calls

    def __exit__(self, *_):
        for call in CALLS:
            setattr(os, call, self.real[call])
        io.open = self.real_open


def disk_faults(directory: Path) -> dict:
    """Fail every disk call of an append and of a compaction, in every way."""
    total = {
        "faults": 0,
        "unclean_errors": 0,
        "wrong_or_lost": 0,
        "not_usable_after": 0,
    }
    for task in ("first append", "append", "compact"):
        for code in CODES:
            number, n_calls = getattr(errno, code), None
            for at in range(1000):
                place = directory / f"{task} {code} {at}"
                n_before = {"first append": 0, "append": 1, "compact": 3}[task]
                store = VectorCache(place).open(WHO)
                for batch in range(n_before):
                    store.append(*make_batch(batch + 1, 0))
                work = compact if task == "compact" else None
                clean = False
                with Failing(at, number) as calls:
                    try:
                        work(store) if work else store.append(*make_batch(0, 0))
                    except EmbrmError as error:
                        clean = code in str(error)
                    except OSError:
                        pass
                n_calls = len(calls)
                if at >= n_calls:
                    break
                total["faults"] += 1
                total["unclean_errors"] += not clean
                again = [wrong_rows(place, n + 1, 1) for n in range(n_before)]
                bad = any(one["wrong"] or not one["kept"] for one in again)
                bad |= bool(wrong_rows(place, 0, 1)["torn"])
                total["wrong_or_lost"] += bad
                VectorCache(place).open(WHO).append(*make_batch(0, 0))
                after = wrong_rows(place, 0, 1)
                total["not_usable_after"] += not after["kept"] or after["wrong"] > 0
    return total


def refused_writes(directory: Path, n: int = 50) -> dict:
    """Let the system itself refuse writes, at many sizes (RLIMIT_FSIZE)."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    clean = intact = 0
    for trial in range(n):
        store = VectorCache(directory / str(trial)).open(WHO)
        store.append(*make_batch(1, 0))
        size = store.segments[0].n_bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (trial * size // n, hard))
        try:
            store.append(*make_batch(0, 0))
        except EmbrmError:
            clean += 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        found = wrong_rows(directory / str(trial), 1, 1)
        left = list((directory / str(trial)).rglob("*.tmp"))
        intact += found["kept"] == 1 and not found["wrong"] and not left
    signal.signal(signal.SIGXFSZ, before)
    return {"refused": n, "clean_errors": clean, "intact": intact}


def clocks(directory: Path, n: int = 200) -> dict:
    """Two machines, clocks up to ten years apart, append the same keys in turn."""
    rng, real = np.random.default_rng(1), _layout.datetime
    replaced = disagreeing = 0

    class Skewed:
        def __init__(self, days):
            self.days = days

        def now(self, zone):
            return real.now(zone) + timedelta(days=self.days)

    for trial in range(n):
        place = directory / str(trial)
        keys, vectors = make_batch(trial, 0)
        expected = None
        for turn in range(4):
            _layout.datetime = Skewed(float(rng.uniform(-3650, 3650)))
            mine = vectors.copy()
            mine[:, 0] = turn
            VectorCache(place).open(WHO).append(keys, mine)
            seen = VectorCache(place).open(WHO).take(keys)
            expected = seen if expected is None else expected
            replaced += not np.array_equal(seen, expected)
        _layout.datetime = real
        one = VectorCache(place).open(WHO)
        compact(one)
        disagreeing += not np.array_equal(one.take(keys), expected)
    return {
        "trials": n,
        "vectors_replaced_by_a_later_append": replaced,
        "changed_by_compaction": disagreeing,
    }


def crowd_writer(directory: Path, writer: int, until: float) -> dict:
    store, n, rng = VectorCache(directory).open(WHO), 0, np.random.default_rng(writer)
    while time.time() < until:
        keys, vectors = make_batch(int(rng.integers(N_BATCHES)), 0)
        vectors[:, 0] = writer
        order = rng.permutation(BATCH)
        store.append(keys[order], vectors[order])
        n += 1
        if writer == 0 and n % 10 == 0:
            compact(store)
    return {"appends": n}


def crowd_reader(directory: Path, reader: int, until: float) -> dict:
    store, rng = VectorCache(directory).open(WHO), np.random.default_rng(reader)
    seen = {}
    total = {"reads": 0, "torn": 0, "wrong": 0, "lost": 0, "slowest_ms": 0.0}
    while time.time() < until:
        number = int(rng.integers(N_BATCHES))
        keys, vectors = make_batch(number, 0)
        began = time.perf_counter()
        store.refresh()
        found = store.contains(keys)
        taken = store.take(keys[found])
        waited = 1e3 * (time.perf_counter() - began)
        total["slowest_ms"] = max(total["slowest_ms"], waited)
        total["reads"] += 1
        total["torn"] += bool(found.any()) and not found.all()
        total["lost"] += number in seen and not found.all()
        total["wrong"] += int((taken[:, 1:] != vectors[found, 1:]).any())
        total["wrong"] += int((~np.isin(taken[:, 0], range(N_CROWD))).any())
        if found.all():
            seen[number] = True
    return total


def crowd(directory: Path, seconds: float) -> dict:
    """Eight writers of the same keys, one of which compacts, and eight readers."""
    until = time.time() + seconds

    def work(task, number):
        def run(pipe):
            os.write(pipe, json.dumps(task(directory, number, until)).encode())

        return run

    tasks = [(task, n) for task in (crowd_writer, crowd_reader) for n in range(N_CROWD)]
    children = [(task, W["in_child"](work(task, n))) for task, n in tasks]
    answers, failures = {crowd_writer: [], crowd_reader: []}, 0
    for task, (pid, read) in children:
        with os.fdopen(read, "rb") as file:
            text = file.read()
        failures += os.waitpid(pid, 0)[1] != 0
        if text:
            answers[task].append(json.loads(text))
    cache = VectorCache(directory)
    store = cache.open(WHO)
    keys = np.concatenate([make_batch(n, 0)[0] for n in range(N_BATCHES)])
    readers = answers[crowd_reader]
    return {
        "seconds": seconds,
        "writers": N_CROWD,
        "readers": N_CROWD,
        "processes_that_failed": failures,
        "appends": sum(one["appends"] for one in answers[crowd_writer]),
        **{
            name: sum(one[name] for one in readers)
            for name in ("reads", "torn", "wrong", "lost")
        },
        "slowest_read_ms": max(one["slowest_ms"] for one in readers),
        "keys_missing_at_the_end": int((~store.contains(keys)).sum()),
        "keys_too_many_at_the_end": len(store) - len(keys),
        "all_checksums_match": verify(cache).ok,
    }


def flips(directory: Path, n: int) -> dict:
    """Flip one bit of a segment, open the store, and use every row."""
    cache = VectorCache(directory)
    parts = [make_batch(0, number) for number in range(8)]
    keys, vectors = (np.concatenate(column) for column in zip(*parts, strict=True))
    cache.open(WHO).append(keys, vectors)
    path = cache.open(WHO).segments[0].path
    data = path.read_bytes()
    n = min(n, 8 * len(data))
    rng = np.random.default_rng(0)
    detected = wrong = 0
    for bit in rng.choice(8 * len(data), n, replace=False):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            store = VectorCache(directory).open(WHO)
            found = store.contains(keys)
            wrong += int((store.take(keys[found]) != vectors[found]).any(axis=1).sum())
        detected += bool(caught) and not found.any()
        path.with_name(path.name + ".damaged").unlink(missing_ok=True)
    return {"flips": int(n), "detected": detected, "wrong_vectors": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/cache_faults.json")
    )
    arguments = parser.parse_args()
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
    }
    tasks = {
        "flipped_bits": lambda place: flips(place, arguments.flips),
        "disk_faults": disk_faults,
        "writes_refused_by_the_system": refused_writes,
        "clocks": clocks,
        "kill_9": lambda place: kills(place, arguments.kills),
        "crowd": lambda place: crowd(place, arguments.seconds),
    }
    for name, task in tasks.items():
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=arguments.dir) as place:
            result[name] = task(Path(place))
        result[name]["took_seconds"] = round(time.perf_counter() - began, 1)
        print(name, json.dumps(result[name]), flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
