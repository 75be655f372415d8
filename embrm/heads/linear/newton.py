"""Newton's method for the linear problem, in well conditioned coordinates.

Each step is solved by preconditioned conjugate gradients, so that no Hessian is formed.
The preconditioner is a change of coordinates of the weights in which the Hessian is
about the identity. It conditions the solver and does not move the solution, so an
approximate Hessian will do: its diagonal in an eigenbasis, or the factor of one that is
summed from some of the wins, or in float32.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

import numpy as np
from scipy.linalg import LinAlgError, cholesky
from scipy.linalg.lapack import dtrtri

from embrm._typing import FloatArray
from embrm.heads.linear.problem import Evaluation

_SMALLEST_STEP = 1e-10
_SMALLEST_CURVATURE = 1e-12
_SHARE_OF_TOLERANCE = 0.3
"""Of the last gradient, what conjugate gradients may leave: less is of no use."""

_FIRST_FLOOR = 1e-7
"""Relative to the mean curvature: zero at the precision of float32."""


_MEMORY, _TINY = 10, 1e-300
_Secant: TypeAlias = tuple[FloatArray, FloatArray, float]
"""A step, the difference of gradients along it, and one over their product."""


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
class DiagonalCoordinates:
    """u = B'w / scale, for a Hessian that is about diagonal in the orthonormal basis B.

    Attributes
    ----------
    scale : ndarray of shape (k,)
    effective_dimension : float
    basis : ndarray of shape (k, k) or None
        None for the coordinates of the weights themselves.
    """

    scale: FloatArray
    effective_dimension: float
    basis: FloatArray | None = None

    @classmethod
    def of(
        cls, curvature: FloatArray, alpha: float, basis: FloatArray | None = None
    ) -> "DiagonalCoordinates":
        """Make them from the diagonal of the Hessian of the losses, and the penalty."""
        floor = _SMALLEST_CURVATURE * curvature.max()
        square = 1.0 / (curvature + alpha + floor)
        return cls(np.sqrt(square), float(square @ curvature), basis)

    def weights(self, u: FloatArray) -> FloatArray:
        """Return the weights at u."""
        scaled = self.scale * u
        return scaled if self.basis is None else np.asarray(self.basis @ scaled)

    def of_weights(self, w: FloatArray) -> FloatArray:
        """Return the coordinates of weights."""
        return (w if self.basis is None else self.basis.T @ w) / self.scale

    def gradient(self, by_weights: FloatArray) -> FloatArray:
        """Turn a gradient by the weights into one by u."""
        return self.scale * (
            by_weights if self.basis is None else self.basis.T @ by_weights
        )


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


class Losses(Protocol):
    """The losses of wins as a function of weights, such as a `LinearProblem`."""

    @property
    def weight(self) -> FloatArray:
        """Weight of each win, shape (n_wins,)."""

    @property
    def curvature(self) -> FloatArray:
        """Diagonal of the Hessian at zero, about, shape (k,)."""

    def evaluate(self, w: FloatArray) -> Evaluation:
        """Compute the sum of the losses, its gradient, and each win's curvature."""

    def hessian_product(self, w: FloatArray, edge: FloatArray) -> FloatArray:
        """Multiply by w the Hessian whose wins have these curvatures."""


def minimise(
    problem: Losses,
    alpha: float,
    start: FloatArray,
    *,
    tol: float,
    max_iter: int,
    coordinates: Coordinates | None = None,
    rounding: float = 1e-14,
) -> tuple[FloatArray, int, bool]:
    """Minimise F by Newton's method with preconditioned conjugate gradients.

    Parameters
    ----------
    problem : Losses
    alpha : float, >= 0
    start : ndarray of shape (k,)
    tol : float
        The gradient is small if its norm is below `tol` times a bound on its norm at
        zero; norms are those of the preconditioned problem, so scaling the items
        changes nothing.
    max_iter : int
        Largest number of Newton steps.
    coordinates : Coordinates, optional
        In which the Hessian is about one; None scales each weight by the problem's
        `curvature`.
    rounding : float, default=1e-14
        Relative error of F: where it changes by less, a gradient must get smaller.

    Returns
    -------
    w : ndarray of shape (k,)
    n_iter : int
    converged : bool
        False if the gradient is not small after so many steps.
    """
    scaled = _Preconditioned(problem, alpha, coordinates)
    bound = scaled.gradient_bound()
    u = scaled.coordinates.of_weights(start)
    here = scaled.evaluate(u)
    n_iter = 0
    while True:
        norm = float(np.linalg.norm(here.gradient))
        if norm <= tol * bound:
            return scaled.coordinates.weights(u), n_iter, True
        if n_iter == max_iter:
            return scaled.coordinates.weights(u), n_iter, False
        exactness = min(0.1, np.sqrt(norm / bound))
        step = _conjugate_gradients(
            partial(scaled.hessian_product, here),
            -here.gradient,
            max(exactness * norm, _SHARE_OF_TOLERANCE * tol * bound),
        )
        size, there = _line_search(scaled, u, step, here, rounding)
        if size == 0.0:
            return scaled.coordinates.weights(u), n_iter, True
        u, here, n_iter = u + size * step, there, n_iter + 1


