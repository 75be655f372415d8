"""Weights of large item matrices: rough first, then exact, with the posterior."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import in_place_problem
from embrm.heads.linear.in_place_problem import stay_in_place
from embrm.heads.linear.large_fit import minimise_in_place
from embrm.heads.linear.posterior import hessian_of_losses


@pytest.fixture
def make_problem(monkeypatch):
    """Make a bare problem of 400 items, however small."""
    monkeypatch.setattr(in_place_problem, "_WORTH_LEAVING", 0)
    monkeypatch.setattr(in_place_problem, "_GRAM_ROWS", 150)

    def make(offset=0.0, n_wins=600, noise=1.0):
        rng = np.random.default_rng(0)
        items = rng.normal(size=(400, 9)) * np.linspace(0.3, 2, 9) + offset
        items = items.astype(np.float32)
        ids = rng.integers(400, size=(n_wins, 2))
        ids = ids[ids[:, 0] != ids[:, 1]]
        lead = (items[ids[:, 0]] - items[ids[:, 1]]).sum(axis=1)
        y = lead + noise * rng.logistic(size=len(ids)) > 0
        made = make_comparisons(Pairs(items, ids), y)
        return stay_in_place(made)

    return make


def fit(problem, alpha=0.5, keep_hessian=True, tol=1e-9):
    return minimise_in_place(
        problem,
        alpha,
        np.zeros(problem.items.shape[1]),
        tol=tol,
        max_iter=100,
        keep_hessian=keep_hessian,
    )


@pytest.mark.parametrize("offset", [0.0, 3000.0])
def test_coefficients_are_those_of_logistic_regression(make_problem, offset):
    """On the matrix of differences, near the origin and far from it."""
    problem = make_problem(offset)
    found = fit(problem)
    items = problem.items.astype(np.float64)
    gaps = items[problem.winner] - items[problem.loser]
    both = np.concatenate([gaps, -gaps])
    model = LogisticRegression(C=1 / 0.5, fit_intercept=False, tol=1e-10)
    model.fit(both, np.repeat([1, 0], len(gaps)), np.tile(problem.weight / 2, 2))
    assert found.converged
    np.testing.assert_allclose(found.w, model.coef_[0], atol=1e-4)


def test_the_posterior_does_not_move_the_weights(make_problem):
    """Without it another matrix conditions the last steps, to the same minimum."""
    problem = make_problem()
    one, other = fit(problem), fit(problem, keep_hessian=False)
    assert other.hessian is None
    np.testing.assert_allclose(one.w, other.w, atol=1e-7)


@pytest.mark.parametrize("noise", [1.0, 0.0])
def test_the_hessian_is_that_at_the_weights(make_problem, noise):
    """Also where the wins are separable and the fit goes on for long."""
    problem = make_problem(noise=noise)
    found = fit(problem, alpha=1e-4 if noise == 0 else 0.5)
    wanted = hessian_of_losses(replace(problem, is_centred=False), found.w)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found.hessian, wanted, atol=2e-3 * scale)


def test_fewer_wins_than_dimensions_without_a_penalty_have_a_minimum(make_problem):
    """Directions that no win tells of stay at zero or are small."""
    found = fit(make_problem(n_wins=6), alpha=0.0, tol=1e-6)
    assert np.isfinite(found.w).all()
