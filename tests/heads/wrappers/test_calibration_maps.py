"""Calibration maps are odd, increasing, and of least log loss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from embrm.heads.wrappers.calibrated import (
    fit_isotonic,
    fit_scale,
    fit_sigmoid,
    held_out_losses,
    win_target,
)

DELTAS = hnp.arrays(
    np.float64,
    st.integers(2, 40),
    elements=st.floats(-100, 100).filter(lambda x: x == 0 or abs(x) > 1e-6),
)


@pytest.fixture
def wins():
    """Deltas three times too large, flipped with the probability they should have."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=500) * 1.5
    won = rng.random(500) < expit(true)
    return 3 * np.where(won, true, -true), rng.integers(1, 4, 500).astype(float)


def smoothed_loss(log_odds, weight):
    """Weighted log loss with Platt's targets, written out."""
    t = win_target(weight)
    return weight @ (-t * np.log(expit(log_odds)) - (1 - t) * np.log(expit(-log_odds)))


def test_the_scale_minimises_the_log_loss(wins):
    """As scipy finds it."""
    delta, weight = wins
    found = minimize_scalar(
        lambda s: smoothed_loss(s * delta, weight),
        bounds=(0.01, 10),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert fit_scale(delta, weight) == pytest.approx(found.x, abs=1e-6)


def test_the_scale_undoes_over_confidence():
    """Deltas three times too large are divided by about three."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=20_000) * 1.5
    won = rng.random(20_000) < expit(true)
    delta = 3 * np.where(won, true, -true)
    assert fit_scale(delta, np.ones(20_000)) == pytest.approx(1 / 3, rel=0.05)


def test_a_scale_of_the_deltas_is_undone():
    """Ten-thousandfold deltas get a ten-thousandth of the factor."""
    delta = np.array([1.0, 2.0, -0.5, 0.3, 1.2])
    one, other = (fit_scale(c * delta, np.ones(5)) for c in (1.0, 1e4))
    assert other == pytest.approx(one / 1e4, rel=1e-9)


def test_a_scale_of_the_weights_changes_nothing(wins):
    """Weights normalised to sum 1 smooth no more than counts do."""
    delta, weight = wins
    assert fit_scale(delta, weight / weight.sum()) == pytest.approx(
        fit_scale(delta, weight), rel=1e-9
    )


def test_wins_in_perfect_order_have_a_finite_scale():
    """Platt's targets keep certainty away."""
    delta = np.linspace(1, 2, 50)
    assert 0.5 < fit_scale(delta, np.ones(50)) < 10


def test_a_useless_head_is_shrunk_and_not_turned_around():
    """Its order stays; its probabilities say one half."""
    scale = fit_scale(np.array([-3.0, -2.0, 1.0]), np.ones(3))
    assert 0 < scale < 1e-2


def test_equal_rewards_are_left_alone():
    """There is no scale in zeros."""
    assert fit_scale(np.zeros(5), np.ones(5)) == 1.0
    assert fit_sigmoid(np.zeros(5), np.ones(5)).slope == 1.0


def test_the_sigmoid_map_minimises_the_log_loss(wins):
    """As a derivative-free search finds it."""
    delta, weight = wins
    curve = fit_sigmoid(delta, weight)
    basis = np.stack([delta, np.tanh(delta / curve.width)])
    found = minimize(
        lambda p: smoothed_loss(np.exp(p) @ basis, weight),
        [0.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000},
    )
    got = smoothed_loss(curve(delta), weight)
    assert got <= found.fun + 1e-7


def test_the_sigmoid_map_finds_a_planted_flip_rate():
    """Log odds that level off are learned where one factor cannot."""
    rng = np.random.default_rng(1)
    true = rng.normal(size=5000) * 4
    won = rng.random(5000) < 0.2 + 0.6 * expit(true)
    delta = np.where(won, true, -true)
    weight = np.ones(5000)
    scale = fit_scale(delta, weight)
    curve = fit_sigmoid(scale * delta, weight)
    at = np.array([1.0, 4.0, 8.0])
    gap = np.abs(expit(curve(scale * at)) - (0.2 + 0.6 * expit(at)))
    gap_of_scale = np.abs(expit(scale * at) - (0.2 + 0.6 * expit(at)))
    assert gap.max() < 0.05 < gap_of_scale.max()


def test_isotonic_regression_is_that_of_mirrored_pairs(wins):
    """Half the problem has the odd solution of the whole one."""
    delta, weight = wins
    curve = fit_isotonic(delta, weight)
    t = win_target(weight)
    mirrored = IsotonicRegression(y_min=1 - t, y_max=t, out_of_bounds="clip")
    mirrored.fit(
        np.concatenate([delta, -delta]),
        np.repeat([1.0, 0.0], len(delta)),
        sample_weight=np.concatenate([weight, weight]),
    )
    # At the knots: between them and 0 the mirrored one interpolates elsewhere.
    at = np.sort(np.abs(delta))
    got = expit(curve(at) - 1e-3 * np.arcsinh(at))
    np.testing.assert_allclose(got, mirrored.predict(at), atol=1e-9)


@settings(max_examples=40)
@given(delta=DELTAS, seed=st.integers(0, 100))
def test_maps_are_odd_increasing_and_finite(delta, seed):
    """Whatever they were fitted to: order and antisymmetry are kept exactly."""
    weight = np.random.default_rng(seed).uniform(0.5, 3, len(delta))
    scale = fit_scale(delta, weight)
    at = scale * np.unique(np.concatenate([delta, np.linspace(-300, 300, 61)]))
    at = at[np.concatenate([[True], np.diff(at) > 1e-9])]
    for fit in (fit_sigmoid, fit_isotonic):
        log_odds = fit(scale * delta, weight)(at)
        np.testing.assert_array_equal(fit(scale * delta, weight)(-at), -log_odds)
        assert np.isfinite(log_odds).all()
        assert (np.diff(log_odds) > 0).all()


def test_a_delta_of_zero_stays_zero(wins):
    """A tie is a tie."""
    for fit in (fit_sigmoid, fit_isotonic):
        assert fit(*wins)(np.zeros(1))[0] == 0


def test_ties_among_held_out_deltas_count_half():
    """An item scored like its rival tells nothing, and breaks nothing."""
    delta = np.array([0.0, 0.0, 1.0, 1.0, 1.0, -1.0])
    curve = fit_isotonic(delta, np.ones(6))
    assert curve(np.array([1.0]))[0] == pytest.approx(logit(0.75), abs=2e-3)


def test_losses_of_huge_log_odds_are_finite():
    """No sigmoid on the way to the logarithm."""
    np.testing.assert_allclose(held_out_losses(np.array([1e4, -1e4])), [0.0, 1e4])
