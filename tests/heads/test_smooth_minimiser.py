"""The smooth minimiser finds minima, and says when it did not."""

import numpy as np
import pytest

from embrm.heads.win_loss import minimise_smooth

CURVATURE = np.array([1e-6, 1.0, 1e6])


def quadratic(w):
    """A badly scaled bowl with its minimum at (1, 2, 3)."""
    gap = w - np.array([1.0, 2.0, 3.0])
    return float(CURVATURE @ gap**2 / 2), CURVATURE * gap


def test_scaled_coordinates_make_a_bad_bowl_easy():
    """With the right scale the minimum is one step away."""
    scale = 1 / np.sqrt(CURVATURE)
    found = minimise_smooth(quadratic, np.zeros(3), scale, small=1e-9, max_iter=50)
    np.testing.assert_allclose(found.parameters, [1, 2, 3], rtol=1e-6)
    assert found.converged
    assert found.n_iter <= 5


@pytest.mark.parametrize("max_iter", [1, 2])
def test_too_few_steps_are_told(max_iter):
    """The caller warns."""
    found = minimise_smooth(
        quadratic, np.zeros(3), np.ones(3), small=1e-12, max_iter=max_iter
    )
    assert not found.converged


def test_a_minimum_at_the_start_takes_no_step():
    """Nothing is lowered, and that is convergence."""
    start = np.array([1.0, 2.0, 3.0])
    found = minimise_smooth(quadratic, start, np.ones(3), small=1e-9, max_iter=9)
    assert (found.n_iter, found.converged) == (0, True)
