"""Lines of a table of runs: means over seeds, with their t intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from embrm.evaluate.displays.seed_lines import Columns, lines_from_frame
from embrm.exceptions import InvalidInputError

COLUMNS = Columns("head", "annotator", "error_rate", "order_consistency", "seed")


@pytest.fixture
def runs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "head": head,
                "annotator": noise,
                "seed": seed,
                "error_rate": rate + rng.normal(scale=0.001),
                "order_consistency": 0.8 - rate + rng.normal(scale=0.01),
            }
            for head in ("siamese", "linear")
            for noise, rate in (("noisy", 0.3), ("calm", 0.1))
            for seed in range(4)
        ]
    )


def test_points_are_means_over_seeds(runs):
    """Of both coordinates, by ascending x, lines in the table's order."""
    lines = lines_from_frame(runs, COLUMNS).lines
    assert [line.name for line in lines] == ["siamese", "linear"]
    means = runs.groupby(["head", "annotator"])[["error_rate", "order_consistency"]]
    expected = means.mean().loc["linear"].loc[["calm", "noisy"]]
    np.testing.assert_allclose(lines[1].x, expected["error_rate"])
    np.testing.assert_allclose(lines[1].mean, expected["order_consistency"])


def test_intervals_are_those_of_the_t_test(runs):
    """As scipy computes them."""
    line = lines_from_frame(runs, COLUMNS, 0.9).lines[0]
    chosen = runs[(runs["head"] == "siamese") & (runs["annotator"] == "noisy")]
    known = ttest_1samp(chosen["order_consistency"], 0).confidence_interval(0.9)
    assert (line.low[1], line.high[1]) == pytest.approx((known.low, known.high))


def test_one_seed_has_no_interval(runs):
    """NaN, which is not drawn; the note says one seed."""
    lines = lines_from_frame(runs[runs["seed"] == 0], COLUMNS)
    assert np.isnan(lines.lines[0].low).all()
    assert lines.note == "mean of 1 seed"


def test_failed_runs_are_left_out_and_counted(runs):
    """A point with fewer seeds stays; the note says what is missing."""
    runs.loc[[0, 1], "order_consistency"] = np.nan
    lines = lines_from_frame(runs, COLUMNS)
    assert lines.n_missing == 2
    assert lines.note == "mean of 2 to 4 seeds, 95% t interval (2 failed runs)"


def test_rows_that_differ_otherwise_are_not_averaged(runs):
    """Two budgets at one seed would be taken for noise."""
    both = pd.concat([runs.assign(budget=b) for b in (100, 1000)])
    with pytest.raises(InvalidInputError, match="one row for each head, annotator"):
        lines_from_frame(both, COLUMNS)


def test_a_missing_column_is_named(runs):
    """And so are all that are needed."""
    with pytest.raises(InvalidInputError, match="no column error_rate"):
        lines_from_frame(runs.drop(columns="error_rate"), COLUMNS)


def test_a_table_without_results_is_refused(runs):
    """There is nothing to draw."""
    runs["order_consistency"] = np.nan
    with pytest.raises(InvalidInputError, match="a result in column"):
        lines_from_frame(runs, COLUMNS)
