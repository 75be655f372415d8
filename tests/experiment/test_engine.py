"""Experiment: every cell once, whatever happens in between."""

import runpy
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import clone

from embrm import CandidatePool
from embrm.evaluate import log_loss, order_consistency
from embrm.exceptions import EmbrmWarning, InvalidInputError
from embrm.experiment import SECONDS, AtErrorRate, Experiment, engine
from embrm.heads import LinearBradleyTerry, make_head
from embrm.simulate import (
    BradleyTerryAnnotator,
    CrossPrompt,
    FlipAnnotator,
    PerfectAnnotator,
    SamePrompt,
    calibrate,
    simulate,
)


class Counting(LinearBradleyTerry):
    """A head that counts its fits, and fails where it is told to."""

    fits = 0
    fails = False

    def fit(self, pairs, y=None, **options):
        type(self).fits += 1
        if type(self).fails:
            raise ZeroDivisionError("told to")
        return super().fit(pairs, y, **options)


@pytest.fixture(autouse=True)
def _start_counting():
    Counting.fits, Counting.fails = 0, False


def make(train, test, **changes):
    levels = {
        "designs": [SamePrompt()],
        "annotators": [BradleyTerryAnnotator()],
        "budgets": [60, 90],
        "heads": {"head": Counting(alpha=1.0)},
        "seeds": [0, 1],
        "n_resamples": 100,
    }
    return Experiment(train, test, **levels | changes)


def assert_same(one, other):
    """Bit for bit, but for the seconds."""
    pd.testing.assert_frame_equal(
        one.drop(columns=list(SECONDS)),
        other.drop(columns=list(SECONDS)),
        check_exact=True,
    )


def test_a_cell_is_what_one_computes_by_hand(train, test):
    """Calibrate, simulate, fit and compare with gold: the same, bit for bit."""
    design, head = CrossPrompt(), make_head("logistic")
    (row,) = (
        make(
            train,
            test,
            designs=design,
            annotators=AtErrorRate(BradleyTerryAnnotator(), 0.25),
            budgets=80,
            heads={"logistic": head},
            seeds=5,
        )
        .run()
        .to_dict("records")
    )
    annotator = calibrate(BradleyTerryAnnotator(), train, design, 0.25, random_state=0)
    drawn = simulate(train, design, annotator, 80, 5)
    fitted = clone(head).set_params(random_state=5).fit(drawn.pairs, drawn.y)
    ids = test.same_prompt_ids()
    delta = fitted.decision_function(test.pairs(ids))
    assert row["order_consistency"] == order_consistency(delta, test.gold_labels(ids))
    assert row["error_rate"] == drawn.error_rate
    assert row["n_items"] == drawn.diversity.n_items
    expected = annotator.probabilities(
        (test.gold[ids[:, 0]] - test.gold[ids[:, 1]]) / drawn.scale
    )
    assert row["annotator_log_loss"] == pytest.approx(log_loss(delta, expected))


def test_every_cell_is_a_row(train, test):
    """With all its factors, heads innermost, and no error."""
    heads = {"one": Counting(alpha=1.0), "other": Counting(alpha=9.0)}
    table = make(train, test, heads=heads).run()
    assert len(table) == 8
    assert table["head"].tolist() == ["one", "other"] * 4
    assert table["budget"].tolist() == [60] * 4 + [90] * 4
    assert set(table["error"]) == {""}
    assert table["target_error_rate"].isna().all()


def test_factors_are_first_and_seconds_last(train, test):
    """The columns that differ between runs are easily left off; none is empty."""
    table = make(train, test, seeds=[0], best_of_n=[2, 3]).run()
    columns = list(table)
    assert columns[:5] == ["design", "annotator", "budget", "head", "seed"]
    assert columns[-2:] == list(SECONDS)
    assert "best_of_3_recovery" in columns
    assert table.drop(columns="target_error_rate").notna().all(axis=None)


