"""The KTO objective has the gradient that it claims, and its path ends in minima."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from embrm.heads.unpaired.kto_training import (
    LabelledItems,
    follow_path,
    kto_losses,
    kto_value_and_gradient,
    label_log_losses,
    make_kto_problem,
    path_to,
    penalties,
)


@pytest.fixture
def labelled():
    """Random items with labels of random weight, most of them desirable."""
    rng = np.random.default_rng(0)
    desirable, undesirable = rng.uniform(0, [[3.0], [1.0]], (2, 30))
    return LabelledItems(rng.normal(size=(30, 4)) + 5, desirable, undesirable)


def test_balancing_keeps_the_total_and_sets_the_ratio(labelled):
    """Lambda n of both kinds."""
    found = labelled.balanced(4 / 3)
    assert found.weight.sum() == pytest.approx(labelled.weight.sum())
    ratio = found.desirable.sum() / found.undesirable.sum()
    assert ratio == pytest.approx(4 / 3)


def test_the_gradient_is_that_of_finite_differences(labelled):
    """At a random point."""
    problem = make_kto_problem(labelled.balanced(1.0))
    w = np.random.default_rng(1).normal(size=4)
    _, gradient = kto_value_and_gradient(problem, 0.5, w)
    wanted = approx_fprime(
        w, lambda v: kto_value_and_gradient(problem, 0.5, v)[0], 1e-7
    )
    np.testing.assert_allclose(gradient, wanted, atol=1e-5)


def test_the_reference_point_has_reward_zero(labelled):
    """By weight, whatever w."""
    problem = make_kto_problem(labelled.balanced(1.0))
    np.testing.assert_allclose(
        problem.labelled.weight @ problem.labelled.items, 0, atol=1e-9
    )


def test_rotated_coordinates_have_the_rewards_of_the_items():
    """Also where columns outnumber items."""
    rng = np.random.default_rng(0)
    raw = LabelledItems(rng.normal(size=(5, 9)), np.ones(5), rng.uniform(size=5))
    problem = make_kto_problem(raw)
    w = rng.normal(size=problem.basis.shape[1])
    np.testing.assert_allclose(
        problem.labelled.items @ w,
        (raw.items - raw.reference_point()) @ (problem.basis @ w),
        atol=1e-12,
    )


def test_the_losses_are_those_of_the_paper():
    """lambda (1 - v) with v = sigma(r) if desirable, sigma(-r) if not."""
    reward = np.array([0.3, -2.0])
    items = LabelledItems(np.eye(2), np.array([2.0, 0.0]), np.array([0.0, 3.0]))
    value = 1 / (1 + np.exp([-0.3, -2.0]))
    np.testing.assert_allclose(kto_losses(reward, items), [2, 3] * (1 - value))
    np.testing.assert_allclose(
        label_log_losses(reward, items), [-2, -3] * np.log(value)
    )


def test_the_path_ends_in_a_minimum(labelled):
    """As a general optimiser finds it from there, and no worse than from zero."""
    problem = make_kto_problem(labelled.balanced(1.0))
    alphas = path_to(problem, 0.3)
    *_, (w, _) = follow_path(problem, alphas)
    value, gradient = kto_value_and_gradient(problem, 0.3, w)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    other = minimize(
        lambda v: kto_value_and_gradient(problem, 0.3, v), np.zeros(4), jac=True
    )
    assert value <= other.fun + 1e-8


def test_the_path_descends_to_the_penalty(labelled):
    """Strong ones first."""
    problem = make_kto_problem(labelled)
    alphas = path_to(problem, 0.3)
    assert alphas[-1] == 0.3
    assert (np.diff(alphas) < 0).all()
    assert set(alphas[:-1]) <= set(penalties(problem))
