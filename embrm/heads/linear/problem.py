r"""The convex problem of the linear Bradley-Terry head.

.. math:: F(w) = \sum_i c_i \, \ell_i(\delta_i - m_i)
          + \tfrac{\alpha}{2} \lVert w \rVert^2, \qquad
          \delta_i = w^\top (x_{\text{winner}_i} - x_{\text{loser}_i})

with :math:`\ell(t) = \mathrm{softplus}(-t)` by default. Everything is
computed on distinct items and scattered along the comparison graph: the Hessian is
:math:`X^\top L X + \alpha I` with L the graph Laplacian whose edge weights are
:math:`c_i \ell_i''(\delta_i - m_i)`. The (n_pairs, d) matrix of differences is never
formed.

The plain ridge gives every direction the same prior. Vectors of encoders have a few
directions of large variance and many of small; a ridge expects the reward to lie in
the first. The whitened prior expects it to be spread evenly over all. Between them,

.. math:: w \sim N\bigl(0, \tfrac{1}{\alpha} (S / \bar s)^{-q}\bigr)

with S the covariance of the pairs' differences, shrunk towards a multiple of the
identity since it is estimated, :math:`\bar s` its mean eigenvalue, and q from 0 (plain)
to 1 (Zellner's g-prior for this model).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self, TypeAlias

import numpy as np
from scipy.linalg import eigh, qr
from scipy.sparse import csr_array

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import widened
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear._operators import (
    BlockedOperator,
    DenseOperator,
    ItemOperator,
    mean_of_rows,
)
from embrm.heads.win_loss import LogisticLoss, WinLoss

LARGEST_ROTATION = 2048
"""Dimensions above which an eigenbasis costs more than it saves."""

_LARGEST_COPY = 2**20
"""Bytes of items up to which a dense copy is made."""

_LEAST_CURVATURE, _FIRST_TOLERANCE = 1e-3, 1e-4

SAMPLED_ROWS = 4096
"""Wins that a Hessian is estimated from at least, and that are added to it at once."""


Evaluation: TypeAlias = tuple[float, FloatArray, FloatArray]
"""Sum of the losses, its gradient (k,), and the curvature of each win's (n_wins,)."""


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """Wins between items, in coordinates in which the prior is a plain ridge.

    Attributes
    ----------
    operator : DenseOperator or BlockedOperator
        The items.
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

    operator: ItemOperator
    curvature: FloatArray
    winner: IntArray
    loser: IntArray
    margin: FloatArray
    weight: FloatArray
    loss: WinLoss = field(default_factory=LogisticLoss)
    stretch: FloatArray | None = None
    outside: float = 1.0

    @classmethod
    def of(cls, operator: ItemOperator, wins: Comparisons) -> Self:
        """Make the problem of wins between these items, its curvature unknown."""
        zero = np.zeros(operator.items.shape[1])
        return cls(operator, zero, wins.winner, wins.loser, wins.margin, wins.weight)

    @property
    def items(self) -> FloatArray:
        """Items as the operator holds them."""
        return self.operator.items

    @property
    def basis(self) -> FloatArray | None:
        """Weights in the coordinates of the user are `basis @ w`, shape (d, k)."""
        return self.operator.basis

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

    def to_user(self, w: FloatArray) -> FloatArray:
        """Write weights in the coordinates of the user, shape (d,)."""
        return w if self.basis is None else np.asarray(self.basis @ w)

    def from_user(self, coef: FloatArray) -> FloatArray:
        """Write weights of the user in the coordinates of the problem, shape (k,)."""
        if self.basis is None:
            return coef
        stretch = 1.0 if self.stretch is None else self.stretch
        return np.asarray(self.basis.T @ coef / stretch**2)

    def delta(self, w: FloatArray) -> FloatArray:
        """Compute r(winner) - r(loser) of each win, shape (n_wins,), in nats."""
        return self._difference(self.operator.rewards(w))

    def logit(self, w: FloatArray) -> FloatArray:
        """Compute what the loss is a function of: delta minus margin."""
        return self.delta(w) - self.margin

    def evaluate(self, w: FloatArray) -> Evaluation:
        """Compute the sum of the losses, its gradient, and each win's curvature."""
        value, slope, curvature = self.loss.evaluate(self.logit(w))
        weight = self.weight
        gradient = self.to_weights(weight * slope)
        return float(weight @ value), gradient, weight * curvature

    def to_weights(self, per_win: FloatArray) -> FloatArray:
        """Sum `per_win` times the difference of each win: adjoint of `delta`."""
        return self.operator.gather(self._scatter(per_win))

    def hessian_product(self, w: FloatArray, edge: FloatArray) -> FloatArray:
        """Multiply X' L X by w, where L has `edge` (n_wins,) on the wins' edges."""
        operator = self.operator.fast()
        per_win = edge * self._difference(operator.rewards(w))
        return operator.gather(self._scatter(per_win))

    def gram(self, edge: FloatArray) -> FloatArray:
        """Compute X' L X, where L has `edge` (n_wins,) on the wins' edges."""
        edge = edge.astype(np.result_type(self.items.dtype, np.float32), copy=False)
        return self.operator.gram(
            _laplacian(self.winner, self.loser, edge, len(self.items))
        )

    def hessian_of_losses(self, w: FloatArray) -> FloatArray:
        """Compute the Hessian of the losses alone, without the prior, shape (k, k)."""
        return self.gram(self.weight * self.loss.evaluate(self.logit(w))[2])

    def fast(self) -> Self:
        """Return the same problem in the precision of the items, if that will do."""
        return replace(self, operator=self.operator.fast())

    @property
    def first_tolerance(self) -> float:
        """Relative norm of a gradient that the precision of the items will do for."""
        return _FIRST_TOLERANCE

    @property
    def bytes_read(self) -> int:
        """Bytes that are read for a product with the Hessian."""
        return 2 * int(self.items.nbytes)

    def diagonal(self) -> FloatArray:
        """Estimate the diagonal of the Hessian of the logistic losses at zero.

        Without a basis, as `sampled_hessian`; no entry is below a thousandth of their
        mean, since a sample may miss what a column tells.
        """
        sample = _sample(len(self.weight), SAMPLED_ROWS)
        weight = self.weight[sample]
        gap = self._gaps(sample)
        square = weight.astype(gap.dtype) @ np.square(gap, out=gap)
        found = self.operator.scaled(square * (self.weight.sum() / weight.sum()) / 4)
        return np.maximum(found, _LEAST_CURVATURE * float(found.mean()))

    def sampled_hessian(self) -> FloatArray:
        """Estimate the Hessian of the logistic losses at zero from some of the wins.

        Four times as many as dimensions, and at least some thousand, evenly spread,
        stand for all; float32 will do. It conditions the solver, and moves nothing.
        For items without a basis.
        """
        d = self.items.shape[1]
        return self.operator.scaled(sampled_gram(self._gaps, self.weight, d))

    def _gaps(self, wins: IntArray) -> FloatArray:
        """Subtract losers from winners, in the coordinates of the items."""
        losers = self.items[self.loser[wins]]
        return np.asarray(widened(self.items[self.winner[wins]]) - losers)

    def _difference(self, reward: FloatArray) -> FloatArray:
        return np.asarray(reward[self.winner] - reward[self.loser])

    def _scatter(self, per_win: FloatArray) -> FloatArray:
        """Add `per_win` to each winner and take it from each loser: (n_items,)."""
        n_items = len(self.items)
        per_item = np.bincount(self.winner, per_win, n_items).astype(np.float64)
        per_item -= np.bincount(self.loser, per_win, n_items)
        return per_item


