"""Running a part: cells of all splits in one table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from embrm.experiment import SECONDS
from embrm.studies.levels import heads_by_name
from embrm.studies.parts import QUICK, parts_of
from embrm.studies.running import run_part
from embrm.studies.splits import make_splits

TINY = replace(QUICK, budgets=(10, 20), few_heads=("linear",), n_resamples=20)


@pytest.fixture(scope="module")
def splits(pool):
    return make_splits(pool, range(2))


def test_rows_say_what_their_levels_stand_for(splits, tmp_path):
    """Noise as a number, diversity apart from the pairing."""
    [part] = parts_of("c", splits, TINY)
    frame = run_part(part, splits, tmp_path, n_jobs=1)
    assert len(frame) == part.n_cells * 2
    assert set(frame["design"]) == {"same-prompt", "cross-prompt"}
    assert list(frame["diversity"].unique()) == ["similar", "random", "diverse"]
    assert set(frame["noise"]) == {0.1, 0.4}
    assert set(frame["seed"]) == {0, 1}
    assert (frame["error_type"] == "").all()


def test_a_second_run_computes_nothing_anew(splits, tmp_path):
    """Seconds, too, are those of the first run."""
    part = replace(parts_of("a", splits, TINY)[0], heads=heads_by_name(("linear",)))
    first = run_part(part, splits, tmp_path, n_jobs=1)
    pd.testing.assert_frame_equal(run_part(part, splits, tmp_path, n_jobs=1), first)
    assert set(SECONDS) <= set(first)


def test_at_equal_rates_errors_are_alike_and_of_one_annotator_they_are_not(splits):
    """Across prompts one annotator errs less, in expectation."""
    part, equal, _ = parts_of("b", splits[:1], replace(TINY, budgets=(300,)))
    rates = {}
    for grid in (part, equal):
        one_level = replace(grid, noise=(0.4,), heads=heads_by_name(("linear",)))
        frame = one_level.experiment(splits[0]).run()
        rates[grid.name] = frame.set_index("design")["expected_error_rate"]
    assert np.ptp(rates["b-equal"]) < 0.02
    assert rates["b"]["cross-prompt"] != pytest.approx(0.4, abs=0.002)
