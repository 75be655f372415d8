"""Coordinates of the weights in which the Hessian of the linear problem is about one.

They condition the solver and do not move the solution, so that a rough Hessian does:
its diagonal in an eigenbasis, or the factor of one that is summed from some of the
wins, or in float32.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import LinAlgError, cholesky
from scipy.linalg.lapack import dtrtri

from embrm._typing import FloatArray

_SMALLEST_CURVATURE = 1e-12
_FIRST_FLOOR = 1e-7
"""Of the mean curvature; what float32 cannot tell from zero."""


class Coordinates(Protocol):
    """Coordinates u of weights w."""

    @property
    def effective_dimension(self) -> float:
        """Trace of the Hessian of the losses in these coordinates, about."""

    def weights(self, u: FloatArray) -> FloatArray:
        """Return the weights at u."""

    def of_weights(self, w: FloatArray) -> FloatArray:
        """Return the coordinates of weights."""

    def gradient(self, by_weights: FloatArray) -> FloatArray:
        """Turn a gradient by the weights into one by u: adjoint of `weights`."""


@dataclass(frozen=True, eq=False)
class ScaledCoordinates:
    """u = w / scale, for a Hessian that is about diagonal."""

    scale: FloatArray
    effective_dimension: float

    @classmethod
    def of(cls, curvature: FloatArray, alpha: float) -> "ScaledCoordinates":
        """Make them from the diagonal of the Hessian of the losses, and the penalty."""
        floor = _SMALLEST_CURVATURE * curvature.max()
        square = 1.0 / (curvature + alpha + floor)
        return cls(np.sqrt(square), float(square @ curvature))

    def weights(self, u: FloatArray) -> FloatArray:
        """Return the weights at u."""
        return self.scale * u

    def of_weights(self, w: FloatArray) -> FloatArray:
        """Return the coordinates of weights."""
        return w / self.scale

    def gradient(self, by_weights: FloatArray) -> FloatArray:
        """Turn a gradient by the weights into one by u."""
        return self.scale * by_weights


@dataclass(frozen=True, eq=False)
class RotatedCoordinates:
    """u = B'w / scale, for a Hessian that is about diagonal in the orthonormal basis B.

    Attributes
    ----------
    basis : ndarray of shape (k, k)
    scaled : ScaledCoordinates
        Of the weights in that basis.
    """

    basis: FloatArray
    scaled: ScaledCoordinates

    @property
    def effective_dimension(self) -> float:
        """Trace of the Hessian of the losses in these coordinates, about."""
        return self.scaled.effective_dimension

    def weights(self, u: FloatArray) -> FloatArray:
        """Return the weights at u."""
        return np.asarray(self.basis @ self.scaled.weights(u))

    def of_weights(self, w: FloatArray) -> FloatArray:
        """Return the coordinates of weights."""
        return self.scaled.of_weights(self.basis.T @ w)

    def gradient(self, by_weights: FloatArray) -> FloatArray:
        """Turn a gradient by the weights into one by u."""
        return self.scaled.gradient(self.basis.T @ by_weights)


@dataclass(frozen=True, eq=False)
class FactoredCoordinates:
    """u = L'w with L L' the Hessian of the losses and the penalty.

    Attributes
    ----------
    lower, inverse : ndarray of shape (k, k)
        L and its inverse: a product is faster than a solution by substitution.
    effective_dimension : float
    """

    lower: FloatArray
    inverse: FloatArray
    effective_dimension: float

    @classmethod
    def of(cls, hessian: FloatArray, alpha: float) -> "FactoredCoordinates":
        """Make them from the Hessian of the losses (k, k), and the penalty."""
        k = len(hessian)
        floor = _FIRST_FLOOR * float(np.trace(hessian)) / k
        ridge = alpha or floor
        while True:
            whole = hessian.copy()
            whole[np.diag_indices(k)] += ridge
            try:
                lower = np.asarray(cholesky(whole, lower=True, overwrite_a=True))
            except LinAlgError:
                # Rounding has made the Hessian indefinite.
                ridge, floor = ridge + floor, 10 * floor
                continue
            inverse, _ = dtrtri(lower, lower=1)
            rest = ridge * float(np.sum(inverse**2))
            return cls(lower, inverse, max(k - rest, _FIRST_FLOOR))

    def weights(self, u: FloatArray) -> FloatArray:
        """Return the weights at u."""
        return np.asarray(u @ self.inverse)

    def of_weights(self, w: FloatArray) -> FloatArray:
        """Return the coordinates of weights."""
        return np.asarray(w @ self.lower)

    def gradient(self, by_weights: FloatArray) -> FloatArray:
        """Turn a gradient by the weights into one by u."""
        return np.asarray(self.inverse @ by_weights)