def make_problem(
    comparisons: Comparisons, scale: FloatArray | None = None
) -> LinearProblem:
    """Copy and centre the items, in the eigenbasis of the Hessian at zero.

    Parameters
    ----------
    comparisons : Comparisons
    scale : ndarray of shape (d,), optional
        By which to divide the columns of the items first.
    """
    if scale is None:
        items = comparisons.items.astype(np.float64)
    else:
        items = (comparisons.items / scale).astype(np.float64, copy=False)
    items -= items.mean(axis=0)
    basis = None
    if len(items) < items.shape[1]:
        # The solution lies in the span of the items: solve there.
        basis, triangle = qr(items.T, mode="economic")
        items = np.ascontiguousarray(triangle.T)
    wins = (comparisons.winner, comparisons.loser, comparisons.weight)
    spread = _laplacian(*wins, len(items)) @ items
    if items.shape[1] > LARGEST_ROTATION:
        curvature = np.einsum("ij,ij->j", items, spread) / 4
    else:
        hessian = items.T @ spread / 4
        curvature, rotation = eigh((hessian + hessian.T) / 2, driver="evd")
        items = items @ rotation
        basis = rotation if basis is None else basis @ rotation
    plain = LinearProblem.of(DenseOperator(items, basis), comparisons)
    return replace(plain, curvature=np.maximum(curvature, 0.0))


