"""One cell of a grid: simulate, fit, evaluate, store. This is what workers run."""

import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from joblib import cpu_count
from sklearn.base import clone
from threadpoolctl import ThreadpoolController

from embrm.experiment._storage import CellRecord, CellStore, PoolFiles, open_pool
from embrm.experiment.evaluator import EvaluationSettings, Evaluator
from embrm.pool import CandidatePool
from embrm.simulate.annotation import Annotator
from embrm.simulate.design import PairingDesign
from embrm.simulate.simulation import SimulatedPreferences, simulate


@dataclass(frozen=True)
class Draw:
    """Which preferences to simulate; equal where the key is.

    Attributes
    ----------
    key : str
        Digest of all the rest.
    pool : PoolFiles
    design : PairingDesign
    annotator : Annotator
        Looked up in the pool, its noise set.
    n_pairs, seed : int
    """

    key: str
    pool: PoolFiles = field(compare=False)
    design: PairingDesign = field(compare=False)
    annotator: Annotator = field(compare=False)
    n_pairs: int = field(compare=False)
    seed: int = field(compare=False)


@dataclass(frozen=True)
class Cell:
    """Everything that a worker needs: no vector is among it.

    Attributes
    ----------
    content : mapping
        Canonical form of all that decides the numbers; its digest is the key.
    draw : Draw
    head : RewardHead
        Unfitted, with its seed.
    test_pool : PoolFiles
    test_annotator : Annotator or None
        Looked up in the test pool.
    settings : EvaluationSettings
    store : str
        Directory of finished cells.
    """

    content: Mapping[str, Any]
    draw: Draw
    head: Any
    test_pool: PoolFiles
    test_annotator: Annotator | None
    settings: EvaluationSettings
    store: str


@dataclass(frozen=True)
class Failure:
    """What went wrong in a cell.

    Attributes
    ----------
    kind, message : str
        Class of the error, and the first line of its message.
    row : mapping
        What was known of the cell by then.
    """

    kind: str
    message: str
    row: Mapping[str, Any]

    @classmethod
    def of(cls, error: Exception, row: Mapping[str, Any] | None = None) -> "Failure":
        """Describe an error."""
        return cls(type(error).__name__, first_line(error), row or {})


def run_cell(cell: Cell, *, raise_errors: bool) -> CellRecord | Failure:
    """Compute a cell and store it; a failure is returned, and not stored.

    Parameters
    ----------
    cell : Cell
    raise_errors : bool
        Whether a failure is raised instead.
    """
    row: dict[str, Any] = {}
    # The numbers must not depend on what the caller's filters make of warnings.
    with one_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            seconds = _compute(cell, row)
        except Exception as error:
            if raise_errors:
                raise
            return Failure.of(error, row)
    row["warnings"] = _summary(caught)
    record = CellRecord(row, seconds)
    CellStore(cell.store).save(cell.content, record)
    return record


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread, libraries loaded inside the block included.

    Sums in another order have other last bits: so numbers do not depend on how many
    cells run beside each other. At the end everything is as it was; a library first
    loaded inside gets all processors, as it would have had.

    Examples
    --------
    >>> with one_thread():
    ...     threads = os.environ["OMP_NUM_THREADS"]
    >>> threads
    '1'
    """
    before = {name: os.environ.get(name) for name in _VARIABLES}
    n_modules = len(sys.modules)
    controller = _controller(n_modules)
    try:
        # What is loaded later reads the environment when it is.
        os.environ.update(dict.fromkeys(_VARIABLES, "1"))
        with controller.limit(limits=1):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if len(sys.modules) != n_modules and not any(before.values()):
            _release(controller)


def clear_caches() -> None:
    """Let go of the pools and preferences that this process holds for the next cell."""
    for held in (_pool, _evaluator, _preferences):
        held.cache_clear()


def first_line(error: Exception | Warning | str) -> str:
    """Take the first line of a message, of at most 300 characters."""
    return next(iter(str(error).splitlines()), "")[:300]


def _compute(cell: Cell, row: dict[str, Any]) -> dict[str, float]:
    """Fill in the row; return the seconds."""
    preferences = _preferences(cell.draw)
    row.update(preferences.summary())
    evaluator = _evaluator(cell.test_pool, cell.settings)
    start = time.perf_counter()
    head = clone(cell.head).fit(preferences.pairs, preferences.y)
    fit_seconds = time.perf_counter() - start
    metrics, score_seconds = evaluator.evaluate(
        head, cell.test_annotator, preferences.scale
    )
    row.update(metrics)
    return {"fit_seconds": fit_seconds, "score_seconds": score_seconds}


def _summary(caught: list[warnings.WarningMessage]) -> str:
    """Write each kind of warning once."""
    lines = [f"{c.category.__name__}: {first_line(c.message)}" for c in caught]
    return "; ".join(dict.fromkeys(lines))[:1000]


# Cells of one draw come one after another: its pairs and labels are simulated once.
@lru_cache(maxsize=1)
def _preferences(draw: Draw) -> SimulatedPreferences:
    return simulate(
        _pool(draw.pool), draw.design, draw.annotator, draw.n_pairs, draw.seed
    )


@lru_cache(maxsize=2)
def _pool(files: PoolFiles) -> CandidatePool:
    return open_pool(files)


@lru_cache(maxsize=1)
def _evaluator(files: PoolFiles, settings: EvaluationSettings) -> Evaluator:
    return Evaluator(_pool(files), settings)


@lru_cache(maxsize=1)
def _controller(n_modules: int) -> ThreadpoolController:
    """Find the thread pools: it takes 3 ms, and again only after an import."""
    del n_modules
    return ThreadpoolController()


def _release(known: ThreadpoolController) -> None:
    """Give the libraries that are not among the known ones all processors."""
    paths = {library.filepath for library in known.lib_controllers}
    for library in ThreadpoolController().lib_controllers:
        if library.filepath not in paths:
            library.set_num_threads(cpu_count())


_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
