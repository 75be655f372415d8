"""The parameter of a tie model sits at the minimum of what is minimised."""

from dataclasses import replace

import numpy as np
import pytest

from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.tie_parameter import first_tie_loss, fit_tie_parameter
from embrm.heads.linear.training import make_problem, minimise


@pytest.fixture
def tied_problem(make_preferences):
    """A problem in which every fourth pair is a tie."""
    data = make_preferences(error_rate=0.2)
    y = np.where(np.arange(len(data.y)) % 4 == 0, 0.5, data.y)
    comparisons = make_comparisons(data.pairs, y)
    return make_problem(comparisons), comparisons


@pytest.mark.parametrize("kind", ["rao-kupper", "davidson"])
def test_equals_tie_as_often_as_the_data_at_first(tied_problem, kind):
    """The starting value solves for the share of ties at a difference of zero."""
    _, comparisons = tied_problem
    first = first_tie_loss(kind, comparisons.tied, comparisons.weight)
    assert first.tie_probability(np.zeros(1))[0] == pytest.approx(0.25)


@pytest.mark.parametrize("kind", ["rao-kupper", "davidson"])
def test_the_tie_parameter_is_at_the_minimum(tied_problem, kind):
    """Refitted next to it, the objective is higher on both sides."""
    problem, comparisons = tied_problem
    first = first_tie_loss(kind, comparisons.tied, comparisons.weight)
    start = np.zeros(len(problem.curvature))
    loss, w = fit_tie_parameter(problem, first, 0.5, start)
    parameter = loss.eta if kind == "rao-kupper" else loss.kappa

    def objective(value):
        here = replace(problem, loss=loss.with_parameter(value))
        v, *_ = minimise(here, 0.5, w, tol=1e-9, max_iter=50)
        lead = here.delta(v)
        return here.weight @ here.loss.evaluate(lead)[0] + 0.25 * v @ v

    best = objective(parameter)
    assert objective(parameter - 0.01) > best < objective(parameter + 0.01)