def is_blocked(comparisons: Comparisons) -> bool:
    """Say whether the items are left where they are, rather than copied."""
    items = comparisons.items
    return items.nbytes > _LARGEST_COPY and len(items) >= items.shape[1]


def blocked_operator(comparisons: Comparisons) -> BlockedOperator:
    """Make the operator of items that stay in place, unscaled and without a basis."""
    return BlockedOperator(comparisons.items, mean_of_rows(comparisons.items))


def make_blocked_problem(
    operator: BlockedOperator,
    comparisons: Comparisons,
) -> LinearProblem:
    """Leave the items in place, and apply the eigenbasis to the weights.

    Above 2,048 dimensions the Hessian's diagonal is taken instead.

    Parameters
    ----------
    operator : BlockedOperator
    comparisons : Comparisons
    """
    plain = LinearProblem.of(operator, comparisons)
    hessian = plain.gram(comparisons.weight) / 4
    if len(hessian) > LARGEST_ROTATION:
        return replace(plain, curvature=np.maximum(np.diagonal(hessian), 0.0))
    curvature, rotation = eigh(hessian, driver="evd")
    # The trace of the Hessian is a quarter of the squared length of all differences.
    square = 4 * float(curvature.sum()) / float(plain.weight.sum())
    rotated = replace(operator, basis=rotation.astype(np.float64)).measured(square)
    curvature = np.maximum(curvature, 0.0, dtype=np.float64)
    return replace(plain, operator=rotated, curvature=curvature)


def sampled_gram(
    gaps: Callable[[IntArray], FloatArray], weights: FloatArray, d: int
) -> FloatArray:
    """Estimate a quarter of the Gram matrix of differences, from some of the wins.

    Parameters
    ----------
    gaps : callable
        From numbers of wins to their differences, a new array (n, d).
    weights : ndarray of shape (n_wins,)
    d : int
    """
    sample = _sample(len(weights), max(SAMPLED_ROWS, 4 * d))
    weight = weights[sample]
    scale = np.sqrt(weight * (weights.sum() / weight.sum() / 4))
    total = np.zeros((d, d))
    for start in range(0, len(sample), SAMPLED_ROWS):
        part = slice(start, start + SAMPLED_ROWS)
        gap = gaps(sample[part])
        gap *= scale[part, None].astype(gap.dtype)
        total += gap.T @ gap
    return total


def sampled_square(wins: Comparisons, scale: FloatArray | None, n_wins: int) -> float:
    """Estimate the mean square of scaled differences from at least `n_wins` wins."""
    sample = _sample(len(wins), n_wins)
    gap = widened(wins.items[wins.winner[sample]]) - wins.items[wins.loser[sample]]
    if scale is not None:
        gap = gap / scale
    square = np.einsum("ij,ij->i", gap, gap, dtype=np.float64)
    return float(np.average(square, weights=wins.weight[sample]))


