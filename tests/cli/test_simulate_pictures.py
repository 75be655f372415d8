"""Pictures of a grid: which are made, and what stands in them."""

from itertools import product

import pandas as pd
import pytest
from matplotlib.figure import Figure

from embrm.cli.simulate_pictures import write_pictures


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
