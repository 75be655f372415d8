r"""The Gaussian posterior of linear weights: Laplace's approximation at the mode.

.. math:: w \mid \text{wins} \sim N(\hat w, H^{-1}), \qquad
          H = \sum_i c_i \ell_i'' (x_w - x_l)(x_w - x_l)^\top + \alpha M

with :math:`\alpha M` the precision of the prior. Only d x d numbers are kept, or fewer
where the items span fewer dimensions: outside their span the posterior is the prior.

Each block b of columns may have a penalty :math:`\alpha_b` of its own. MacKay's fixed
point

.. math:: \alpha_b \leftarrow \frac{\gamma_b}{\lVert w_b \rVert^2}, \qquad
          \gamma_b = d_b - \alpha_b \operatorname{tr} (H^{-1})_{bb}

makes the wins most probable [1]_. Labels are noisier than the model believes, so all
penalties together come out too weak. Only their ratios are used: the level is chosen by
what is held out.

References
----------
.. [1] MacKay (1992). Bayesian interpolation. Neural Computation 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import (
    LinAlgError,
    cho_factor,
    cho_solve,
    cholesky,
    qr,
    solve,
    solve_triangular,
)
from scipy.linalg.lapack import dpotri

from embrm._typing import FloatArray, IntArray
from embrm.exceptions import invalid_input
from embrm.heads.linear.differences import Differences
from embrm.heads.linear.problem import LinearProblem
from embrm.heads.state import HeadState
from embrm.heads.win_loss import WinLoss

_PAIRS_AT_A_TIME = 8192
_SMALLEST_PIVOT = 1e-12
_MOST_ROUNDS = 30
_STEPS = 2
_BOUNDS = (1e-3, 1e7)
_CHANGE = 0.02


@dataclass(frozen=True, eq=False)
class Posterior:
    """Precision of the weights, in the span of the items and outside it.

    Attributes
    ----------
    precision : ndarray of shape (k, k)
        In the coordinates of `basis`.
    basis : ndarray of shape (d, k) or None
        Orthonormal columns; None where k is d and the coordinates are the user's.
    outside : float
        Precision of every direction outside the basis.
    """

    precision: FloatArray
    basis: FloatArray | None
    outside: float

    @cached_property
    def factor(self) -> FloatArray:
        """Lower triangle L with L L' = precision.

        Raises
        ------
        InvalidInputError
            If some direction has no finite variance.
        """
        lower = _cholesky(self.precision)
        if lower is None or (self.basis is not None and self.outside <= 0):
            raise invalid_input(
                expected="alpha > 0, or pairs that determine every weight",
                got=f"alpha = 0 and {len(self.precision)} dimensions of which some "
                "are not determined",
                fix="fit with alpha='auto' to have standard deviations",
            )
        return lower

    def project(self, directions: FloatArray) -> FloatArray:
        """Map directions (n, d) to (n, k), of norm their deviation in the span."""
        inside: FloatArray = directions
        if self.basis is not None:
            inside = directions @ self.basis
        return np.asarray(
            solve_triangular(self.factor, inside.T, lower=True, check_finite=False).T
        )

    def unproject(self, v: FloatArray) -> FloatArray:
        """Map whitened coordinates (k,) to a change of the weights (d,)."""
        inside = solve_triangular(self.factor, v, lower=True, trans=1)
        return np.asarray(inside if self.basis is None else self.basis @ inside)

    def variance(self, directions: FloatArray) -> FloatArray:
        """Compute the variance of w'x for directions x of shape (n, d)."""
        inside = np.sum(self.project(directions) ** 2, axis=1)
        return np.asarray(inside + self._variance_outside(directions))

    def variance_of_differences(self, items: FloatArray, ids: IntArray) -> FloatArray:
        """Compute the variance of w'(x_1 - x_2) for rows (x_1, x_2) of `ids`."""
        projected = self.project(items)
        variance = np.empty(len(ids))
        for start in range(0, len(ids), _PAIRS_AT_A_TIME):
            part = slice(start, start + _PAIRS_AT_A_TIME)
            first, second = ids[part].T
            gap = projected[first] - projected[second]
            variance[part] = np.sum(gap**2, axis=1)
            if self.basis is not None:
                variance[part] += self._variance_outside(items[first] - items[second])
        return variance

    def covariance(self) -> FloatArray:
        """Compute the covariance of the weights, shape (d, d)."""
        inside = cho_solve((self.factor, True), np.eye(len(self.precision)))
        if self.basis is None:
            return np.asarray((inside + inside.T) / 2)
        inside -= np.eye(len(inside)) / self.outside
        covariance = self.basis @ inside @ self.basis.T
        covariance[np.diag_indices_from(covariance)] += 1 / self.outside
        return np.asarray((covariance + covariance.T) / 2)

    def marginal(self, d: int) -> "Posterior":
        """Return the posterior of the first d weights alone."""
        covariance = self.covariance()[:d, :d]
        precision = cho_solve((cholesky(covariance, lower=True), True), np.eye(d))
        return Posterior((precision + precision.T) / 2, None, self.outside)

    def spanning(self, items: FloatArray) -> "Posterior":
        """Return the same posterior in a basis that spans more items (n, d)."""
        if self.basis is None:
            return self
        d, k = self.basis.shape
        rest = items - (items @ self.basis) @ self.basis.T
        if k + len(rest) < d:
            added, _ = qr(np.hstack([self.basis, rest.T]), mode="economic")
            # The first k columns are the old basis up to sign.
            basis = np.hstack([self.basis, added[:, k:]])
            precision = self.outside * np.eye(basis.shape[1])
            precision[:k, :k] = self.precision
            return Posterior(precision, basis, self.outside)
        inside = self.precision - self.outside * np.eye(k)
        precision = self.basis @ inside @ self.basis.T + self.outside * np.eye(d)
        return Posterior((precision + precision.T) / 2, None, self.outside)

    def scaled(self, factor: float) -> "Posterior":
        """Multiply the weights by a factor."""
        square = factor**2
        return replace(
            self, precision=self.precision / square, outside=self.outside / square
        )

    def widened(self, directions: FloatArray) -> "Posterior":
        """Add B B' to the covariance of the weights, for directions B of shape (d, n).

        What of them lies outside the basis is left out.
        """
        inside = directions if self.basis is None else self.basis.T @ directions
        drawn = self.precision @ inside
        middle = np.eye(inside.shape[1]) + inside.T @ drawn
        lost = drawn @ solve(middle, drawn.T, assume_a="pos")
        return replace(self, precision=self.precision - (lost + lost.T) / 2)

    def plus(self, added: FloatArray) -> "Posterior":
        """Add to the precision, by a matrix (k, k) in the coordinates of `project`."""
        more = self.factor @ added @ self.factor.T
        return replace(self, precision=self.precision + (more + more.T) / 2)

    def get_state(self) -> HeadState:
        """Return what `from_state` restores."""
        arrays = {"precision": self.precision}
        if self.basis is not None:
            arrays["basis"] = self.basis
        return HeadState(
            arrays, {"outside": self.outside, "has_basis": self.basis is not None}
        )

    @classmethod
    def from_state(cls, state: HeadState) -> "Posterior":
        """Restore what `get_state` returned, or raise `IntegrityError`."""
        has_basis = state.value("has_basis", bool)
        return cls(
            state.array("precision", ndim=2),
            state.array("basis", ndim=2) if has_basis else None,
            state.value("outside", float),
        )

    def _variance_outside(self, directions: FloatArray) -> FloatArray:
        if self.basis is None:
            return np.zeros(len(directions))
        square = np.sum(directions**2, axis=1)
        square -= np.sum((directions @ self.basis) ** 2, axis=1)
        return np.asarray(np.maximum(square, 0.0) / self.outside)


