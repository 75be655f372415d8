"""Coordinates in which the Hessian is one, from its diagonal or its factor."""

import numpy as np
import pytest

from embrm.heads.linear.coordinates import (
    FactoredCoordinates,
    RotatedCoordinates,
    ScaledCoordinates,
)


@pytest.fixture
def hessian():
    """A positive definite matrix with a spread spectrum."""
    draw = np.random.default_rng(0).normal(size=(40, 6)) * np.linspace(0.1, 3, 6)
    return draw.T @ draw


def rotated(hessian, alpha):
    curvature, basis = np.linalg.eigh(hessian)
    return RotatedCoordinates(basis, ScaledCoordinates.of(curvature, alpha))


def every(hessian, alpha):
    return (
        ScaledCoordinates.of(np.diagonal(hessian), alpha),
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
