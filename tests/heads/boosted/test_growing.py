"""Gradients of the pairwise loss are its derivatives; growth stops where it should."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from embrm.heads.boosted._growing import (
    BoostingWins,
    EarlyStopping,
    boost,
    boost_until_stalled,
)


def make_wins(seed, n_items=7, n_wins=20, spread=1.0):
    rng = np.random.default_rng(seed)
    winner = rng.integers(0, n_items, n_wins)
    loser = (winner + rng.integers(1, n_items, n_wins)) % n_items
    logit = rng.normal(size=n_wins) * spread
    return BoostingWins(winner, loser, logit, rng.uniform(0.1, 3, n_wins)), rng


def total_loss(wins, scores):
    return wins.weight @ wins.losses(scores)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_the_gradient_is_the_finite_difference_of_the_loss(seed):
    """In float64, item by item."""
    wins, rng = make_wins(seed)
    scores = rng.normal(size=7)
    gradient, _ = wins.gradients(scores)
    steps = 1e-5 * np.eye(7)
    wanted = [
        (total_loss(wins, scores + s) - total_loss(wins, scores - s)) / 2e-5
        for s in steps
    ]
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-8)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_the_hessian_is_the_finite_difference_of_the_gradient(seed):
    """On the diagonal, where logits are moderate and the floor plays no part."""
    wins, rng = make_wins(seed, spread=0.3)
    scores = 0.3 * rng.normal(size=7)
    logit = wins.logit + scores[wins.winner] - scores[wins.loser]
    assume(logit.min() > -1.9)  # the floor begins where a win has probability 1/8
    _, hessian = wins.gradients(scores)
    steps = 1e-5 * np.eye(7)
    wanted = [
        (wins.gradients(scores + s)[0] - wins.gradients(scores - s)[0])[k] / 2e-5
        for k, s in enumerate(steps)
    ]
    np.testing.assert_allclose(hessian, wanted, rtol=1e-6, atol=1e-8)


def test_the_gradient_sums_to_zero():
    """What the winner gains the loser loses: a constant cancels."""
    wins, rng = make_wins(0)
    assert wins.gradients(rng.normal(size=7))[0].sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_logits_of_ten_thousand_nats_are_finite(logit):
    """Losses, gradients and Newton steps of at most 8 nats."""
    wins = BoostingWins(np.array([0]), np.array([1]), np.array([logit]), np.ones(1))
    with np.errstate(over="raise", invalid="raise"):
        gradient, hessian = wins.gradients(np.zeros(2))
        assert wins.losses(np.zeros(2))[0] == max(0.0, -logit)
    assert np.all(np.abs(gradient) <= 8 * hessian + 1e-300)


def test_items_without_a_win_have_no_gradient():
    """Binned items that no pair mentions do not change the trees."""
    wins = BoostingWins(np.array([0]), np.array([1]), np.zeros(1), np.ones(1))
    gradient, hessian = wins.gradients(np.zeros(4))
    np.testing.assert_array_equal(gradient, [-0.5, 0.5, 0, 0])
    np.testing.assert_array_equal(hessian, [0.25, 0.25, 0, 0])


class StepGrower:
    """Moves items 0 and 1 apart by a constant step, and counts."""

    def __init__(self, step, last=None):
        self.size, self.last = step, last
        self.scores, self.n_grown = np.zeros(2), 0

    def step(self, gradients):
        gradients(self.scores.copy())
        if self.n_grown == self.last:
            return True
        self.scores += [self.size, -self.size]
        self.n_grown += 1
        return False

    def forest(self, n_trees):
        return n_trees


ONE_WIN = BoostingWins(np.array([0]), np.array([1]), np.zeros(1), np.ones(1))
MIXED = BoostingWins(
    np.array([0, 1]), np.array([1, 0]), np.zeros(2), np.array([3.0, 1.0])
)


def test_the_best_number_of_trees_is_that_of_the_least_held_out_loss():
    """Three wins to one are best served by a delta of log 3."""
    stopping = boost_until_stalled(
        StepGrower(0.1), ONE_WIN, MIXED, max_rounds=100, patience=4
    )
    assert stopping.best == round(np.log(3) / 0.2)
    assert len(stopping.history) == stopping.best + 4 + 1
    assert stopping.history[0] == pytest.approx(np.log(2))


def test_the_last_round_is_considered():
    """With a loss that always falls, all rounds are taken."""
    stopping = boost_until_stalled(
        StepGrower(0.1), ONE_WIN, ONE_WIN, max_rounds=5, patience=4
    )
    assert stopping.best == 5


def test_growth_ends_where_no_tree_can_split():
    """A library that cannot split has grown its last tree."""
    assert boost(StepGrower(0.1, last=3), ONE_WIN, 10) == 3
    assert boost(StepGrower(0.1), ONE_WIN, 10) == 10


def test_a_gain_within_its_standard_errors_is_chance():
    """Held-out wins that gain and lose alike prove nothing; all that gain do."""
    rng = np.random.default_rng(0)
    ids = rng.permutation(200).reshape(-1, 2)
    held_out = BoostingWins(ids[:, 0], ids[:, 1], np.zeros(100), np.ones(100))
    chance, clear = EarlyStopping(held_out), EarlyStopping(held_out)
    for stopping in (chance, clear):
        stopping.record(np.zeros(200))
    chance.record(0.01 * rng.normal(size=200))
    better = np.zeros(200)
    better[ids[:, 0]] = 1.0
    clear.record(better)
    assert chance.is_chance()
    assert not clear.is_chance()