def descend(
    problem: Losses,
    alpha: float,
    start: FloatArray,
    *,
    tol: float,
    max_iter: int,
    coordinates: Coordinates,
    rounding: float,
) -> tuple[FloatArray, int, bool]:
    """Minimise F by L-BFGS [1]_, which reads the wins about once a step.

    So it takes about half as long as `minimise` where coordinates are good, and several
    times as long where they are not.

    Parameters
    ----------
    problem, alpha, start, tol, max_iter, coordinates, rounding
        As for `minimise`.

    Returns
    -------
    w : ndarray of shape (k,)
    n_iter : int
    converged : bool

    References
    ----------
    .. [1] Nocedal (1980). Updating quasi-Newton matrices with limited storage.
       Mathematics of Computation 35.
    """
    scaled = _Preconditioned(problem, alpha, coordinates)
    small = tol * scaled.gradient_bound()
    u = scaled.coordinates.of_weights(start)
    here, memory = scaled.evaluate(u), deque[_Secant](maxlen=_MEMORY)
    for n_iter in range(max_iter + 1):
        square = float(here.gradient @ here.gradient)
        if square <= small**2 or n_iter == max_iter:
            break
        if memory:
            step = -_inverse_product(memory, here.gradient)
        else:
            product = scaled.hessian_product(here, here.gradient)
            step = -square / max(float(here.gradient @ product), _TINY) * here.gradient
        size, there = _line_search(scaled, u, step, here, rounding)
        turned = there.gradient - here.gradient
        curvature = float(step @ turned)
        if size == 0.0 or curvature <= 0.0:
            break
        memory.append((size * step, turned, 1.0 / (size * curvature)))
        u, here = u + size * step, there
    return scaled.coordinates.weights(u), n_iter, square <= small**2


def _inverse_product(memory: Sequence[_Secant], gradient: FloatArray) -> FloatArray:
    """Multiply a gradient by the inverse Hessian that the last steps tell."""
    product, shares = gradient.copy(), []
    for step, turned, inverse in reversed(memory):
        shares.append(inverse * float(step @ product))
        product -= shares[-1] * turned
    _, turned, inverse = memory[-1]
    product /= inverse * float(turned @ turned)
    for (step, turned, inverse), share in zip(memory, reversed(shares), strict=True):
        product += (share - inverse * float(turned @ product)) * step
    return product


@dataclass(frozen=True, eq=False)
class _Point:
    """F at one point: value, gradient, and the curvature of each win's loss."""

    value: float
    gradient: FloatArray
    edge: FloatArray


class _Preconditioned:
    """F in coordinates in which its Hessian is about one."""

    def __init__(
        self,
        problem: Losses,
        alpha: float,
        coordinates: Coordinates | None = None,
    ) -> None:
        self.problem, self.alpha = problem, alpha
        self.coordinates: Coordinates = coordinates or DiagonalCoordinates.of(
            problem.curvature, alpha
        )

    def gradient_bound(self) -> float:
        """Bound the norm of the gradient at zero by Cauchy and Schwarz."""
        total = self.problem.weight.sum()
        return float(np.sqrt(total * self.coordinates.effective_dimension))

    def evaluate(self, u: FloatArray) -> _Point:
        w = self.coordinates.weights(u)
        value, gradient, edge = self.problem.evaluate(w)
        return _Point(
            value=value + float(self.alpha / 2 * (w @ w)),
            gradient=self.coordinates.gradient(gradient + self.alpha * w),
            edge=edge,
        )

    def hessian_product(self, at: _Point, v: FloatArray) -> FloatArray:
        """Multiply the Hessian at a point by v."""
        w = self.coordinates.weights(v)
        product = self.problem.hessian_product(w, at.edge)
        return self.coordinates.gradient(product + self.alpha * w)


def _line_search(
    scaled: _Preconditioned,
    u: FloatArray,
    step: FloatArray,
    here: _Point,
    rounding: float,
) -> tuple[float, _Point]:
    """Halve the step until F falls; size 0 if rounding hides any further descent."""
    slope, size = float(here.gradient @ step), 1.0
    while size > _SMALLEST_STEP:
        there = scaled.evaluate(u + size * step)
        # Near the minimum the value is flat to rounding, the gradient is not.
        flat = abs(there.value - here.value) <= rounding * abs(here.value)
        if flat and np.linalg.norm(there.gradient) < np.linalg.norm(here.gradient):
            return size, there
        if not flat and there.value <= here.value + 1e-4 * size * slope:
            return size, there
        size /= 2
    return 0.0, here


def _conjugate_gradients(
    hessian: Callable[[FloatArray], FloatArray],
    target: FloatArray,
    small: float,
) -> FloatArray:
    """Solve hessian(step) = target until the norm of the residual is small."""
    step = np.zeros_like(target)
    residual, direction = target.copy(), target.copy()
    square = float(residual @ residual)
    for _ in range(len(target)):
        product = hessian(direction)
        curvature = float(direction @ product)
        if curvature <= 0:
            break
        step += square / curvature * direction
        residual -= square / curvature * product
        old_square, square = square, float(residual @ residual)
        if square <= small**2:
            break
        direction = residual + square / old_square * direction
    return step if step.any() else target
