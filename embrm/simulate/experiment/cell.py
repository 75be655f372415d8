"""One cell of a grid: simulate, fit, examine, store. This is what workers run."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sklearn.base import clone

from embrm.pool import CandidatePool
from embrm.simulate.annotation import Annotator
from embrm.simulate.design import PairingDesign
from embrm.simulate.experiment.cell_store import CellRecord, CellStore
from embrm.simulate.experiment.exam import Exam, ExamSettings
from embrm.simulate.experiment.pool_files import PoolFiles, open_pool
from embrm.simulate.experiment.threads import one_thread
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
    settings : ExamSettings
    store : str
        Directory of finished cells.
    """

    content: Mapping[str, Any]
    draw: Draw
    head: Any
    test_pool: PoolFiles
    test_annotator: Annotator | None
    settings: ExamSettings
    store: str


@dataclass(frozen=True)
class Failure:
    """What went wrong in a cell.

    Attributes
    ----------
    kind, message : str
        Class of the error, and the first line of what it says.
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


def forget() -> None:
    """Let go of the pools and preferences that this process holds for the next cell."""
    for held in (_pool, _exam, _preferences):
        held.cache_clear()


def first_line(error: Exception | Warning | str) -> str:
    """Take the first line of a message, of at most 300 characters."""
    return next(iter(str(error).splitlines()), "")[:300]


def _compute(cell: Cell, row: dict[str, Any]) -> dict[str, float]:
    """Fill in the row; return the seconds."""
    preferences = _preferences(cell.draw)
    row.update(preferences.summary())
    exam = _exam(cell.test_pool, cell.settings)
    start = time.perf_counter()
    head = clone(cell.head).fit(preferences.pairs, preferences.y)
    fit_seconds = time.perf_counter() - start
    metrics, score_seconds = exam.examine(head, cell.test_annotator, preferences.scale)
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
def _exam(files: PoolFiles, settings: ExamSettings) -> Exam:
    return Exam(_pool(files), settings)
