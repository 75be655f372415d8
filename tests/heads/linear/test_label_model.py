"""The label model: its loss, and the parameter of ties at its minimum."""

from dataclasses import replace

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear._label_model import LabelModel, fit_ties
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import make_problem
from embrm.heads.win_loss import (
    DavidsonLoss,
    FlippedLoss,
    LogisticLoss,
    ProbitLoss,
    RaoKupperLoss,
    loss_of_wins,
)


@pytest.fixture
def comparisons():
    """Two wins and a tie."""
    pairs = Pairs(np.eye(6), np.arange(6).reshape(3, 2))
    return make_comparisons(pairs, [1.0, 0.0, 0.5])


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (LabelModel("logit", None), LogisticLoss),
        (LabelModel("probit", None), ProbitLoss),
        (LabelModel("logit", "rao-kupper", 2.0), RaoKupperLoss),
        (LabelModel("logit", "davidson", 1.0), DavidsonLoss),
        (LabelModel("logit", "rao-kupper", 1.0), LogisticLoss),
        (LabelModel("logit", "davidson", 0.0), LogisticLoss),
    ],
)
def test_parameters_choose_the_loss(comparisons, model, kind):
    """A tie parameter without ties is the plain model."""
    assert isinstance(model.loss(comparisons), kind)


@pytest.mark.parametrize(
    ("link", "clean"), [("logit", LogisticLoss), ("probit", ProbitLoss)]
)
def test_flips_that_comparisons_know_of_are_in_the_loss(comparisons, link, clean):
    """Win by win, on top of either link."""
    rate = np.linspace(0, 0.4, len(comparisons))
    loss = loss_of_wins(replace(comparisons, flip_rate=rate), link)
    assert isinstance(loss, FlippedLoss)
    assert isinstance(loss.clean, clean)
    np.testing.assert_array_equal(loss.rate, rate)


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
    first = LabelModel.guess(comparisons, "logit", kind).loss(comparisons)
    assert first.tie_probability(np.zeros(1))[0] == pytest.approx(0.25)


@pytest.mark.parametrize("kind", ["rao-kupper", "davidson"])
def test_the_tie_parameter_is_at_the_minimum(tied_problem, kind):
    """Refitted next to it, the objective is higher on both sides."""
    problem, comparisons = tied_problem
    labels = LabelModel.guess(comparisons, "logit", kind)
    problem = replace(problem, loss=labels.loss(comparisons))
    start = np.zeros(len(problem.curvature))
    labels, fitted, w = fit_ties(labels, problem, 0.5, start)
    loss, parameter = fitted.loss, np.log(labels.tie_parameter)

    def objective(value):
        here = replace(problem, loss=loss.with_parameter(value))
        v, *_ = minimise(here, 0.5, w, tol=1e-9, max_iter=50)
        return here.weight @ here.loss.evaluate(here.logit(v))[0] + 0.25 * v @ v

    best = objective(parameter)
    assert objective(parameter - 0.01) > best < objective(parameter + 0.01)
