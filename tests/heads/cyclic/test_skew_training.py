"""The objective of the general preference head has the gradient that it claims."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from embrm.heads.comparisons import make_comparisons
from embrm.heads.cyclic.skew_training import (
    SkewWeights,
    fit_skew,
    largest_useful_penalty,
    lead_of,
    skew_delta,
    value_and_gradient,
)
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import make_problem


@pytest.fixture
def problem(make_preferences):
    """A small problem with margins and weights, in the coordinates of the solver."""
    data = make_preferences(n_prompts=12, n_responses=3, d=4, error_rate=0.3)
    rng = np.random.default_rng(1)
    weight, margin = rng.uniform(0.5, 2, (2, len(data.y)))
    return make_problem(make_comparisons(data.pairs, data.y, weight, margin))


@pytest.fixture
def weights():
    """Random weights of two blocks."""
    rng = np.random.default_rng(2)
    return SkewWeights(rng.normal(size=4), *rng.normal(size=(2, 4, 2)))


def test_the_gradient_is_that_of_finite_differences(problem, weights):
    """All three parts of it."""
    _, gradient = value_and_gradient(problem, weights, 0.3, 0.7)
    wanted = approx_fprime(
        weights.flat(),
        lambda flat: value_and_gradient(problem, weights.like(flat), 0.3, 0.7)[0],
        1e-6,
    )
    np.testing.assert_allclose(gradient.flat(), wanted, rtol=1e-4, atol=1e-4)


def test_delta_is_the_skew_form_of_both_items(problem, weights):
    """Brute force, with the skew matrix written out."""
    matrix = weights.first @ weights.second.T - weights.second @ weights.first.T
    one, two = problem.items[problem.winner], problem.items[problem.loser]
    wanted = (one - two) @ weights.linear + np.einsum("ij,jk,ik->i", one, matrix, two)
    np.testing.assert_allclose(
        lead_of(problem, weights), wanted - problem.margin, atol=1e-12
    )


def test_exchanging_items_negates_delta_to_the_last_bit(problem, weights):
    """Whatever the numbers."""
    parts = [
        problem.items @ part for part in (weights.linear, weights.first, weights.second)
    ]
    ids = np.column_stack([problem.winner, problem.loser])
    np.testing.assert_array_equal(
        skew_delta(*parts, ids), -skew_delta(*parts, ids[:, ::-1])
    )


def test_the_largest_useful_penalty_is_a_singular_value(problem):
    """Of the gradient in the skew matrix, written out densely."""
    linear, _, _ = minimise(problem, 1.0, np.zeros(4), tol=1e-10, max_iter=50)
    lead = problem.delta(linear) - problem.margin
    pull = problem.weight / (1 + np.exp(lead))
    one, two = problem.items[problem.winner], problem.items[problem.loser]
    gradient = (pull[:, None] * one).T @ two
    wanted = np.linalg.norm(gradient - gradient.T, 2)
    assert largest_useful_penalty(problem, linear) == pytest.approx(wanted, rel=1e-6)


def test_no_block_survives_the_largest_useful_penalty(problem):
    """And one does below it: the penalty is a nuclear norm."""
    linear, _, _ = minimise(problem, 1.0, np.zeros(4), tol=1e-10, max_iter=50)
    largest = largest_useful_penalty(problem, linear)
    sizes = []
    for share in (1.05, 0.8):
        found, _, _ = fit_skew(
            problem, linear, 1, alpha=1.0, beta=share * largest, tol=1e-14, max_iter=999
        )
        sizes.append(np.linalg.norm(found.first))
    assert sizes[0] < 1e-3 < sizes[1]


def test_the_fit_is_no_worse_than_many_random_starts(problem):
    """One spectral start does what ten random ones do."""
    linear, _, _ = minimise(problem, 1.0, np.zeros(4), tol=1e-10, max_iter=50)
    beta = 0.4 * largest_useful_penalty(problem, linear)
    found, _, converged = fit_skew(
        problem, linear, 2, alpha=1.0, beta=beta, tol=1e-13, max_iter=999
    )
    value, _ = value_and_gradient(problem, found, 1.0, beta)

    def objective(flat):
        result, gradient = value_and_gradient(problem, found.like(flat), 1.0, beta)
        return result, gradient.flat()

    rng = np.random.default_rng(0)
    others = [
        minimize(objective, rng.normal(size=found.flat().size), jac=True).fun
        for _ in range(10)
    ]
    assert converged
    assert value <= min(others) + 1e-6