def posterior_at(problem: LinearProblem, w: FloatArray, alpha: float) -> Posterior:
    """Compute Laplace's posterior at the mode.

    Parameters
    ----------
    problem : LinearProblem
    w : ndarray of shape (k,)
        The minimum, in the coordinates of the problem.
    alpha : float >= 0

    Returns
    -------
    Posterior
        In the coordinates of the user.
    """
    hessian = problem.hessian_of_losses(w)
    hessian[np.diag_indices_from(hessian)] += alpha
    if problem.basis is None:
        return Posterior(hessian, None, alpha)
    stretch = np.ones(len(w)) if problem.stretch is None else problem.stretch
    basis = problem.basis / stretch
    hessian /= np.outer(stretch, stretch)
    outside = alpha / problem.outside**2
    if basis.shape[0] > basis.shape[1]:
        return Posterior(hessian, basis, outside)
    precision = basis @ hessian @ basis.T
    return Posterior((precision + precision.T) / 2, None, outside)


def _cholesky(precision: FloatArray) -> FloatArray | None:
    """Factorise a precision, None if it is singular up to rounding."""
    try:
        lower = np.asarray(cholesky(precision, lower=True))
    except LinAlgError:
        return None
    pivots = np.diagonal(lower) ** 2 / np.diagonal(precision)
    return lower if pivots.min() >= _SMALLEST_PIVOT else None


