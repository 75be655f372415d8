"""The solver of the linear head finds the minimum, whatever the shape of the data."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import problem as linear_problem
from embrm.heads.linear.newton import (
    DiagonalCoordinates,
    FactoredCoordinates,
    _Preconditioned,
    descend,
    minimise,
)
from embrm.heads.linear.problem import make_problem, mean_square_difference


@pytest.fixture
def comparisons(make_preferences):
    """Noisy wins with weights and margins."""
    data = make_preferences(n_prompts=15, error_rate=0.2)
    rng = np.random.default_rng(5)
    n = len(data.y)
    return make_comparisons(
        data.pairs, data.y, rng.uniform(0.5, 3, n), rng.uniform(0, 2, n)
    )


def solve(problem, alpha, **options):
    options = {"tol": 1e-10, "max_iter": 200, **options}
    return minimise(problem, alpha, np.zeros(len(problem.curvature)), **options)


def direct_gradient(comparisons, w, alpha):
    """The gradient of F, written with the matrix of differences."""
    difference = comparisons.items[comparisons.winner]
    difference = difference - comparisons.items[comparisons.loser]
    logit = difference @ w - comparisons.margin
    return difference.T @ (-comparisons.weight / (1 + np.exp(logit))) + alpha * w


def test_the_gradient_vanishes_at_the_solution(comparisons):
    """Checked in the user's coordinates, against the matrix of differences."""
    problem = make_problem(comparisons)
    w, _, converged = solve(problem, 0.5)
    assert converged
    gradient = direct_gradient(comparisons, problem.basis @ w, 0.5)
    np.testing.assert_allclose(gradient, 0, atol=1e-8)


def test_the_gradient_is_that_of_the_value(comparisons):
    """Finite differences agree to 1e-6."""
    scaled = _Preconditioned(make_problem(comparisons), 0.7)
    u = np.random.default_rng(0).normal(size=5)
    numeric = approx_fprime(u, lambda v: scaled.evaluate(v).value, 1e-7)
    np.testing.assert_allclose(scaled.evaluate(u).gradient, numeric, rtol=1e-5)


def test_the_curvature_is_that_of_the_gradient(comparisons):
    """Finite differences of the gradient agree with the product with the Hessian."""
    scaled = _Preconditioned(make_problem(comparisons), 0.7)
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 5))
    numeric = (
        scaled.evaluate(u + 1e-6 * v).gradient - scaled.evaluate(u - 1e-6 * v).gradient
    ) / 2e-6
    np.testing.assert_allclose(
        scaled.hessian_product(scaled.evaluate(u), v), numeric, rtol=1e-6
    )


def test_the_hessian_at_zero_is_about_one_when_preconditioned(comparisons):
    """The basis diagonalises it and the scale makes it the identity."""
    # A margin shifts the point where the win's loss is most curved.
    bare = replace(comparisons, margin=0 * comparisons.margin)
    scaled = _Preconditioned(make_problem(bare), 0.3)
    there = scaled.evaluate(np.zeros(5))
    hessian = np.column_stack(
        [scaled.hessian_product(there, axis) for axis in np.eye(5)]
    )
    np.testing.assert_allclose(hessian, np.eye(5), atol=1e-9)


def test_fewer_items_than_dimensions_are_solved_in_their_span():
    """The gradient vanishes in all dimensions, not in the span alone."""
    rng = np.random.default_rng(1)
    items = rng.normal(size=(12, 40))
    ids = rng.permutation(12).reshape(6, 2)
    few = make_comparisons(Pairs(items, ids))
    problem = make_problem(few)
    assert problem.items.shape[1] <= 12
    w, _, converged = solve(problem, 0.1)
    assert converged
    gradient = direct_gradient(few, problem.basis @ w, 0.1)
    np.testing.assert_allclose(gradient, 0, atol=1e-9)


def test_without_rotation_the_solution_is_the_same(comparisons, monkeypatch):
    """Wide data are preconditioned by the diagonal alone."""
    rotated = make_problem(comparisons)
    wanted = rotated.basis @ solve(rotated, 0.5)[0]
    monkeypatch.setattr(linear_problem, "LARGEST_ROTATION", 2)
    plain = make_problem(comparisons)
    assert plain.basis is None
    np.testing.assert_allclose(solve(plain, 0.5)[0], wanted, atol=1e-8)
    assert mean_square_difference(plain) == pytest.approx(
        mean_square_difference(rotated)
    )


@pytest.mark.parametrize("alpha", [0.0, 1e-12, 1e-3, 1e6])
def test_separable_wins_have_a_finite_solution(alpha):
    """Without a penalty the fit ends when the gradient is small."""
    items = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0], [3.0, 1.0]])
    problem = make_problem(make_comparisons(Pairs(items, [[1, 0], [3, 2], [2, 0]])))
    w, _, converged = solve(problem, alpha, tol=1e-8)
    assert converged
    assert np.isfinite(w).all()
    assert (problem.delta(w) > 0).all()


def test_newton_takes_few_steps(comparisons):
    """Convergence is quadratic near the minimum."""
    assert solve(make_problem(comparisons), 0.5)[1] <= 10


