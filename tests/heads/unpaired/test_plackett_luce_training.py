"""The Plackett-Luce likelihood is computed right, with its gradient and curvature."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from embrm.heads.unpaired.plackett_luce_training import (
    fit_rankings,
    make_ranking_problem,
    ranking_losses,
    search_ranking_alpha,
    value_and_gradient,
)
from embrm.heads.unpaired.rankings import RankingBlock, make_ranked_items


def rankings_of(rng, gold, n_rankings, longest=5):
    """Draw rankings of random length by adding Gumbel noise to gold."""
    drawn = []
    for _ in range(n_rankings):
        rows = rng.choice(len(gold), rng.integers(2, longest + 1), replace=False)
        drawn.append(rows[np.argsort(-(gold[rows] + rng.gumbel(size=len(rows))))])
    return drawn


@pytest.fixture
def ranked():
    """Rankings of 2 to 5 items, of which some are in order at the top only."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(20, 3))
    drawn = rankings_of(rng, items[:, 0], 15)
    counts = [rng.integers(1, len(rows) + 1) for rows in drawn]
    return make_ranked_items(items, drawn, counts, rng.uniform(0.5, 2, 15))


def test_the_loss_is_that_of_choosing_one_after_the_other():
    """Written out for three items."""
    reward, e = np.array([0.2, -1.0, 3.0]), np.exp([0.2, -1.0, 3.0])
    rows = np.array([[1, 0, 2]] * 2)
    block = RankingBlock(rows, np.array([3, 1]), np.ones(2))
    first = -np.log(e[1] / e.sum())
    losses, _ = ranking_losses(reward, block)
    np.testing.assert_allclose(losses, [first - np.log(e[0] / (e[0] + e[2])), first])


def test_extreme_rewards_have_finite_losses_and_slopes():
    """No exponential overflows."""
    block = RankingBlock(np.array([[0, 1, 2]]), np.array([3]), np.ones(1))
    with np.errstate(over="raise", invalid="raise"):
        losses, slopes = ranking_losses(np.array([-1e4, 0.0, 1e4]), block)
    np.testing.assert_allclose(losses, [3e4])
    np.testing.assert_allclose(slopes, [[-1.0, -1.0, 2.0]])


def test_the_gradient_is_that_of_finite_differences(ranked):
    """Over blocks of all lengths."""
    problem = make_ranking_problem(ranked)
    w = np.random.default_rng(1).normal(size=3)
    _, gradient = value_and_gradient(problem, ranked.blocks, w, 0.7)
    wanted = approx_fprime(
        w, lambda v: value_and_gradient(problem, ranked.blocks, v, 0.7)[0], 1e-7
    )
    np.testing.assert_allclose(gradient, wanted, atol=1e-4)


def test_the_curvature_at_zero_is_that_of_finite_differences(ranked):
    """So that the problem is well conditioned."""
    problem = make_ranking_problem(ranked)
    hessian = [
        approx_fprime(
            np.zeros(3),
            lambda v, k=k: value_and_gradient(problem, ranked.blocks, v, 0.0)[1][k],
            1e-6,
        )
        for k in range(3)
    ]
    np.testing.assert_allclose(hessian, np.diag(problem.curvature), atol=1e-3)


def test_the_fit_ends_where_the_gradient_is_zero(ranked):
    """From a start far away."""
    problem = make_ranking_problem(ranked)
    found = fit_rankings(
        problem, ranked.blocks, 0.1, np.full(3, 5.0), tol=1e-10, max_iter=500
    )
    _, gradient = value_and_gradient(problem, ranked.blocks, found.parameters, 0.1)
    np.testing.assert_allclose(gradient, 0, atol=1e-7)


def test_the_search_penalises_noise_more_than_signal():
    """Random rankings against gold ones, in 20 columns."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(120, 20))
    alphas = []
    for gold in (3 * items[:, 0], np.zeros(120)):
        ranked = make_ranked_items(items, rankings_of(rng, gold, 60))
        alphas.append(search_ranking_alpha(ranked, make_ranking_problem(ranked))[0])
    assert alphas[1] > 5 * alphas[0]


def test_few_rankings_leave_nothing_to_choose(ranked):
    """The strong prior."""
    few = make_ranked_items(ranked.items, [[0, 1, 2], [3, 4]])
    alpha, alphas, losses = search_ranking_alpha(few, make_ranking_problem(few))
    assert alpha > 0
    assert alphas.size == losses.size == 0
