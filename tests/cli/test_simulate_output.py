"""What `embrm simulate` shows: tables, pictures, and why cells failed."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from matplotlib.figure import Figure
from rich.console import Console
from scipy import stats

from embrm.cli.simulate_output import (
    FAILED,
    error_lines,
    json_table,
    make_tables,
    report_failed_cells,
    summaries,
    write_pictures,
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
    # On log odds, where an interval of shares never leaves [0, 1].
    assert (line.low, line.high) == pytest.approx((0.62 - half, 0.62 + half), abs=2e-3)
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


def grid(designs=("same",), annotators=("calm",), budgets=(10,), heads=("a", "b")):
    """Two seeds of every combination."""
    rows = [
        {"design": design, "annotator": annotator, "budget": budget, "head": head}
        | {"seed": seed, "error_rate": 0.1 * (1 + annotators.index(annotator))}
        | {"order_consistency": 0.6 + 0.01 * seed + 0.02 * heads.index(head)}
        for design, annotator, budget, head, seed in product(
            designs, annotators, budgets, heads, range(2)
        )
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def figures(monkeypatch):
    """Keep the figures that are saved."""
    kept = []
    save = Figure.savefig

    def keep(figure, *arguments, **options):
        kept.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


@pytest.mark.parametrize(
    ("varied", "name", "x_label"),
    [
        ({"annotators": ("calm", "noisy")}, "noise_sweep", "realised error rate"),
        ({"budgets": (10, 100)}, "learning_curve", "budget (annotated pairs"),
        ({"designs": ("same", "cross")}, "pairing", "pairing design"),
    ],
)
def test_there_is_a_picture_for_each_factor_that_varies(
    tmp_path, figures, varied, name, x_label
):
    """And a line for each head."""
    assert write_pictures(grid(**varied), tmp_path) == [tmp_path / f"{name}.png"]
    [ax] = figures[0].axes
    assert ax.get_xlabel().startswith(x_label)
    assert ax.get_ylabel().startswith("order consistency with gold")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_grid_with_nothing_varied_has_no_picture(tmp_path):
    """A table says it all."""
    assert write_pictures(grid(), tmp_path) == []


def test_panels_are_titled_by_the_other_factors(tmp_path, figures):
    """Over the legend, and only by what varies; equal axes to compare."""
    write_pictures(
        grid(annotators=("calm", "noisy"), designs=("same", "cross")), tmp_path
    )
    sweep, pairing = figures
    titles = [
        ax.get_legend().get_title().get_text().splitlines()[0] for ax in sweep.axes
    ]
    assert titles == ["same", "cross"]
    assert sweep.axes[0].get_ylim() == sweep.axes[1].get_ylim()
    assert [bool(ax.get_ylabel()) for ax in pairing.axes] == [True, False]


def test_more_than_six_panels_go_to_a_second_file(tmp_path, figures):
    """A picture of twenty panels is not legible; an empty place stays empty."""
    budgets = tuple(range(10, 18))
    written = write_pictures(
        grid(annotators=("calm", "noisy"), budgets=budgets), tmp_path
    )
    assert [path.name for path in written] == [
        *("noise_sweep.png", "noise_sweep_2.png", "learning_curve.png")
    ]
    assert [len(figure.axes) for figure in figures] == [6, 2, 2]
    titles = [ax.get_legend().get_title().get_text() for ax in figures[1].axes]
    assert titles[0].startswith("16 pairs\n")


def test_panels_without_a_result_are_left_out(tmp_path, figures):
    """Where every cell of a budget failed."""
    frame = grid(annotators=("calm", "noisy"), budgets=(10, 20, 30, 40, 50))
    frame.loc[frame["budget"] == 20, "order_consistency"] = float("nan")
    write_pictures(frame, tmp_path)
    shown = [ax for ax in figures[0].axes if ax.get_visible()]
    titles = [ax.get_legend().get_title().get_text().split()[0] for ax in shown]
    assert titles == ["10", "30", "40", "50"]
    frame["order_consistency"] = float("nan")
    assert write_pictures(frame, tmp_path) == []


KINDS = ["A"] * 5 + ["B"] * 3 + ["C"] * 2 + ["D", ""]
TABLE = Path("out") / "cells.csv"


@pytest.fixture
def frame() -> pd.DataFrame:
    """Eleven failed cells of twelve."""
    return pd.DataFrame({"error_type": KINDS, "error": [k.lower() for k in KINDS]})


def test_errors_are_said_once_the_most_frequent_first(frame):
    """No more than three kinds."""
    assert error_lines(frame) == [*("5 x A: a", "3 x B: b", "2 x C: c", "And 1 more.")]


def test_failed_cells_are_counted_on_standard_error(frame, capsys):
    """With the file that has them all, and an exit code of its own."""
    with pytest.raises(typer.Exit) as stopped:
        report_failed_cells(frame, TABLE)
    assert stopped.value.exit_code == FAILED
    words = " ".join(capsys.readouterr().err.split())
    assert f"11 of 12 cells failed; all are in {TABLE}" in words


def test_nothing_is_said_where_no_cell_failed(frame, capsys):
    """The command goes on."""
    report_failed_cells(frame[frame["error_type"] == ""], TABLE)
    assert capsys.readouterr().err == ""
