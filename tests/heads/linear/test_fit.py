"""Weights of large item matrices: in low precision first, then to the minimum."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from embrm import Pairs
from embrm.heads import LinearBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import _fit as fit
from embrm.heads.linear import _operators as operators
from embrm.heads.linear import problem


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch):
    """Treat any matrix as one that is too large to copy."""
    monkeypatch.setattr(problem, "_LARGEST_COPY", 0)
    monkeypatch.setattr(operators, "_GRAM_ROWS", 150)


def make_data(offset=0.0, n_wins=600, noise=1.0):
    """Draw wins between 400 items in nine dimensions."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(400, 9)) * np.linspace(0.3, 2, 9) + offset
    items = items.astype(np.float32)
    ids = rng.integers(400, size=(n_wins, 2))
    ids = ids[ids[:, 0] != ids[:, 1]]
    delta = (items[ids[:, 0]] - items[ids[:, 1]]).sum(axis=1)
    return Pairs(items, ids), delta + noise * rng.logistic(size=len(ids)) > 0


def gaps_and_weight(pairs, y):
    """Make the matrix of differences, in double precision."""
    wins = make_comparisons(pairs, y)
    items = wins.items.astype(np.float64)
    return items[wins.winner] - items[wins.loser], wins.weight


@pytest.mark.parametrize("offset", [0.0, 3000.0])
def test_coefficients_are_those_of_logistic_regression(offset):
    """On the matrix of differences, near the origin and far from it."""
    pairs, y = make_data(offset)
    head = LinearBradleyTerry(0.5, tol=1e-9).fit(pairs, y)
    gaps, weight = gaps_and_weight(pairs, y)
    both = np.concatenate([gaps, -gaps])
    model = LogisticRegression(C=1 / 0.5, fit_intercept=False, tol=1e-10)
    model.fit(both, np.repeat([1, 0], len(gaps)), np.tile(weight / 2, 2))
    np.testing.assert_allclose(head.coef_, model.coef_[0], atol=1e-4)


def test_the_posterior_does_not_move_the_weights():
    """Without it another matrix conditions the last steps, to the same minimum."""
    one, other = (
        LinearBradleyTerry(0.5, posterior=kept, tol=1e-9).fit(*make_data())
        for kept in (True, False)
    )
    assert other.posterior_ is None
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-7)


@pytest.mark.parametrize("noise", [1.0, 0.0])
def test_the_hessian_is_that_at_the_weights(noise):
    """Also where the wins are separable and the fit goes on for long."""
    alpha = 1e-4 if noise == 0 else 0.5
    pairs, y = make_data(noise=noise)
    head = LinearBradleyTerry(alpha, tol=1e-9).fit(pairs, y)
    gaps, weight = gaps_and_weight(pairs, y)
    win = 1 / (1 + np.exp(-gaps @ head.coef_))
    wanted = (gaps * (weight * win * (1 - win))[:, None]).T @ gaps + alpha * np.eye(9)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(head.posterior_.precision, wanted, atol=2e-3 * scale)


def test_fewer_wins_than_dimensions_without_a_penalty_have_a_minimum():
    """Directions that no win tells of stay at zero or are small."""
    pairs, y = make_data(n_wins=6)
    items, ids = pairs.items[:12], np.arange(12).reshape(6, 2)
    head = LinearBradleyTerry(0.0, posterior=False, tol=1e-6)
    with pytest.warns(match="6 components"):
        head.fit(Pairs(items, ids), y[:6])
    assert np.isfinite(head.coef_).all()


def test_above_the_largest_dimension_no_posterior_is_kept(monkeypatch):
    """It would take too much memory."""
    monkeypatch.setattr(problem, "_LARGEST_COPY", 2**30)
    data = make_data()
    assert LinearBradleyTerry(1.0).fit(*data).posterior_ is not None
    monkeypatch.setattr(fit, "LARGEST_POSTERIOR", 8)
    assert LinearBradleyTerry(1.0).fit(*data).posterior_ is None
