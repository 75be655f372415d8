"""Writer processes for the crash and concurrency tests; a program, no test.

It reads one command per line and answers with one line of JSON. Children are forked,
so that one start of Python serves all trials.
"""

import json
import os
import signal
import sys
import time

import numpy as np

from embrm.embed import Fingerprint
from embrm.embed.cache import VectorCache, compact

WHO = Fingerprint({"kind": "crash"}, dim=8, dtype="float16")
BATCH = 16
SITES = ("io.open", "os.mkdir", "os.open", "os.fsync", "os.replace", "os.unlink")


def batch(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Make the rows of one append; every process makes the same."""
    rng = np.random.default_rng([seed, number])
    keys = np.frombuffer(rng.bytes(16 * BATCH), "V16")
    return keys, rng.normal(size=(BATCH, WHO.dim)).astype(WHO.dtype)


def append_for_ever(directory: str, seed: int, pipe: int) -> None:
    """Append batch after batch and acknowledge each."""
    store = VectorCache(directory).open(WHO)
    for number in range(10_000):
        store.append(*batch(seed, number))
        os.write(pipe, b".")


class KillSwitch:
    """Kills this process at its n-th disk call, before or after it, or amid a write."""

    def __init__(self, n: int, after: bool):
        self.n, self.after, self.calls = n, after, 0
        for site in SITES:
            module, _, name = site.partition(".")
            real = getattr(sys.modules[module], name)
            setattr(sys.modules[module], name, self.guard(real))

    def guard(self, real):
        """Wrap one disk call."""

        def guarded(*args, **kwargs):
            mine = self.calls == self.n
            self.calls += 1
            if mine and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return HalfWriter(result, self) if "xb" in args else result

        return guarded


class HalfWriter:
    """A file whose write is two disk calls."""

    def __init__(self, file, switch: KillSwitch):
        self.file = file
        self.write_some = switch.guard(self.write_through)

    def write_through(self, data) -> None:
        """Write so that a kill right after does not lose it."""
        self.file.write(data)
        self.file.flush()

    def write(self, data) -> None:
        """Write in two halves."""
        raw = bytes(data)
        self.write_some(raw[: len(raw) // 2])
        self.write_some(raw[len(raw) // 2 :])

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def in_child(task) -> tuple[int, int]:
    """Fork; run `task(pipe)` in the child; return its pid and the pipe to read."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    code = 1
    try:
        os.close(read)
        task(write)
        code = 0
    finally:
        os._exit(code)


def drain(read: int) -> int:
    """Count the acknowledgements left in a pipe."""
    n = 0
    while data := os.read(read, 65536):
        n += len(data)
    os.close(read)
    return n


def crash_at_random(directory: str, seed: int, milliseconds: float) -> dict:
    """Kill a writer some time after its first acknowledged append."""
    pid, read = in_child(lambda pipe: append_for_ever(directory, seed, pipe))
    acknowledged = len(os.read(read, 1))
    time.sleep(milliseconds / 1000)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return {"acknowledged": acknowledged + drain(read)}


def crash_at_call(directory: str, seed: int, n: int, after: bool, task: str) -> dict:
    """Kill an append or a compaction at one of its disk calls."""

    def work(pipe: int) -> None:
        store = VectorCache(directory).open(WHO)
        KillSwitch(n, after)
        if task == "compact":
            compact(store)
        else:
            store.append(*batch(seed, 0))
        os.write(pipe, b".")

    pid, read = in_child(work)
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    return {"acknowledged": drain(read), "killed": killed}


def write_together(directory: str, n_writers: int, n_batches: int) -> dict:
    """Let several writers append overlapping keys, each with its own vectors."""

    def work(writer: int) -> None:
        store = VectorCache(directory).open(WHO)
        for number in range(n_batches):
            keys, vectors = batch(number, 0)
            vectors[:, 0] = writer
            order = np.random.default_rng([writer, number]).permutation(BATCH)
            store.append(keys[order], vectors[order])
            if writer == 0 and number % 5 == 4:
                compact(store)

    children = [in_child(lambda pipe, w=writer: work(w)) for writer in range(n_writers)]
    codes = []
    for pid, read in children:
        drain(read)
        codes.append(os.waitpid(pid, 0)[1])
    return {"codes": codes}


def answer(value) -> None:
    """Write one line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve commands until the input ends."""
    tasks = {task.__name__: task for task in (crash_at_random, crash_at_call)}
    tasks["write_together"] = write_together
    answer("ready")
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer(tasks[name](*arguments))


if __name__ == "__main__":
    main()
