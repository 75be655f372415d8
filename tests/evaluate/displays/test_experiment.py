"""The picture of an experiment: budgets, noise, pairings, over seeds."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

mpl.use("Agg")

import embrm.evaluate
from embrm.evaluate.displays import ExperimentDisplay
from embrm.exceptions import InvalidInputError


def runs_of_budgets(budgets):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "head": head,
                "budget": budget,
                "seed": seed,
                "order_consistency": 0.5 + rng.normal(scale=0.01),
            }
            for head in ("linear", "siamese")
            for budget in budgets
            for seed in range(3)
        ]
    )


@pytest.fixture
def learning_curve():
    return ExperimentDisplay.from_frame(runs_of_budgets([300, 3000, 30_000]), "budget")


def test_the_axis_is_logarithmic_and_names_each_budget(learning_curve):
    """In plain numbers."""
    ax = learning_curve.plot().ax_
    assert ax.get_xscale() == "log"
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["300", "3,000", "30,000"]
    assert len(ax.get_xticks(minor=True)) == 0


def test_many_budgets_are_left_to_the_axis():
    """Their names would run into each other."""
    budgets = [100, 200, 400, 800, 1600, 3200, 6400]
    ax = ExperimentDisplay.from_frame(runs_of_budgets(budgets), "budget").plot().ax_
    assert "6,400" not in [label.get_text() for label in ax.get_xticklabels()]


def test_a_learning_curve_has_a_line_and_a_band_per_head(learning_curve):
    """Axes are labelled with their unit; the legend names every head."""
    ax = learning_curve.plot().ax_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "linear",
        "siamese",
    ]
    assert len(ax.collections) == 2
    assert ax.get_xlabel() == "budget (annotated pairs, log scale)"
    assert ax.get_ylabel() == "order consistency with gold\n(share of pairs)"


def test_it_draws_on_axes_that_are_given(learning_curve):
    """plot(ax) uses them and returns the display."""
    figure, ax = mpl.pyplot.subplots()
    assert learning_curve.plot(ax) is learning_curve
    assert learning_curve.figure_ is figure


@pytest.fixture
def noise_sweep():
    rng = np.random.default_rng(0)
    runs = [
        {
            "head": head,
            "annotator": f"noise {rate}",
            "seed": seed,
            "error_rate": rate + rng.normal(scale=0.002),
            "order_consistency": 0.75 - rate / 2 + rng.normal(scale=0.01),
        }
        for head in ("linear", "siamese")
        for rate in (0.05, 0.2, 0.4)
        for seed in range(3)
    ]
    return ExperimentDisplay.from_frame(pd.DataFrame(runs), "error_rate")


def test_the_x_of_noise_is_the_realised_error_rate(noise_sweep):
    """Its mean over seeds, ascending."""
    assert noise_sweep.lines.lines[0].x == pytest.approx([0.05, 0.2, 0.4], abs=0.005)


def test_a_noise_sweep_has_a_line_and_a_band_per_head(noise_sweep, tmp_path):
    """Axes are labelled with their unit; the legend says what the band is."""
    ax = noise_sweep.plot().ax_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "linear",
        "siamese",
    ]
    assert ax.get_legend().get_title().get_text() == "mean of 3 seeds, 95% t interval"
    assert len(ax.collections) == 2
    assert ax.get_xlabel() == "realised error rate (share of labels)"
    assert ax.get_ylabel() == "order consistency with gold\n(share of pairs)"
    noise_sweep.figure_.savefig(tmp_path / "sweep.png")


def test_columns_and_label_can_be_named():
    """Any tidy table will do."""
    runs = pd.DataFrame(
        {"model": ["a"], "noise": [1], "run": [0], "e": [0.1], "y": [1]}
    )
    display = ExperimentDisplay.from_frame(
        runs, "e", line="model", point="noise", y="y", seed="run", label="wins"
    )
    ax = display.plot().ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("e", "wins")


@pytest.fixture
def pairings() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "design": design,
                "diversity": diversity,
                "mean_abs_delta": step + rng.normal(scale=0.01),
                "seed": seed,
                "order_consistency": 0.6 + 0.05 * step + rng.normal(scale=0.01),
            }
            for design in ("same", "cross", "mixed")
            for step, diversity in enumerate(("low", "random", "high"))
            for seed in range(3)
        ]
    )


def test_names_keep_the_order_of_the_table(pairings):
    """Not the alphabet's."""
    ax = ExperimentDisplay.from_frame(pairings, "diversity", line="design").plot().ax_
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["low", "random", "high"]


def test_designs_stand_beside_one_another(pairings):
    """So that their bars do not hide one another."""
    ax = ExperimentDisplay.from_frame(pairings, "diversity", line="design").plot().ax_
    starts = [bars.lines[0].get_xdata()[0] for bars in ax.containers]
    assert starts == pytest.approx([-0.06, 0, 0.06])


def test_a_measured_diversity_is_an_axis(pairings):
    """Its mean over the seeds of a point."""
    display = ExperimentDisplay.from_frame(
        pairings,
        "mean_abs_delta",
        line="design",
        point="diversity",
        x_label="mean gold difference",
    )
    ax = display.plot().ax_
    assert display.lines.lines[0].x == pytest.approx([0, 1, 2], abs=0.02)
    assert ax.get_xlabel() == "mean gold difference"