def test_a_table_of_failures_has_numeric_columns(train, test):
    """Types do not hang on whether some cell succeeded."""
    Counting.fails = True
    table = make(train, test, seeds=[0]).run()
    words = {"design", "annotator", "head", "warnings", "error_type", "error"}
    kinds = {table[name].dtype.kind for name in table if name not in words}
    assert kinds <= {"i", "f"}
    assert table["order_consistency"].isna().all()


def test_one_seed_gives_every_head_the_same_labels(train, test):
    """Rows of one seed are paired."""
    heads = {"one": Counting(alpha=1.0), "other": Counting(alpha=9.0)}
    table = make(train, test, heads=heads, budgets=[60]).run()
    by_seed = table.groupby("seed")[["error_rate", "mean_abs_delta", "n_items"]]
    assert (by_seed.nunique() == 1).all(axis=None)
    assert table["mean_abs_delta"].nunique() == 2


def test_a_second_run_computes_nothing(train, test, tmp_path):
    """The table is the same, seconds included."""
    experiment = make(train, test)
    first = experiment.run(tmp_path)
    assert Counting.fits == 4
    pd.testing.assert_frame_equal(experiment.run(tmp_path), first, check_exact=True)
    assert Counting.fits == 4


def test_a_larger_grid_computes_what_is_new(train, test, tmp_path):
    """And gives the table that it would have given at once."""
    make(train, test).run(tmp_path)
    larger = make(train, test, seeds=[0, 1, 2], budgets=[60, 70, 90])
    table = larger.run(tmp_path)
    assert Counting.fits == 9
    assert_same(table, larger.run())


def test_a_renamed_level_is_not_computed_again(train, test, tmp_path):
    """Names are for the reader."""
    make(train, test).run(tmp_path)
    table = make(train, test, heads={"renamed": Counting(alpha=1.0)}).run(tmp_path)
    assert Counting.fits == 4
    assert set(table["head"]) == {"renamed"}


def test_a_changed_parameter_is_computed_again(train, test, tmp_path):
    """Here of the head; test_grid has the others."""
    make(train, test).run(tmp_path)
    make(train, test, heads={"head": Counting(alpha=2.0)}).run(tmp_path)
    assert Counting.fits == 8


def test_equal_levels_of_two_names_are_computed_once(train, test):
    """Both are rows."""
    heads = {"one": Counting(alpha=1.0), "other": Counting(alpha=1.0)}
    assert len(make(train, test, heads=heads).run()) == 8
    assert Counting.fits == 4


def test_a_damaged_cell_is_computed_anew(train, test, tmp_path):
    """With a warning, and the same number."""
    experiment = make(train, test)
    first = experiment.run(tmp_path)
    path = min((tmp_path / "cells").iterdir())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.warns(EmbrmWarning, match="is damaged; it is computed again") as seen:
        again = experiment.run(tmp_path)
    assert [warning.filename for warning in seen] == [__file__]
    assert Counting.fits == 5
    assert_same(first, again)


def test_a_failed_cell_is_a_row_and_tried_again(train, test, tmp_path):
    """The others are there; once the cause is gone, so is the error."""
    heads = {"fine": LinearBradleyTerry(alpha=1.0), "head": Counting(alpha=1.0)}
    experiment = make(train, test, heads=heads)
    Counting.fails = True
    failed = experiment.run(tmp_path)
    bad = failed[failed["head"] == "head"]
    assert set(bad["error_type"]) == {"ZeroDivisionError"}
    assert set(bad["error"]) == {"told to"}
    assert bad["order_consistency"].isna().all()
    assert bad["n_pairs"].notna().all()
    assert failed.loc[failed["head"] == "fine", "order_consistency"].notna().all()
    Counting.fails = False
    assert set(experiment.run(tmp_path)["error"]) == {""}


def test_a_budget_that_cannot_be_met_is_a_row(train, test):
    """The pool has fewer pairs than that."""
    table = make(train, test, budgets=[60, 10**6], seeds=[0]).run()
    assert table["error_type"].tolist() == ["", "InvalidInputError"]
    assert "n_pairs of at most" in table.loc[1, "error"]


