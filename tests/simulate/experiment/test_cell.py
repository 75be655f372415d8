"""cell: what a worker does, and what it sends back."""

import warnings

import pytest

from embrm.heads import LinearBradleyTerry
from embrm.simulate import BradleyTerryAnnotator, SamePrompt
from embrm.simulate.experiment import cell as module
from embrm.simulate.experiment.canonical import digest_of
from embrm.simulate.experiment.cell import Cell, Draw, Failure, forget, run_cell
from embrm.simulate.experiment.cell_store import CellRecord, CellStore
from embrm.simulate.experiment.exam import ExamSettings
from embrm.simulate.experiment.pool_files import pool_digest, write_pool
from embrm.simulate.experiment.table import columns_of


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
    forget()
    pools = [write_pool(p, pool_digest(p), tmp_path / "pools") for p in (train, test)]
    store = CellStore.create(tmp_path / "cells").directory
    annotator = BradleyTerryAnnotator()

    def make(head, n_pairs=40):
        draw = Draw(str(n_pairs), pools[0], SamePrompt(), annotator, n_pairs, 0)
        settings = ExamSettings((2,), 0.95, 50)
        content = {"head": repr(head), "n_pairs": n_pairs}
        return Cell(content, draw, head, pools[1], annotator, settings, store)

    yield make
    forget()


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


def test_a_worker_can_forget(make_cell):
    """Nothing is held between runs."""
    run_cell(make_cell(LinearBradleyTerry(alpha=1.0)), raise_errors=False)
    forget()
    assert module._pool.cache_info().currsize == 0


def test_a_row_has_every_column_of_the_table(make_cell):
    """No more, no less: the table invents nothing and drops nothing."""
    cell = make_cell(LinearBradleyTerry(alpha=1.0))
    record = run_cell(cell, raise_errors=False)
    factors = {"design", "annotator", "budget", "head", "seed", "target_error_rate"}
    words = {"error_type", "error"}
    assert factors | words | {*record.row, *record.seconds} == set(
        columns_of(cell.settings)
    )
