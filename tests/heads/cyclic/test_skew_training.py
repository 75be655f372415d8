"""The objective of the general preference head has the gradient that it claims."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from embrm import Pairs
from embrm.heads import make_comparisons
from embrm.heads.cyclic._skew_training import (
    MODERATE,
    NO_BLOCKS,
    SkewWeights,
    fit_skew,
    largest_useful_penalty,
    logits_of,
    search_blocks,
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
        logits_of(problem, weights), wanted - problem.margin, atol=1e-12
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
    logit = problem.delta(linear) - problem.margin
    slope = problem.weight / (1 + np.exp(logit))
    one, two = problem.items[problem.winner], problem.items[problem.loser]
    gradient = (slope[:, None] * one).T @ two
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


def search(pairs, y, *, n_blocks=None, beta=None):
    """Search on pairs, beside the linear head of penalty 1."""
    comparisons = make_comparisons(pairs, y)
    problem = make_problem(comparisons)
    start = np.zeros(len(problem.curvature))
    linear, _, _ = minimise(problem, 1.0, start, tol=1e-8, max_iter=100)
    found = search_blocks(
        comparisons, problem, linear, alpha=1.0, n_blocks=n_blocks, beta=beta
    )
    return found, largest_useful_penalty(problem, linear)


@pytest.fixture
def cyclic():
    """Pairs whose labels follow the turn from one item to the other in a plane."""
    rng = np.random.default_rng(0)
    items, ids = rng.normal(size=(160, 4)), np.arange(160).reshape(80, 2)
    one, two = items[ids[:, 0]], items[ids[:, 1]]
    return Pairs(items, ids), one[:, 0] * two[:, 1] > one[:, 1] * two[:, 0]


def test_transitive_labels_take_no_block(make_preferences):
    """The linear head is kept, and its loss is the first row."""
    data = make_preferences(n_prompts=30, error_rate=0.2)
    found, _ = search(data.pairs, data.y)
    assert (found.n_blocks, found.beta) == (0, np.inf)
    assert found.held_out_loss[0, 0] == 0
    assert set(found.held_out_loss[1:, 0]) == {1}


def test_cyclic_labels_take_blocks(cyclic):
    """And the loss in the table falls."""
    found, _ = search(*cyclic)
    losses = found.held_out_loss
    assert found.n_blocks >= 1
    assert losses[1:, 2].min() < losses[0, 2] - 0.1


def test_a_given_number_of_blocks_leaves_the_penalty_to_choose(cyclic):
    """The one of least held-out loss."""
    found, largest = search(*cyclic, n_blocks=2)
    table = found.held_out_loss[1:]
    assert found.n_blocks == 2
    assert found.beta == table[np.argmin(table[:, 2]), 1] < largest


def test_all_given_is_all_taken(cyclic):
    """Nothing is tried; there are no more blocks than planes."""
    found, _ = search(*cyclic, n_blocks=99, beta=3.0)
    assert (found.n_blocks, found.beta) == (2, 3.0)
    assert found.held_out_loss.size == 0


def test_too_few_wins_take_a_moderate_penalty(cyclic):
    """Given a number; else no blocks."""
    pairs, y = cyclic
    found, largest = search(pairs[:9], y[:9], n_blocks=1)
    assert found.beta == pytest.approx(MODERATE * largest)
    assert search(pairs[:9], y[:9])[0] is NO_BLOCKS


def test_one_dimension_has_no_planes():
    """A skew form needs two."""
    items = np.arange(60.0)[:, None]
    found, _ = search(Pairs(items, np.arange(60).reshape(30, 2)), None, n_blocks=1)
    assert found is NO_BLOCKS


def test_ties_alone_have_no_blocks(cyclic):
    """Their gradient is zero."""
    pairs, _ = cyclic
    assert search(pairs, np.full(len(pairs), 0.5), n_blocks=1)[0] is NO_BLOCKS
