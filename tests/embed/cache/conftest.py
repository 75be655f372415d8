"""Fixtures of the cache's tests: a fingerprint, rows, a store."""

import json
import os
import runpy
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import embrm
from embrm.embed import Fingerprint
from embrm.embed.cache import VectorCache, VectorStore

WRITERS = Path(__file__).with_name("writers.py")
Rows = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def fingerprint() -> Fingerprint:
    """An encoder of four float16 numbers."""
    return Fingerprint({"kind": "fake", "seed": 0}, dim=4, dtype="float16")


@pytest.fixture
def rows(fingerprint) -> Rows:
    """Makes n rows: random keys and vectors, decided by the seed."""

    def make(n=5, seed=0, who=fingerprint):
        rng = np.random.default_rng(seed)
        keys = (
            np.frombuffer(rng.bytes(16 * n), dtype="V16") if n else np.empty(0, "V16")
        )
        return keys, rng.normal(size=(n, who.dim)).astype(who.dtype)

    return make


@pytest.fixture
def cache(tmp_path) -> VectorCache:
    """An empty cache."""
    return VectorCache(tmp_path / "cache")


@pytest.fixture
def store(cache, fingerprint) -> VectorStore:
    """An empty store."""
    return cache.open(fingerprint)


@pytest.fixture
def damage() -> Callable[..., None]:
    """Flips one bit of a file."""

    def flip(path, bit=4000):
        data = bytearray(path.read_bytes())
        data[bit // 8 % len(data)] ^= 1 << bit % 8
        path.write_bytes(bytes(data))

    return flip


@pytest.fixture
def damage_rows(damage) -> Callable[..., None]:
    """Flips one bit of a segment's first vector, which opening does not look at."""

    def flip(segment):
        at = segment.path.read_bytes().index(segment.vectors.tobytes())
        damage(segment.path, 8 * at)

    return flip


class Writers:
    """The program writers.py, running; see there."""

    def __init__(self):
        self.module = runpy.run_path(str(WRITERS))
        root = Path(embrm.__file__).parents[1]
        self._process = subprocess.Popen(
            [sys.executable, str(WRITERS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A process with threads cannot be forked safely.
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
            | {"OPENBLAS_NUM_THREADS": "1"},
        )
        self.answer()

    def start(self, name, *arguments):
        """Give a command and do not wait."""
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self):
        """Wait for the answer."""
        return json.loads(self._process.stdout.readline())

    def has_answer(self):
        """Say whether the answer is there."""
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def run(self, name, *arguments):
        """Give a command and wait for the answer."""
        self.start(name, *arguments)
        return self.answer()

    def close(self):
        """End the program."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def writers():
    """Writer processes that can be killed."""
    program = Writers()
    yield program
    program.close()