def test_the_legend_names_every_design(pairings):
    """Bars have caps; axes have their unit."""
    ax = ExperimentDisplay.from_frame(pairings, "diversity", line="design").plot().ax_
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["same", "cross", "mixed"]
    assert ax.get_ylabel() == "order consistency with gold\n(share of pairs)"


def lines_of(frame, level=0.95):
    return ExperimentDisplay.from_frame(frame, "error_rate", level=level).lines


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
    lines = lines_of(runs).lines
    assert [line.name for line in lines] == ["siamese", "linear"]
    means = runs.groupby(["head", "annotator"])[["error_rate", "order_consistency"]]
    expected = means.mean().loc["linear"].loc[["calm", "noisy"]]
    np.testing.assert_allclose(lines[1].x, expected["error_rate"])
    np.testing.assert_allclose(lines[1].mean, expected["order_consistency"])


def test_intervals_are_those_of_the_t_test(runs):
    """As scipy computes them; shares far from 0 and 1 hardly differ on log odds."""
    line = lines_of(runs, 0.9).lines[0]
    chosen = runs[(runs["head"] == "siamese") & (runs["annotator"] == "noisy")]
    known = ttest_1samp(chosen["order_consistency"], 0).confidence_interval(0.9)
    found = (line.low[1], line.high[1])
    assert found == pytest.approx((known.low, known.high), abs=1e-4)
    longer = runs.assign(order_consistency=runs["order_consistency"] * 10)
    exact = lines_of(longer, 0.9).lines[0]
    wanted = (10 * known.low, 10 * known.high)
    assert (exact.low[1], exact.high[1]) == pytest.approx(wanted)


def test_one_seed_has_no_interval(runs):
    """NaN, which is not drawn; the note says one seed."""
    lines = lines_of(runs[runs["seed"] == 0])
    assert np.isnan(lines.lines[0].low).all()
    assert lines.note == "mean of 1 seed"


def test_failed_runs_are_left_out_and_counted(runs):
    """A point with fewer seeds stays; the note says what is missing."""
    runs.loc[[0, 1], "order_consistency"] = np.nan
    lines = lines_of(runs)
    assert lines.n_missing == 2
    assert lines.note == "mean of 2 to 4 seeds, 95% t interval (2 failed runs)"


def test_rows_that_differ_otherwise_are_not_averaged(runs):
    """Two budgets at one seed would be taken for noise."""
    both = pd.concat([runs.assign(budget=b) for b in (100, 1000)])
    with pytest.raises(InvalidInputError, match="one row for each head, annotator"):
        lines_of(both)


def test_a_missing_column_is_named(runs):
    """And so are all that are needed."""
    with pytest.raises(InvalidInputError, match="no column error_rate"):
        lines_of(runs.drop(columns="error_rate"))


def test_a_table_without_results_is_refused(runs):
    """There is nothing to draw."""
    runs["order_consistency"] = np.nan
    with pytest.raises(InvalidInputError, match="a result in column"):
        lines_of(runs)


FORMER = {
    "LearningCurveDisplay": "budget",
    "NoiseSweepDisplay": "error_rate",
    "PairingDisplay": "diversity",
}


@pytest.mark.parametrize(("name", "x"), FORMER.items())
def test_former_names_work_and_warn(name, x):
    """For one version, from both rooms; the warning points at the import."""
    for room in (embrm.evaluate, embrm.evaluate.displays):
        with pytest.warns(FutureWarning, match=f"{name} is now Exp.*{x}") as caught:
            former = getattr(room, name)
        assert caught[0].filename == __file__
    runs = runs_of_budgets([300, 3000]).assign(
        annotator=["a", "b"] * 6, error_rate=0.1, diversity="low", design="same"
    )
    one = former.from_frame(runs[:1], level=0.9)
    assert isinstance(one, ExperimentDisplay)
    assert (one.x, one.lines.level) == (x, 0.9)
    assert former(one.lines, label="wins").plot().ax_.get_ylabel() == "wins"


def test_an_unknown_name_is_no_attribute():
    """As in any other module."""
    for room in (embrm.evaluate, embrm.evaluate.displays):
        assert not hasattr(room, "NothingDisplay")


def test_an_interval_of_shares_stays_within_zero_and_one():
    """Also of few seeds near one; where there is no spread, there is no width."""
    frame = pd.DataFrame(
        {
            "annotator": ["calm"] * 3 + ["sure"] * 2,
            "head": "linear",
            "seed": [0, 1, 2, 0, 1],
            "order_consistency": [0.95, 0.97, 1.0, 1.0, 1.0],
        }
    )
    [line] = ExperimentDisplay.from_frame(frame, "annotator").lines.lines
    assert 0.7 < line.low[0] < line.mean[0] < line.high[0] < 1.0
    assert line.low[1] == line.high[1] == 1.0


def test_seeds_that_agree_are_drawn_without_a_bar():
    """Rounding puts no end of an interval on the wrong side of the mean."""
    shares = np.linspace(0.05, 0.95, 60)
    frame = pd.DataFrame(
        [
            {"head": "linear", "design": str(n), "seed": seed, "order_consistency": y}
            for n, y in enumerate(shares)
            for seed in range(2)
        ]
    )
    display = ExperimentDisplay.from_frame(frame, "design")
    [line] = display.lines.lines
    assert (line.low <= line.mean).all()
    assert (line.mean <= line.high).all()
    display.plot()
