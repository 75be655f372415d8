"""cell: what a worker does, in one thread, and what it sends back."""

import json
import os
import subprocess
import sys
import warnings

import pytest
from joblib import cpu_count
from threadpoolctl import threadpool_info

from embrm.experiment import _cell as module
from embrm.experiment._cell import (
    Cell,
    Draw,
    Failure,
    clear_caches,
    one_thread,
    run_cell,
)
from embrm.experiment._storage import CellRecord, CellStore, pool_digest, write_pool
from embrm.experiment.evaluator import EvaluationSettings
from embrm.experiment.factors import digest_of
from embrm.heads import LinearBradleyTerry
from embrm.simulate import BradleyTerryAnnotator, SamePrompt


class Noisy(LinearBradleyTerry):
    """A head that warns."""

    def fit(self, pairs, y=None, **options):
        for _ in range(3):
            warnings.warn("not again\nsecond line", RuntimeWarning, stacklevel=1)
        return super().fit(pairs, y, **options)


class Failing(LinearBradleyTerry):
    """A head that cannot be fitted."""

    def fit(self, pairs, y=None, **options):
        raise ZeroDivisionError("by nothing\nat all")


@pytest.fixture
def make_cell(train, test, tmp_path):
    """Make a cell from a head and changes of its draw."""
    clear_caches()
    pools = [write_pool(p, pool_digest(p), tmp_path / "pools") for p in (train, test)]
    store = CellStore.create(tmp_path / "cells").directory
    annotator = BradleyTerryAnnotator()

    def make(head, n_pairs=40):
        draw = Draw(str(n_pairs), pools[0], SamePrompt(), annotator, n_pairs, 0)
        settings = EvaluationSettings((2,), 0.95, 50)
        content = {"head": repr(head), "n_pairs": n_pairs}
        return Cell(content, draw, head, pools[1], annotator, settings, store)

    yield make
    clear_caches()


def test_a_finished_cell_is_stored(make_cell):
    """What is returned is what a later run reads."""
    cell = make_cell(LinearBradleyTerry(alpha=1.0))
    record = run_cell(cell, raise_errors=False)
    assert isinstance(record, CellRecord)
    assert CellStore(cell.store).load(digest_of(cell.content)) == record


def test_the_head_that_is_handed_over_stays_unfitted(make_cell):
    """A clone is fitted."""
    head = LinearBradleyTerry(alpha=1.0)
    run_cell(make_cell(head), raise_errors=False)
    assert not hasattr(head, "coef_")


def test_heads_of_one_draw_share_what_is_simulated(make_cell, monkeypatch):
    """It is simulated once, as long as its cells come one after another."""
    calls = []
    original = module.simulate

    def counted(*arguments):
        calls.append(arguments[3])
        return original(*arguments)

    monkeypatch.setattr(module, "simulate", counted)
    for n_pairs in (40, 40, 50):
        run_cell(make_cell(LinearBradleyTerry(alpha=1.0), n_pairs), raise_errors=False)
    assert calls == [40, 50]


def test_warnings_are_in_the_row(make_cell):
    """Each once, by its first line, whatever the filters make of it."""
    record = run_cell(make_cell(Noisy(alpha=1.0)), raise_errors=False)
    assert record.row["warnings"] == "RuntimeWarning: not again"


def test_a_failure_says_what_was_known_by_then(make_cell):
    """The pairs were drawn; nothing is stored."""
    cell = make_cell(Failing())
    failure = run_cell(cell, raise_errors=False)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.message) == ("ZeroDivisionError", "by nothing")
    assert failure.row["n_pairs"] == 40
    assert CellStore(cell.store).load(digest_of(cell.content)) is None


def test_a_failure_is_raised_on_demand(make_cell):
    """As it is."""
    with pytest.raises(ZeroDivisionError, match="by nothing"):
        run_cell(make_cell(Failing()), raise_errors=True)


def test_caches_can_be_cleared(make_cell):
    """Nothing is held between runs."""
    run_cell(make_cell(LinearBradleyTerry(alpha=1.0)), raise_errors=False)
    clear_caches()
    assert module._pool.cache_info().currsize == 0


def test_every_library_has_one_thread_inside():
    """BLAS and OpenMP alike."""
    with one_thread():
        threads = {library["num_threads"] for library in threadpool_info()}
    assert threads == {1}


def _fail_in_one_thread():
    with one_thread():
        raise KeyError(os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"])


def test_the_environment_is_put_back(monkeypatch):
    """Set variables get their value, others vanish, even after an error."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with pytest.raises(KeyError, match="'1', '1'"):
        _fail_in_one_thread()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_library_loaded_inside_has_one_thread_there_alone():
    """It runs with one thread inside, and gets all processors when the block ends."""
    script = """
import json
from threadpoolctl import threadpool_info
from embrm.experiment._cell import one_thread
def threads():
    found = threadpool_info()
    return [f["num_threads"] for f in found if "lightgbm" in f["filepath"]
            or f["user_api"] == "openmp"]
with one_thread():
    import lightgbm
    inside = threads()
print(json.dumps([inside, threads()]))
"""
    environment = {k: v for k, v in os.environ.items() if "NUM_THREADS" not in k}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    inside, after = json.loads(done.stdout)
    assert set(inside) == {1}
    assert set(after) == {cpu_count()}