@pytest.mark.parametrize("alpha", [0.01, 0.5, 50.0])
def test_to_descend_by_gradients_finds_the_same_minimum(comparisons, alpha):
    """In the coordinates of the eigenbasis, and with fewer readings of the wins."""
    problem = make_problem(comparisons)
    coordinates = DiagonalCoordinates.of(problem.curvature, alpha)
    counts = {"evaluate": 0, "hessian_product": 0}

    class Counted:
        weight, curvature = problem.weight, problem.curvature

        def evaluate(self, w):
            counts["evaluate"] += 1
            return problem.evaluate(w)

        def hessian_product(self, w, edge):
            counts["hessian_product"] += 1
            return problem.hessian_product(w, edge)

    options = {"coordinates": coordinates, "tol": 1e-6, "max_iter": 100}
    start = np.zeros(len(problem.curvature))
    found, n_iter, converged = descend(
        Counted(), alpha, start, rounding=1e-14, **options
    )
    assert converged
    n_read = sum(counts.values())
    assert n_read <= n_iter + 3
    minimise(Counted(), alpha, start, **options)
    assert n_read < 0.8 * (sum(counts.values()) - n_read)
    np.testing.assert_allclose(found, solve(problem, alpha)[0], rtol=1e-3, atol=1e-4)
    options["max_iter"] = 2
    _, n_iter, converged = descend(Counted(), alpha, start, rounding=1e-14, **options)
    assert (n_iter, converged) == (2, False)


def test_too_few_steps_are_reported(comparisons):
    """One step from zero is not enough for 1e-10."""
    *_, converged = solve(make_problem(comparisons), 0.5, max_iter=1)
    assert not converged


def test_the_scale_of_the_items_changes_the_weights_alone(comparisons):
    """F with items times k and alpha times k^2 has its minimum at w / k."""
    large = replace(comparisons, items=1e4 * comparisons.items)
    one, other = make_problem(comparisons), make_problem(large)
    np.testing.assert_allclose(
        other.basis @ solve(other, 0.5e8)[0] * 1e4,
        one.basis @ solve(one, 0.5)[0],
        rtol=1e-6,
    )


def test_a_tolerance_below_rounding_ends_the_search(comparisons):
    """Where no step lowers the loss any further, the fit is as good as it gets."""
    problem = make_problem(comparisons)
    w, n_iter, converged = solve(problem, 0.5, tol=1e-300)
    assert converged
    assert n_iter < 20
    np.testing.assert_allclose(w, solve(problem, 0.5)[0], rtol=1e-9)


def test_a_loss_without_curvature_is_descended_by_its_gradient():
    """At a logit of -1e4 nats the logistic loss is a straight line."""
    items = np.array([[0.0], [1.0]])
    problem = make_problem(make_comparisons(Pairs(items, [[1, 0]]), margin=[1e4]))
    w, *_ = solve(problem, 0.0, max_iter=5)
    assert np.isfinite(w).all()
    assert problem.delta(w)[0] > 0


@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_huge_margins_have_a_finite_solution(alpha):
    """A penalty bends the straight line."""
    items = np.array([[0.0, 1.0], [1.0, 0.0], [3.0, 1.0]])
    pairs = Pairs(items, [[1, 0], [2, 1]])
    problem = make_problem(make_comparisons(pairs, margin=[1e4, 0.0]))
    w, _, converged = solve(problem, alpha, tol=1e-8)
    assert converged
    assert np.isfinite(w).all()


@pytest.fixture
def hessian():
    """A positive definite matrix with a spread spectrum."""
    draw = np.random.default_rng(0).normal(size=(40, 6)) * np.linspace(0.1, 3, 6)
    return draw.T @ draw


def rotated(hessian, alpha):
    curvature, basis = np.linalg.eigh(hessian)
    return DiagonalCoordinates.of(curvature, alpha, basis)


def every(hessian, alpha):
    return (
        DiagonalCoordinates.of(np.diagonal(hessian), alpha),
        rotated(hessian, alpha),
        FactoredCoordinates.of(hessian, alpha),
    )


def test_gradient_is_the_adjoint_of_weights(hessian):
    """So that a derivative by u is the chain rule's."""
    u, v = np.random.default_rng(1).normal(size=(2, 6))
    for made in every(hessian, 0.3):
        assert made.weights(u) @ v == pytest.approx(u @ made.gradient(v))


def test_weights_have_their_coordinates(hessian):
    """`of_weights` undoes `weights`."""
    u = np.random.default_rng(1).normal(size=6)
    for made in every(hessian, 0.3):
        np.testing.assert_allclose(made.of_weights(made.weights(u)), u)


@pytest.mark.parametrize("make", [FactoredCoordinates.of, rotated])
def test_the_hessian_is_one(hessian, make):
    """With the penalty, in the new coordinates."""
    made = make(hessian, 0.3)
    columns = [
        made.gradient((hessian + 0.3 * np.eye(6)) @ made.weights(axis))
        for axis in np.eye(6)
    ]
    np.testing.assert_allclose(np.array(columns), np.eye(6), atol=1e-10)


@pytest.mark.parametrize("make", [FactoredCoordinates.of, rotated])
def test_the_effective_dimension_is_the_trace(hessian, make):
    """Of the Hessian of the losses over that with the penalty."""
    wanted = np.trace(np.linalg.solve(hessian + 2.0 * np.eye(6), hessian))
    made = make(hessian, 2.0)
    assert made.effective_dimension == pytest.approx(wanted)


def test_a_singular_hessian_without_a_penalty_is_factored():
    """A floor takes the place of the penalty, as large as rounding asks for."""
    made = FactoredCoordinates.of(np.diag([1.0, 1.0, -1e-6]), 0.0)
    assert np.isfinite(made.inverse).all()
