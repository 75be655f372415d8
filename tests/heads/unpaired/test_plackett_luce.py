"""PlackettLuce agrees with Bradley-Terry for two, and with choix without features."""

import choix
import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from sklearn.exceptions import ConvergenceWarning

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry, PlackettLuce
from embrm.heads.unpaired._rankings import RankingBlock, make_ranked_items
from embrm.heads.unpaired.plackett_luce import (
    fit_rankings,
    make_ranking_problem,
    ranking_losses,
    search_ranking_alpha,
    value_and_gradient,
)


def draw_rankings(gold, n_rankings, size, seed=0, noise=1.0):
    """Draw rankings by adding Gumbel noise to gold."""
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.permutation(len(gold))[:size] for _ in range(n_rankings)])
    utility = gold[rows] + noise * rng.gumbel(size=rows.shape)
    return np.take_along_axis(rows, np.argsort(-utility, axis=1), axis=1)


def test_rankings_of_two_are_penalised_bradley_terry():
    """By an independent optimiser on the matrix of differences, to 1e-6."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(50, 4))
    games = draw_rankings(items[:, 0], 200, 2)
    weight = rng.uniform(0, 2, 200)
    differences = items[games[:, 0]] - items[games[:, 1]]

    def objective(w):
        delta = differences @ w
        lose = 1 / (1 + np.exp(delta))
        value = weight @ np.logaddexp(0, -delta) + 0.25 * w @ w
        return value, -differences.T @ (weight * lose) + 0.5 * w

    wanted = minimize(
        objective, np.zeros(4), jac=True, options={"gtol": 1e-9}, method="BFGS"
    ).x
    head = PlackettLuce(alpha=0.5).fit(items, games, sample_weight=weight)
    np.testing.assert_allclose(head.coef_, wanted, atol=1e-6)


def test_rankings_of_two_are_the_linear_bradley_terry_head():
    """The same penalty, the same weights to 1e-6."""
    items = np.random.default_rng(0).normal(size=(50, 4))
    games = draw_rankings(items[:, 0], 200, 2)
    linear = LinearBradleyTerry(alpha=0.5).fit(Pairs(items, games))
    head = PlackettLuce(alpha=0.5).fit(items, games)
    np.testing.assert_allclose(head.coef_, linear.coef_, atol=1e-6)
    np.testing.assert_allclose(head.reward(items), linear.reward(items), atol=1e-6)


@pytest.mark.parametrize("size", [2, 5])
def test_one_hot_items_agree_with_choix(size):
    """The Plackett-Luce model of named items; choix penalises without the half."""
    rankings = draw_rankings(np.linspace(-1, 1, 8), 60, size)
    wanted = choix.opt_rankings(8, rankings.tolist(), alpha=0.1, tol=1e-12)
    head = PlackettLuce(alpha=0.2).fit(np.eye(8), rankings)
    np.testing.assert_allclose(
        head.reward(np.eye(8)), wanted - np.mean(wanted), atol=1e-6
    )


def test_a_top_of_one_agrees_with_choix():
    """The best of five, and four losers in no order."""
    rankings = draw_rankings(np.linspace(-1, 1, 8), 60, 5)
    choices = [(int(row[0]), row[1:].tolist()) for row in rankings]
    wanted = choix.opt_top1(8, choices, alpha=0.1, tol=1e-12)
    head = PlackettLuce(alpha=0.2).fit(np.eye(8), rankings, n_ranked=1)
    np.testing.assert_allclose(
        head.reward(np.eye(8)), wanted - np.mean(wanted), atol=1e-6
    )


def test_the_order_below_the_top_does_not_matter():
    """With n_ranked, it says nothing."""
    items = np.random.default_rng(0).normal(size=(30, 3))
    rankings = draw_rankings(items[:, 0], 40, 6)
    other = np.hstack([rankings[:, :2], rankings[:, :1:-1]])
    one = PlackettLuce(alpha=1.0).fit(items, rankings, n_ranked=2)
    two = PlackettLuce(alpha=1.0).fit(items, other, n_ranked=2)
    np.testing.assert_allclose(one.coef_, two.coef_, atol=1e-8)


def test_the_planted_reward_is_recovered():
    """With rankings drawn from the model, weights are near the planted ones."""
    items = np.random.default_rng(0).normal(size=(2000, 4))
    gold = items @ np.linspace(1, -1, 4)
    rankings = draw_rankings(gold, 1000, 5)
    head = PlackettLuce().fit(items, rankings)
    np.testing.assert_allclose(head.coef_, np.linspace(1, -1, 4), atol=0.12)
    assert head.reward(items[np.unique(rankings)]).mean() == pytest.approx(0, abs=1e-9)


def test_rankings_teach_more_than_their_first_pair():
    """Held-out pairs are ordered better by rankings of six than by pairs."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(600, 30))
    gold = items[:, :5].sum(axis=1)
    rankings = draw_rankings(gold[:400], 80, 6, noise=2.0)
    test = Pairs(items, np.arange(400, 600).reshape(100, 2))
    better = gold[test.first] > gold[test.second]
    whole = PlackettLuce().fit(items, rankings).score(test, better)
    pairs = PlackettLuce().fit(items, rankings[:, [0, 5]]).score(test, better)
    assert whole > pairs


def test_weights_and_order_mean_what_they_say():
    """Copies, removed and shuffled rankings: the same reward."""
    items = np.random.default_rng(0).normal(size=(40, 3))
    rankings = draw_rankings(items[:, 0], 30, 4)
    weight = np.random.default_rng(1).integers(0, 3, 30)
    copies = np.random.default_rng(2).permutation(np.repeat(np.arange(30), weight))
    one = PlackettLuce().fit(items, rankings, sample_weight=weight)
    two = PlackettLuce().fit(items, rankings[copies])
    np.testing.assert_allclose(one.reward(items), two.reward(items), atol=1e-6)
    assert one.alpha_ in one.alphas_


def test_rankings_of_different_length_are_one_fit():
    """A list of lists."""
    items = np.arange(5.0)[:, None]
    head = PlackettLuce().fit(items, [[4, 3, 2, 1, 0], [3, 1], [4, 2, 0]])
    assert (np.diff(head.reward(items)) > 0).all()


def test_too_few_iterations_warn():
    """The message says which parameter to change."""
    items = np.random.default_rng(0).normal(size=(30, 5)) * [1, 10, 100, 1, 1]
    with pytest.warns(ConvergenceWarning, match="in 1 steps; raise max_iter"):
        PlackettLuce(alpha=0.01, max_iter=1).fit(
            items, draw_rankings(items[:, 0], 40, 5)
        )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_iter": 0}, "max_iter: an integer >= 1"),
        ({"tol": 0.0}, "tol: a finite number > 0"),
    ],
)
def test_parameters_out_of_range_are_refused(params, message):
    """At fit, as scikit-learn wants it."""
    with pytest.raises(InvalidInputError, match=message):
        PlackettLuce(**params).fit(np.eye(2), [[0, 1]])


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
