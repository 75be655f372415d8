"""Parameters of the label model sit at the minimum of what they minimise."""

from dataclasses import replace

import numpy as np
import pytest

from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.label_model import (
    best_rates,
    first_tie_loss,
    fit_common_rate,
    fit_rates,
    fit_tie_parameter,
)
from embrm.heads.linear.training import make_problem, minimise
from embrm.heads.linear.win_loss import FlippedLoss, LogisticLoss


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


def test_the_common_rate_is_used_for_the_weights(make_preferences):
    """What comes back is the minimum under that rate."""
    data = make_preferences(n_prompts=80, error_rate=0.15)
    problem = make_problem(make_comparisons(data.pairs, data.y))
    start = np.zeros(len(problem.curvature))
    rate, w = fit_common_rate(problem, 0.05, start, LogisticLoss())
    assert rate == pytest.approx(0.15, abs=0.05)
    here = replace(problem, loss=FlippedLoss(LogisticLoss(), rate))
    again, *_ = minimise(here, 0.05, w, tol=1e-8, max_iter=50)
    np.testing.assert_allclose(again, w, rtol=1e-3, atol=1e-3)


def test_without_a_penalty_the_rate_is_the_likeliest(make_preferences):
    """There is no prior to integrate over."""
    data = make_preferences(n_prompts=80, error_rate=0.15)
    problem = make_problem(make_comparisons(data.pairs, data.y))
    start = np.zeros(len(problem.curvature))
    rate, _ = fit_common_rate(problem, 0.0, start, LogisticLoss())
    assert rate == pytest.approx(0.15, abs=0.05)


def test_rates_in_turn_end_at_a_fixed_point(make_preferences):
    """Neither weights nor rates would move any further."""
    data = make_preferences(n_prompts=80, error_rate=0.15)
    who = np.arange(len(data.y)) % 2
    comparisons = make_comparisons(data.pairs, data.y, annotator=who)
    problem = make_problem(comparisons)
    start, first = np.zeros(len(problem.curvature)), np.full(2, 0.1)
    annotator = comparisons.annotator
    rates, w = fit_rates(problem, 0.05, start, LogisticLoss(), annotator, first)
    right = 1 / (1 + np.exp(-problem.delta(w)))
    again = best_rates(right, problem.weight, annotator, 2)
    np.testing.assert_allclose(again, rates, atol=1e-3)


def test_the_best_rate_of_certain_wins_is_their_share_of_losses():
    """With P(win) of 1 or 0 the likelihood is binomial."""
    right = np.array([1.0, 1.0, 1.0, 0.0, 1.0])
    weight = np.array([1.0, 1.0, 1.0, 1.0, 4.0])
    rates = best_rates(right, weight, np.array([0, 0, 0, 0, 1]), 2)
    np.testing.assert_allclose(rates, [0.25, 0.0], atol=1e-6)
