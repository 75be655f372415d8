r"""The convex problem of the linear Bradley-Terry head, and its solver.

.. math:: F(w) = \sum_i c_i \, \ell_i(\delta_i - m_i)
          + \tfrac{\alpha}{2} \lVert w \rVert^2, \qquad
          \delta_i = w^\top (x_{\text{winner}_i} - x_{\text{loser}_i})

with :math:`\ell(t) = \mathrm{softplus}(-t)` unless told otherwise. Everything is
computed on distinct items and scattered along the comparison graph: the Hessian is
:math:`X^\top L X + \alpha I` with L the graph Laplacian whose edge weights are
:math:`c_i \ell_i''(\delta_i - m_i)`. The (n_pairs, d) matrix of differences is never
formed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np
from scipy.linalg import eigh, qr
from scipy.sparse import csr_array

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.coordinates import Coordinates, ScaledCoordinates
from embrm.heads.linear.win_loss import LogisticLoss, WinLoss

LARGEST_ROTATION = 2048
"""Above this many dimensions an eigenbasis costs more than it saves."""

_SMALLEST_STEP = 1e-10


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """Wins between items, in coordinates where the problem is well conditioned.

    Attributes
    ----------
    items : ndarray of shape (n_items, k), float64
        Centred items, rotated by `basis` where that pays.
    basis : ndarray of shape (d, k) or None
        Weights in the coordinates of the user are `basis @ w`. Orthonormal columns
        times `stretch`.
    curvature : ndarray of shape (k,)
        Diagonal of the Hessian of the logistic loss at w = 0, which preconditions the
        solver.
    winner, loser : ndarray of int of shape (n_wins,)
    margin, weight : ndarray of shape (n_wins,)
    loss : WinLoss, default=LogisticLoss()
    stretch : ndarray of shape (k,) or None
        Prior standard deviation of the weight along each column of the basis,
        relative to that of the plain ridge; None where all are one.
    outside : float, default=1.0
        The same outside the span of the basis.
    """

    items: FloatArray
    basis: FloatArray | None
    curvature: FloatArray
    winner: IntArray
    loser: IntArray
    margin: FloatArray
    weight: FloatArray
    loss: WinLoss = field(default_factory=LogisticLoss)
    stretch: FloatArray | None = None
    outside: float = 1.0

    def take(self, wins: BoolArray) -> Self:
        """Keep some wins, with the curvature in proportion to their weight."""
        kept = self.weight[wins]
        return replace(
            self,
            curvature=self.curvature * (kept.sum() / self.weight.sum()),
            winner=self.winner[wins],
            loser=self.loser[wins],
            margin=self.margin[wins],
            weight=kept,
            loss=self.loss.take(wins),
        )

    def stretched_items(self, stretch: FloatArray) -> FloatArray:
        """Return items in the coordinates of a basis whose columns are stretched."""
        return self.items * stretch

    def rewards(self, w: FloatArray) -> FloatArray:
        """Compute the rewards of all items, shape (n_items,)."""
        return self.items @ w

    def gather(self, per_item: FloatArray) -> FloatArray:
        """Sum items times `per_item`: adjoint of `rewards`."""
        return self.items.T @ per_item

    def gram(self, edge: FloatArray) -> FloatArray:
        """Compute items' L items, where L has `edge` (n_wins,) on the wins' edges."""
        spread = laplacian(self.winner, self.loser, edge, len(self.items)) @ self.items
        product = self.items.T @ spread
        return np.asarray((product + product.T) / 2)

    def bend(self, w: FloatArray, edge: FloatArray) -> FloatArray:
        """Multiply items' L items by w, where L has `edge` on the wins' edges."""
        return self.to_weights(edge * self.delta(w))

    def delta(self, w: FloatArray) -> FloatArray:
        """Compute r(winner) - r(loser) of each win, shape (n_wins,), in nats."""
        reward = self.rewards(w)
        return np.asarray(reward[self.winner] - reward[self.loser])

    def scatter(self, per_win: FloatArray) -> FloatArray:
        """Add `per_win` to each winner and take it from each loser: (n_items,)."""
        n_items = len(self.items)
        per_item = np.bincount(self.winner, per_win, n_items).astype(np.float64)
        per_item -= np.bincount(self.loser, per_win, n_items)
        return per_item

    def to_weights(self, per_win: FloatArray) -> FloatArray:
        """Sum `per_win` times the difference of each win: adjoint of `delta`."""
        return self.gather(self.scatter(per_win))


def make_problem(comparisons: Comparisons) -> LinearProblem:
    """Centre the items and rotate them into the eigenbasis of the Hessian at zero."""
    items = comparisons.items.astype(np.float64)
    items -= items.mean(axis=0)
    basis = None
    if len(items) < items.shape[1]:
        # The solution lies in the span of the items: solve there.
        basis, triangle = qr(items.T, mode="economic")
        items = np.ascontiguousarray(triangle.T)
    wins = (comparisons.winner, comparisons.loser, comparisons.weight)
    spread = laplacian(*wins, len(items)) @ items
    if items.shape[1] > LARGEST_ROTATION:
        curvature = np.einsum("ij,ij->j", items, spread) / 4
    else:
        hessian = items.T @ spread / 4
        curvature, rotation = eigh((hessian + hessian.T) / 2, driver="evd")
        items = items @ rotation
        basis = rotation if basis is None else basis @ rotation
    return LinearProblem(
        items,
        basis,
        np.maximum(curvature, 0.0),
        comparisons.winner,
        comparisons.loser,
        comparisons.margin,
        comparisons.weight,
    )


def mean_square_difference(problem: LinearProblem) -> float:
    """Compute the weighted mean of ||x_winner - x_loser||^2 over wins."""
    # The log loss of one win has curvature ||difference||^2 / 4 at w = 0.
    return float(4.0 * problem.curvature.sum() / problem.weight.sum())


def minimise(
    problem: LinearProblem,
    alpha: float,
    start: FloatArray,
    *,
    tol: float,
    max_iter: int,
    coordinates: Coordinates | None = None,
) -> tuple[FloatArray, int, bool]:
    """Minimise F by Newton's method with preconditioned conjugate gradients.

    Parameters
    ----------
    problem : LinearProblem
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

    Returns
    -------
    w : ndarray of shape (k,)
    n_iter : int
    converged : bool
        False if the gradient is not small after `max_iter` steps.
    """
    scaled = _Preconditioned(problem, alpha, coordinates)
    bound = scaled.gradient_bound()
    u = scaled.coordinates.of_weights(start)
    here = scaled.evaluate(u)
    for n_iter in range(max_iter):
        norm = float(np.linalg.norm(here.gradient))
        if norm <= tol * bound:
            return scaled.coordinates.weights(u), n_iter, True
        exactness = min(0.1, np.sqrt(norm / bound))
        step = _conjugate_gradients(
            partial(scaled.curve, here), -here.gradient, exactness * norm
        )
        size, there = _line_search(scaled, u, step, here)
        if size == 0.0:
            return scaled.coordinates.weights(u), n_iter, True
        u, here = u + size * step, there
    converged = bool(np.linalg.norm(here.gradient) <= tol * bound)
    return scaled.coordinates.weights(u), max_iter, converged


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
        problem: LinearProblem,
        alpha: float,
        coordinates: Coordinates | None = None,
    ) -> None:
        self.problem, self.alpha = problem, alpha
        self.coordinates: Coordinates = coordinates or ScaledCoordinates.of(
            problem.curvature, alpha
        )

    def gradient_bound(self) -> float:
        """Bound the norm of the gradient at zero by Cauchy and Schwarz."""
        total = self.problem.weight.sum()
        return float(np.sqrt(total * self.coordinates.effective_dimension))

    def evaluate(self, u: FloatArray) -> _Point:
        problem, w = self.problem, self.coordinates.weights(u)
        value, slope, curvature = problem.loss.evaluate(
            problem.delta(w) - problem.margin
        )
        gradient = problem.to_weights(problem.weight * slope) + self.alpha * w
        return _Point(
            value=float(problem.weight @ value + self.alpha / 2 * (w @ w)),
            gradient=self.coordinates.gradient(gradient),
            edge=problem.weight * curvature,
        )

    def curve(self, at: _Point, v: FloatArray) -> FloatArray:
        """Multiply the Hessian at a point by v."""
        w = self.coordinates.weights(v)
        bent = self.problem.bend(w, at.edge)
        return self.coordinates.gradient(bent + self.alpha * w)


def log_loss(lead: FloatArray, weight: FloatArray) -> float:
    """Sum weight * softplus(-lead) over wins; finite for any finite lead."""
    return float(weight @ np.logaddexp(0.0, -lead))


def _line_search(
    scaled: _Preconditioned, u: FloatArray, step: FloatArray, here: _Point
) -> tuple[float, _Point]:
    """Halve the step until F falls; size 0 if rounding hides any further descent."""
    slope, size = float(here.gradient @ step), 1.0
    while size > _SMALLEST_STEP:
        there = scaled.evaluate(u + size * step)
        # Near the minimum the value is flat to rounding, the gradient is not.
        flat = abs(there.value - here.value) <= 1e-14 * abs(here.value)
        if flat and np.linalg.norm(there.gradient) < np.linalg.norm(here.gradient):
            return size, there
        if not flat and there.value <= here.value + 1e-4 * size * slope:
            return size, there
        size /= 2
    return 0.0, here


def _conjugate_gradients(
    curve: Callable[[FloatArray], FloatArray], target: FloatArray, small: float
) -> FloatArray:
    """Solve curve(step) = target until the norm of the residual is small."""
    step = np.zeros_like(target)
    residual, direction = target.copy(), target.copy()
    square = float(residual @ residual)
    for _ in range(len(target)):
        bent = curve(direction)
        bend = float(direction @ bent)
        if bend <= 0:
            break
        step += square / bend * direction
        residual -= square / bend * bent
        old_square, square = square, float(residual @ residual)
        if square <= small**2:
            break
        direction = residual + square / old_square * direction
    return step if step.any() else target


def laplacian(
    winner: IntArray, loser: IntArray, edge: FloatArray, n_items: int
) -> csr_array:
    """Build the graph Laplacian of wins, shape (n_items, n_items)."""
    ends = np.concatenate([winner, loser])
    others = np.concatenate([loser, winner])
    twice = np.concatenate([edge, edge])
    rows = np.concatenate([ends, ends])
    columns = np.concatenate([ends, others])
    entries = np.concatenate([twice, -twice])
    return csr_array((entries, (rows, columns)), shape=(n_items, n_items))
