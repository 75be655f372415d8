"""Weights are those of least held-out loss; few wins leave the linear reward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embrm.heads.siamese._mixing import fit_scale, fit_weights, scaled_loss
from embrm.heads.win_loss import HeldOut


def noisy_wins(n, weights, *, flip_rate=0.0, known=None):
    """Two deltas of wins that Bradley-Terry labels decide, with flips."""
    rng = np.random.default_rng(0)
    u = rng.normal(size=(2, n))
    won = weights @ u + rng.logistic(size=n) > 0
    won ^= rng.random(n) < flip_rate
    rate = None if known is None else np.full(n, known)
    return (*np.where(won, 1.0, -1.0) * u, HeldOut(np.zeros(n), np.ones(n), rate))


def test_many_wins_bring_back_the_weights():
    """Within a few standard errors."""
    found = fit_weights(*noisy_wins(50_000, [1.0, 0.5]))
    np.testing.assert_allclose(found, [1.0, 0.5], atol=0.05)


def test_few_wins_leave_the_linear_reward():
    """Though the network's alone has made them."""
    a, b = fit_weights(*noisy_wins(6, [0.0, 1.0]))
    assert a == pytest.approx(1.0, abs=0.3)
    assert b < 0.3


def test_a_useless_reward_gets_no_weight():
    """Given enough wins to know."""
    assert fit_weights(*noisy_wins(50_000, [2.0, 0.0]))[1] < 0.05
    a, b = fit_weights(*noisy_wins(50_000, [0.0, 2.0]))
    assert a < 0.05 < b


def test_known_flips_are_undone():
    """The scale is that of clean labels; without knowing it is smaller."""
    flips = {"weights": [1.5, 0.0], "flip_rate": 0.2}
    delta, _, wins = noisy_wins(100_000, **flips, known=0.2)
    assert fit_scale(delta, wins) == pytest.approx(1.5, abs=0.1)
    delta, _, wins = noisy_wins(100_000, **flips)
    assert fit_scale(delta, wins) < 1.0


def test_margins_ask_for_larger_rewards():
    """As they do in training."""
    delta, _, wins = noisy_wins(1000, [1.0, 0.0])
    wider = wins._replace(margin=wins.margin + 1)
    assert fit_scale(delta, wider) > fit_scale(delta, wins)


@pytest.mark.parametrize("delta", [-1.0, 0.0, 1.0])
def test_weights_are_finite_and_the_first_is_above_zero(delta):
    """Whether all wins are ordered rightly, wrongly, or not at all."""
    deltas, wins = np.full(30, delta), HeldOut(np.zeros(30), np.ones(30), None)
    a, b = fit_weights(deltas, deltas, wins)
    assert 0 < a < 100
    assert 0 <= b < 100
    assert 0 < fit_scale(deltas, wins) < 100


@given(st.floats(1e-3, 1e3))
def test_the_sum_does_not_depend_on_the_scale_of_the_network(factor):
    """A network in other units gets another weight."""
    u, v, wins = noisy_wins(200, [1.0, 0.3])
    a, b = fit_weights(u, v, wins)
    other_a, other_b = fit_weights(u, factor * v, wins)
    assert other_a == pytest.approx(a, rel=1e-3, abs=1e-3)
    assert other_b * factor == pytest.approx(b, rel=1e-3, abs=1e-3)


def test_a_win_of_weight_two_counts_as_two():
    """Copies and weights give the same."""
    u, v, wins = noisy_wins(100, [1.0, 0.3])
    copies = HeldOut(np.tile(wins.margin, 2), np.tile(wins.weight, 2), None)
    np.testing.assert_allclose(
        fit_weights(np.tile(u, 2), np.tile(v, 2), copies),
        fit_weights(u, v, wins._replace(weight=2 * wins.weight)),
        rtol=1e-4,
    )


def test_the_loss_is_at_the_best_scale():
    """A reward that says nothing loses log 2, and being too sure costs nothing."""
    delta, _, wins = noisy_wins(500, [1.0, 0.0])
    assert scaled_loss(0 * delta, wins) == pytest.approx(np.log(2))
    assert scaled_loss(9 * delta, wins) == pytest.approx(scaled_loss(delta, wins))
