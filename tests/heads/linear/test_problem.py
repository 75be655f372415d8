"""The problem of the linear head: folds of it, and a whitened prior."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads import LinearBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.problem import (
    make_problem,
    mean_square_difference,
    oas_shrinkage,
    whiten_prior,
)


@pytest.fixture
def comparisons(make_preferences):
    """Noisy wins with weights and margins."""
    data = make_preferences(n_prompts=15, error_rate=0.2)
    rng = np.random.default_rng(5)
    n = len(data.y)
    return make_comparisons(
        data.pairs, data.y, rng.uniform(0.5, 3, n), rng.uniform(0, 2, n)
    )


def test_the_mean_square_difference_is_that_of_the_wins(comparisons):
    """It is read off the curvature and equals the direct mean."""
    direct = np.average(
        np.sum(
            (
                comparisons.items[comparisons.winner]
                - comparisons.items[comparisons.loser]
            )
            ** 2,
            axis=1,
        ),
        weights=comparisons.weight,
    )
    problem = make_problem(comparisons)
    assert mean_square_difference(problem) == pytest.approx(direct)


def test_taking_wins_takes_their_share_of_the_curvature(comparisons):
    """The preconditioner of a fold is that of all wins in proportion."""
    problem = make_problem(comparisons)
    half = np.arange(len(comparisons)) % 2 == 0
    share = comparisons.weight[half].sum() / comparisons.weight.sum()
    np.testing.assert_allclose(problem.take(half).curvature, share * problem.curvature)


def test_no_whitening_changes_nothing(make_preferences):
    """The problem itself comes back."""
    data = make_preferences()
    problem = make_problem(make_comparisons(data.pairs, data.y))
    assert whiten_prior(problem, 0.0, 5) is problem


def test_the_penalty_is_that_of_a_power_of_the_shrunk_covariance(make_preferences):
    """The gradient of the explicit objective vanishes."""
    data = make_preferences(n_prompts=40, error_rate=0.2)
    stretched = data.pairs.items * np.array([9.0, 3.0, 1.0, 0.5, 0.2])
    pairs = Pairs(stretched, data.pairs.ids)
    head = LinearBradleyTerry(alpha=0.8, whitening=0.5).fit(pairs, data.y)
    difference = stretched[pairs.first] - stretched[pairs.second]
    difference *= (2 * data.y - 1)[:, None]
    values, vectors = np.linalg.eigh(difference.T @ difference / 4)
    rho = oas_shrinkage(values, 5, len(stretched) - 1)
    shrunk = (1 - rho) * values / values.mean() + rho
    penalty = 0.8 * vectors @ np.diag(np.sqrt(shrunk)) @ vectors.T
    slope = difference.T @ (1 / (1 + np.exp(difference @ head.coef_)))
    np.testing.assert_allclose(slope, penalty @ head.coef_, atol=1e-5)


def test_full_whitening_does_not_care_for_units_of_components(make_preferences):
    """With plenty of pairs the covariance is not shrunk, and scales cancel."""
    data = make_preferences(n_prompts=400, error_rate=0.2)
    scale = np.array([30.0, 10.0, 1.0, 0.3, 0.1])
    pairs = Pairs(scale * data.pairs.items, data.pairs.ids)
    head = LinearBradleyTerry(whitening=1.0, alpha=5.0)
    one = head.fit(data.pairs, data.y).decision_function(data.pairs)
    other = head.fit(pairs, data.y).decision_function(pairs)
    assert np.corrcoef(one, other)[0, 1] > 0.999


@pytest.mark.parametrize(("n", "shrinkage"), [(2, 1.0), (10_000, 0.0)])
def test_few_observations_are_shrunk_and_many_are_not(n, shrinkage):
    """From one multiple of the identity to the covariance itself."""
    spectrum = np.array([5.0, 1.0, 0.2])
    assert oas_shrinkage(spectrum, 3, n) == pytest.approx(shrinkage, abs=0.01)