"""Relative change of penalties below which they have settled."""


def evidence_penalties(
    differences: Differences,
    loss: WinLoss,
    margin: FloatArray,
    blocks: Sequence[slice],
) -> FloatArray:
    """Find the penalty of each block that makes the wins most probable.

    Parameters
    ----------
    differences : Differences
        Best with blocks of about the same mean square.
    loss : WinLoss
    margin : ndarray of shape (n_wins,)
    blocks : sequence of slice
        Of the columns.

    Returns
    -------
    ndarray of shape (n_blocks,), > 0
        In units in which the differences have a mean square of one.
    """
    gram = differences.gram.astype(np.float64)
    d = len(gram)
    sizes = np.array([part.stop - part.start for part in blocks])
    penalties = np.full(len(blocks), 1.0)
    w: FloatArray = np.zeros(d)
    for _ in range(_MOST_ROUNDS):
        each = np.repeat(penalties, sizes)
        for _ in range(_STEPS):
            w, factor = _step(differences, loss, margin, gram, each, w)
        # dpotri takes the factor of `cho_factor`: its diagonal is that of the inverse.
        variance = np.diagonal(dpotri(factor[0], lower=factor[1])[0])
        new = np.empty_like(penalties)
        for k, part in enumerate(blocks):
            determined = sizes[k] - penalties[k] * float(variance[part].sum())
            square = float(w[part] @ w[part])
            new[k] = max(determined, 1e-3) / max(square, 1e-12)
        new = np.clip(new, *_BOUNDS)
        change = np.abs(np.log(new / penalties)).max()
        penalties = new
        if change < _CHANGE:
            break
    return penalties


def _step(
    differences: Differences,
    loss: WinLoss,
    margin: FloatArray,
    gram: FloatArray,
    penalties: FloatArray,
    w: FloatArray,
) -> tuple[FloatArray, tuple[FloatArray, bool]]:
    """Take a step towards the mode, with the mean curvature of all wins for each."""
    weight = differences.weight
    logit = differences.times(w.astype(np.float32)[:, None])[:, 0] - margin
    _, slope, curvature = loss.evaluate(logit.astype(np.float64))
    gradient = differences.gather((weight * slope).astype(np.float32)[:, None])[:, 0]
    level = max(float(weight @ curvature / weight.sum()), 1e-3)
    hessian = level * gram
    floor = 0.0
    while True:
        hessian[np.diag_indices_from(hessian)] = level * np.diagonal(gram) + (
            penalties + floor
        )
        try:
            factor = cho_factor(hessian, lower=True)
        except LinAlgError:
            floor = max(10 * floor, 1e-6 * float(np.trace(gram)) / len(gram))
            continue
        break
    return w - cho_solve(factor, gradient + penalties * w), factor
