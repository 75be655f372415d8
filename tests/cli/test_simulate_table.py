"""The printed table: cells averaged over seeds."""

import math

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from embrm.cli.simulate_table import (
    json_table,
    make_tables,
    summaries,
)


def cells(**changes):
    """Three seeds of two heads at two noises."""
    rows = [
        {"design": "same", "annotator": annotator, "budget": 10, "head": head}
        | {"seed": seed, "error_rate": rate + 0.01 * seed}
        | {"order_consistency": 0.7 - rate + 0.02 * seed + 0.05 * (head == "b")}
        for annotator, rate in (("calm", 0.1), ("noisy", 0.3))
        for seed in range(3)
        for head in ("a", "b")
    ]
    return pd.DataFrame(rows).assign(error_type="", error="", **changes)


def test_means_have_t_intervals_over_seeds():
    """Each line is one head at one noise."""
    line = next(iter(summaries(cells())))
    values = [0.6, 0.62, 0.64]
    assert line.mean == pytest.approx(np.mean(values))
    half = stats.t.ppf(0.975, 2) * stats.sem(values)
    assert (line.low, line.high) == pytest.approx((0.62 - half, 0.62 + half))
    assert line.error_rate == pytest.approx(0.11)
    assert (line.n_seeds, line.n_failed) == (3, 0)


def test_lines_are_in_the_order_of_the_grid_heads_innermost():
    """Heads stand under each other at every noise."""
    order = [(line.annotator, line.head) for line in summaries(cells())]
    assert order == [("calm", "a"), ("calm", "b"), ("noisy", "a"), ("noisy", "b")]


def test_failed_cells_are_counted_and_left_out():
    """A line of failures alone has no mean."""
    frame = cells()
    frame.loc[
        (frame["annotator"] == "calm") & (frame["seed"] == 0), "order_consistency"
    ] = np.nan
    frame.loc[
        (frame["annotator"] == "noisy") & (frame["head"] == "b"), "order_consistency"
    ] = np.nan
    lines = list(summaries(frame))
    assert [(line.n_seeds, line.n_failed) for line in lines] == [
        (2, 1),
        (2, 1),
        (3, 0),
        (0, 3),
    ]
    assert lines[0].mean == pytest.approx(0.63)
    assert math.isnan(lines[3].mean)


def test_json_has_no_nan():
    """One seed has no interval."""
    frame = cells()
    first = json_table(frame[frame["seed"] == 0])[0]
    assert first["mean"] == pytest.approx(0.6)
    assert (first["low"], first["high"]) == (None, None)


def test_there_is_a_titled_table_for_each_design_and_budget():
    """Of equal width, so that columns stand under each other."""
    other = cells().replace({"head": {"b": "a long name"}}).assign(design="cross")
    tables = make_tables(pd.concat([cells(), other, cells().assign(budget=2000)]))
    assert [title for title, _ in tables] == [
        "same, 10 pairs",
        "cross, 10 pairs",
        "same, 2,000 pairs",
    ]
    console = Console(width=100)
    lengths = set()
    for _, table in tables:
        with console.capture() as captured:
            console.print(table)
        lengths |= {len(line) for line in captured.get().splitlines()}
    assert len(lengths) == 1


def test_a_single_table_needs_no_title():
    """Nor a column of failures where there are none."""
    [(title, table)] = make_tables(cells())
    assert title == ""
    assert [column.header for column in table.columns] == [
        *("annotator", "error", "head", "consistency", "95% interval", "seeds")
    ]
