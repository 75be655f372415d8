"""Displays of policies draw what they are given."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.policy import (
    AlignmentDisplay,
    ParetoDisplay,
    PolicyDisplay,
    best_of_n_sweep,
    pareto_front,
    run_case,
    tilt_sweep,
)
from embrm.simulate import PerfectAnnotator


@pytest.fixture(autouse=True)
def close_figures():
    """Leave no figure open."""
    import matplotlib as mpl

    mpl.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def sweeps():
    """A tilt and a best of n of the same reward."""
    rng = np.random.default_rng(0)
    ids, gold = np.repeat(np.arange(20), 6), rng.normal(size=120)
    reward = gold + rng.normal(size=120)
    return [
        tilt_sweep(reward, ids, [2.0, 0.5], gold=gold, length=np.arange(120.0)),
        best_of_n_sweep(reward, ids, [1, 4], gold=gold),
    ]


def test_sweeps_are_drawn_against_divergence(sweeps):
    """One line each, in order of divergence, with its name."""
    axes = PolicyDisplay(sweeps).plot().ax_
    for line, sweep in zip(axes.get_lines(), sweeps, strict=True):
        assert line.get_label() == sweep.name
        assert np.allclose(line.get_xdata(), np.sort(sweep.kl.mean))
        order = np.argsort(sweep.kl.mean)
        assert np.allclose(line.get_ydata(), sweep.gold.mean[order])


def test_what_a_sweep_does_not_know_is_not_drawn(sweeps):
    """Lengths that were not given, and measures that are none."""
    with pytest.raises(InvalidInputError, match="without"):
        PolicyDisplay(sweeps, "length").plot()
    with pytest.raises(InvalidInputError, match="win_rate"):
        PolicyDisplay(sweeps, "golden").plot()


def test_rounds_and_the_likelihood_of_the_data_are_drawn():
    """Solid for what was chosen, dashed for what was rejected."""
    items = np.random.default_rng(1).normal(size=(120, 3))
    pool = CandidatePool(items, np.arange(120) % 20, gold=items[:, 0])
    run = run_case(pool, "iterative-dpo", PerfectAnnotator(), 100)
    lines = AlignmentDisplay({"dpo": run}, "coverage").plot().ax_.get_lines()
    assert np.allclose(lines[0].get_ydata(), [r["chosen"] for r in run.rounds])
    assert np.allclose(lines[1].get_ydata(), [r["rejected"] for r in run.rounds])
    gold = AlignmentDisplay({"dpo": run}).plot().ax_.get_lines()[0]
    assert np.allclose(gold.get_ydata(), [r["gold"] for r in run.rounds])


def test_the_front_is_a_line_and_others_are_points():
    """On given axes."""
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    front = pareto_front(np.eye(2), [0, 0], [[1, 0], [1, 1], [0, 1]])
    display = ParetoDisplay(front, {"robust": (0.5, 0.4)}, ("help", "safety")).plot(
        axes
    )
    assert display.ax_ is axes
    assert np.allclose(axes.get_lines()[0].get_xdata(), front.value[:, 0])
    assert axes.get_lines()[1].get_label() == "robust"
    assert axes.get_ylabel() == "safety"