def test_a_target_that_cannot_be_met_is_a_row(train, test):
    """Of every cell that it concerns."""
    annotators = {"no": AtErrorRate(PerfectAnnotator(), 0.2), "yes": FlipAnnotator(0.1)}
    table = make(train, test, annotators=annotators, seeds=[0]).run()
    assert table["error_type"].tolist() == ["InvalidInputError"] * 2 + [""] * 2
    assert table["target_error_rate"].tolist()[:2] == [0.2, 0.2]


def test_an_error_is_raised_on_demand(train, test, tmp_path):
    """The first one, as it is; cells that were finished are kept."""
    heads = {"fine": LinearBradleyTerry(alpha=1.0), "head": Counting(alpha=1.0)}
    Counting.fails = True
    with pytest.raises(ZeroDivisionError, match="told to"):
        make(train, test, heads=heads).run(tmp_path, on_error="raise")
    assert len(list((tmp_path / "cells").iterdir())) == 1


def test_a_target_that_cannot_be_met_is_raised_on_demand(train, test):
    """Before anything is fitted."""
    experiment = make(train, test, annotators=AtErrorRate(PerfectAnnotator(), 0.2))
    with pytest.raises(InvalidInputError, match="a noise parameter"):
        experiment.run(on_error="raise")
    assert Counting.fits == 0


def test_two_workers_give_the_same_table(train, test, tmp_path):
    """Bit for bit; the vectors are written once, and mapped."""
    heads = ["linear", "logistic"]
    annotators = [AtErrorRate(BradleyTerryAnnotator(), 0.2), FlipAnnotator(0.1)]
    experiment = make(train, test, heads=heads, annotators=annotators)
    table = experiment.run(tmp_path, n_jobs=2)
    assert set(table["error"]) == {""}
    assert_same(table, experiment.run())
    n_bytes = sum(path.stat().st_size for path in tmp_path.glob("pools/*/items"))
    assert n_bytes == train.items.nbytes + test.items.nbytes


def test_process_pools_give_the_same_table(train, test, monkeypatch):
    """Though joblib gets no result from them before all are there."""
    monkeypatch.setattr(engine, "_CELLS_PER_WORKER", 1)
    experiment = make(train, test, heads=["linear"], budgets=[60, 70, 90])
    with parallel_config(backend="multiprocessing", n_jobs=2):
        table = experiment.run()
    assert_same(table, experiment.run())


def test_threads_give_the_same_table(train, test):
    """An outer configuration of joblib decides where cells are computed."""
    experiment = make(train, test, heads=["linear"])
    filters = list(warnings.filters)
    with parallel_config(backend="threading", n_jobs=3):
        table = experiment.run()
    assert_same(table, experiment.run())
    assert warnings.filters == filters


SCRIPT = """
import sys
import numpy as np
from embrm import CandidatePool
from embrm.simulate import BradleyTerryAnnotator, SamePrompt
from embrm.experiment import Experiment

rng = np.random.default_rng(0)
items = rng.normal(size=(900, 30))
gold = items @ rng.normal(size=30) + rng.normal(size=900)
pool = CandidatePool(items, np.repeat(np.arange(150), 6), gold=gold)
experiment = Experiment(
    pool[np.arange(100)],
    pool[np.arange(100, 150)],
    designs=SamePrompt(),
    annotators=BradleyTerryAnnotator(),
    budgets=[400, 800],
    heads=["logistic", "linear"],
    seeds=range(8),
)
if __name__ == "__main__":
    experiment.run(sys.argv[1])
"""


def stored(directory):
    """When each cell was stored."""
    return {path.name: path.stat().st_mtime_ns for path in directory.glob("*.json")}


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    """Two kills by SIGKILL, and the table of an undisturbed run, bit for bit."""
    script, cells = tmp_path / "script.py", tmp_path / "run" / "cells"
    script.write_text(SCRIPT)
    for wanted in (3, 9):
        process = subprocess.Popen([sys.executable, script, cells.parent])
        while process.poll() is None and len(stored(cells)) < wanted:
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -9
    kept = stored(cells)
    assert 9 <= len(kept) < 32
    experiment = runpy.run_path(str(script))["experiment"]
    assert_same(experiment.run(cells.parent), experiment.run())
    assert kept.items() <= stored(cells).items()
    assert len(stored(cells)) == 32