def mean_square_difference(problem: LinearProblem) -> float:
    """Compute the weighted mean of ||x_winner - x_loser||^2 over wins."""
    # The log loss of one win has curvature ||difference||^2 / 4 at w = 0.
    return float(4.0 * problem.curvature.sum() / problem.weight.sum())


def whiten_prior(problem: LinearProblem, power: float, d: int) -> LinearProblem:
    """Change coordinates so that the plain ridge is the whitened prior.

    Parameters
    ----------
    problem : LinearProblem
        As `make_problem` returns it.
    power : float in [0, 1]
        q; 0 changes nothing.
    d : int
        Dimension of the items.

    Returns
    -------
    LinearProblem
        The same one where there is no eigenbasis (very many dimensions) or q is 0.

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads.comparisons import make_comparisons
    >>> items = np.random.default_rng(0).normal(size=(400, 2)) * [1.0, 10.0]
    >>> pairs = Pairs(items, np.arange(400).reshape(200, 2))
    >>> plain = make_problem(make_comparisons(pairs))
    >>> whitened = whiten_prior(plain, 1.0, 2)
    >>> bool(whitened.curvature.max() < 2 * whitened.curvature.min())
    True
    """
    if power == 0.0 or problem.basis is None or not problem.curvature.any():
        return problem
    spectrum = problem.curvature
    rho = oas_shrinkage(spectrum, d, min(len(problem.winner), len(problem.items) - 1))
    shrunk = (1 - rho) * spectrum * (d / spectrum.sum()) + rho
    stretch = shrunk ** (-power / 2)
    return replace(
        problem,
        operator=problem.operator.stretched(stretch),
        curvature=spectrum * stretch**2,
        stretch=stretch,
        # Nothing varies there but the identity that S is shrunk towards.
        outside=max(rho, float(np.finfo(np.float64).eps)) ** (-power / 2),
    )


def oas_shrinkage(spectrum: FloatArray, d: int, n: int) -> float:
    """Compute how far to shrink a covariance towards a multiple of the identity.

    Parameters
    ----------
    spectrum : ndarray of shape (k,), >= 0
        Eigenvalues, without the zeros beyond k.
    d : int
        Dimension, >= k.
    n : int
        Independent observations behind it.

    Returns
    -------
    float in [0, 1]
        The oracle approximating shrinkage of [1]_, eq. 23.

    References
    ----------
    .. [1] Chen, Wiesel, Eldar, Hero (2010). Shrinkage algorithms for MMSE covariance
       estimation. IEEE Transactions on Signal Processing 58.

    Examples
    --------
    >>> oas_shrinkage(np.ones(4), 4, 100)
    1.0
    """
    square, trace = float(spectrum @ spectrum), float(spectrum.sum())
    above = (1 - 2 / d) * square + trace**2
    below = (n + 1 - 2 / d) * (square - trace**2 / d)
    return 1.0 if above >= below else max(0.0, above / below)


def _sample(n_wins: int, fewest: int) -> IntArray:
    """Take at least so many wins, if there are as many, evenly spread."""
    return np.arange(0, n_wins, max(1, n_wins // fewest))


def _laplacian(
    winner: IntArray, loser: IntArray, edge: FloatArray, n_items: int
) -> csr_array:
    """Build the graph Laplacian of wins, shape (n_items, n_items)."""
    # int32 where it does: this is the largest thing beside the items.
    index = np.int32 if n_items < 2**31 else np.intp
    own = np.arange(n_items, dtype=index)
    first, second = winner.astype(index, copy=False), loser.astype(index, copy=False)
    degree = np.bincount(winner, edge, n_items) + np.bincount(loser, edge, n_items)
    rows = np.concatenate([first, second, own])
    columns = np.concatenate([second, first, own])
    entries = np.concatenate([-edge, -edge, degree.astype(edge.dtype)])
    return csr_array((entries, (rows, columns)), shape=(n_items, n_items))