def test_a_bar_moves_by_one_for_each_new_cell(train, test, tmp_path, monkeypatch):
    """Its length is what is left to compute."""
    make(train, test, seeds=[0]).run(tmp_path)
    seen = []

    @contextmanager
    def watched(description, *, total, show):
        seen.append((description, total, show))
        yield lambda: seen.append(1)

    monkeypatch.setattr(engine, "progress_bar", watched)
    make(train, test, seeds=[0, 1, 2]).run(tmp_path, progress=False)
    assert seen == [("Computing cells", 4, False), 1, 1, 1, 1]


def test_a_run_is_silent_where_nobody_looks(train, test, capfd):
    """Neither stdout nor stderr is a terminal here."""
    make(train, test).run()
    assert capfd.readouterr() == ("", "")


def test_shared_prompts_are_refused_unless_allowed(train, test):
    """A test prompt that was trained on would flatter every head."""
    both = CandidatePool(test.items, test.prompt_ids % 100, gold=test.gold)
    with pytest.raises(InvalidInputError, match=r"40 prompt ids.*allow_shared_prompts"):
        make(train, both)
    assert len(make(train, both, allow_shared_prompts=True)) == 4


@pytest.mark.parametrize("which", [0, 1])
def test_pools_without_gold_are_refused(train, test, which):
    """Neither labels nor order consistency could be had."""
    pools = [train, test]
    pools[which] = CandidatePool(pools[which].items, pools[which].prompt_ids)
    with pytest.raises(InvalidInputError, match="gold scores, which an experiment"):
        make(*pools)


def test_pools_of_two_encoders_are_refused(train, test):
    """Their vectors have another d."""
    other = CandidatePool(test.items[:, :3], test.prompt_ids, gold=test.gold)
    with pytest.raises(InvalidInputError, match="d = 5 in train_pool, d = 3"):
        make(train, other)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"level": 1.0}, r"level in \(0, 1\)"),
        ({"n_resamples": 0}, "an integer n_resamples >= 1"),
        ({"best_of_n": [0]}, "an integer best_of_n >= 1"),
        ({"seeds": [-1]}, "an integer seeds >= 0"),
        ({"heads": {"head": Counting(preprocessor=np.sin)}}, "can be written down"),
    ],
)
def test_wrong_settings_are_refused(train, test, changes, match):
    """When the experiment is made, not when it runs."""
    with pytest.raises(InvalidInputError, match=match):
        make(train, test, **changes)


def test_a_wrong_way_to_treat_errors_is_refused(train, test):
    """There are two."""
    with pytest.raises(InvalidInputError, match="on_error one of row, raise"):
        make(train, test).run(on_error="ignore")


def test_a_ray_cluster_gives_the_same_table(train, test, ray_cluster):
    """Two nodes compute cells, for no more than a registered backend."""
    from ray.util.joblib import register_ray

    class Reporting(LinearBradleyTerry):
        """A head that says where it is fitted."""

        def fit(self, pairs, y=None, **options):
            import ray

            if ray.is_initialized():
                node = ray.get_runtime_context().get_node_id()
                warnings.warn(node, UserWarning, stacklevel=1)
            return super().fit(pairs, y, **options)

    heads = {"reporting": Reporting(alpha=1.0)}
    experiment = make(train, test, heads=heads, seeds=[0, 1, 2])
    register_ray()
    one_each = {"num_cpus": 1}
    with (
        ray_cluster(one_each, [one_each]) as cluster,
        parallel_config(backend="ray", n_jobs=2, ray_remote_args=one_each),
    ):
        table = experiment.run()
        nodes = [cluster.head_node, *cluster.workers]
    said = {f"UserWarning: {node.node_id}" for node in nodes}
    assert set(table["warnings"]) == said
    assert_same(
        table.drop(columns="warnings"), experiment.run().drop(columns="warnings")
    )
