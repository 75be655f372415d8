r"""The objective of the general preference head, and its fit for a given capacity.

.. math:: F(w, U, V) = \sum_i c_i \, \mathrm{softplus}(-(\delta_i - m_i))
          + \tfrac{\alpha}{2} \lVert w \rVert^2
          + \tfrac{\beta}{2} (\lVert U \rVert^2 + \lVert V \rVert^2)

where :math:`\delta(x_1, x_2) = w^\top (x_1 - x_2) + x_1^\top A x_2` with the
skew-symmetric :math:`A = \sum_k u_k v_k^\top - v_k u_k^\top`. Items are projected once
per evaluation, and what wins say is summed up on items before it meets the vectors.

In A the problem is convex: the last term is half the nuclear norm of A, minimised over
its factors. So A = 0 is the optimum exactly if beta is at least the largest singular
value of the gradient in A at A = 0 (`largest_useful_penalty`), and the leading
singular pairs of that gradient are where a fit starts: U = V = 0 is a saddle point.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, qr
from scipy.sparse import csr_array
from scipy.special import expit

from embrm._typing import FloatArray, IntArray
from embrm.heads.linear.problem import LinearProblem
from embrm.heads.smooth_minimiser import minimise_smooth
from embrm.heads.win_loss import log_loss

_N_POWER_STEPS = 20
_SIZES = np.geomspace(1e-3, 10.0, 13)
_SMALLEST_CURVATURE = 1e-12


@dataclass(frozen=True, eq=False)
class SkewWeights:
    """Weights of the transitive and of the cyclic part.

    Attributes
    ----------
    linear : ndarray of shape (k,)
    first, second : ndarray of shape (k, n_blocks)
        Columns u and v of each block.
    """

    linear: FloatArray
    first: FloatArray
    second: FloatArray

    @property
    def n_blocks(self) -> int:
        """Number of two-dimensional blocks."""
        return int(self.first.shape[1])

    def flat(self) -> FloatArray:
        """Join all weights to one vector."""
        return np.concatenate([self.linear, self.first.ravel(), self.second.ravel()])

    def like(self, flat: FloatArray) -> "SkewWeights":
        """Undo `flat` for weights of this shape."""
        linear, first, second = np.split(
            flat, [self.linear.size, self.linear.size + self.first.size]
        )
        shape = self.first.shape
        return SkewWeights(linear, first.reshape(shape), second.reshape(shape))


def skew_delta(
    reward: FloatArray, first: FloatArray, second: FloatArray, ids: IntArray
) -> FloatArray:
    """Compute delta of pairs from projected items, negated exactly by a swap.

    Parameters
    ----------
    reward : ndarray of shape (n_items,)
    first, second : ndarray of shape (n_items, n_blocks)
    ids : ndarray of int of shape (n_pairs, 2)

    Returns
    -------
    ndarray of shape (n_pairs,), in nats
    """
    one, two = ids[:, 0], ids[:, 1]
    # Each block is a difference of two products, so that exchanging one and two
    # negates every summand to the last bit.
    turns = first[one] * second[two] - second[one] * first[two]
    return np.asarray((reward[one] - reward[two]) + turns.sum(axis=1))


def lead_of(problem: LinearProblem, weights: SkewWeights) -> FloatArray:
    """Compute delta minus margin of each win, shape (n_wins,)."""
    ids = np.column_stack([problem.winner, problem.loser])
    projected = (
        problem.items @ weights.linear,
        problem.items @ weights.first,
        problem.items @ weights.second,
    )
    return skew_delta(*projected, ids) - problem.margin


def value_and_gradient(
    problem: LinearProblem, weights: SkewWeights, alpha: float, beta: float
) -> tuple[float, SkewWeights]:
    """Compute F and its gradient, which has the shape of the weights."""
    items, ids = problem.items, np.column_stack([problem.winner, problem.loser])
    first, second = items @ weights.first, items @ weights.second
    lead = skew_delta(items @ weights.linear, first, second, ids) - problem.margin
    pull = -problem.weight * expit(-lead)
    turn = _skew(problem, pull)
    gradient = SkewWeights(
        problem.to_weights(pull) + alpha * weights.linear,
        items.T @ (turn @ second) + beta * weights.first,
        beta * weights.second - items.T @ (turn @ first),
    )
    size = float(np.sum(weights.first**2) + np.sum(weights.second**2))
    penalty = alpha * float(weights.linear @ weights.linear) + beta * size
    return log_loss(lead, problem.weight) + penalty / 2, gradient


def largest_useful_penalty(problem: LinearProblem, linear: FloatArray) -> float:
    """Compute the least beta under which no block is worth having, beside `linear`."""
    _, _, strength = _leading_blocks(problem, linear, 1)
    return float(strength[0])


def fit_skew(
    problem: LinearProblem,
    linear: FloatArray,
    n_blocks: int,
    *,
    alpha: float,
    beta: float,
    tol: float,
    max_iter: int,
) -> tuple[SkewWeights, int, bool]:
    """Minimise F from the leading blocks of its gradient at A = 0.

    Parameters
    ----------
    problem : LinearProblem
    linear : ndarray of shape (k,)
        The minimum of F without blocks.
    n_blocks : int, from 1 to k // 2
    alpha, beta : float
    tol : float
        The fit ends when a step lowers F by less than this share.
    max_iter : int

    Returns
    -------
    weights : SkewWeights
    n_iter : int
    converged : bool
    """
    start = _start(problem, linear, n_blocks, alpha, beta)

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = value_and_gradient(problem, start.like(flat), alpha, beta)
        return value, gradient.flat()

    found = minimise_smooth(
        objective,
        start.flat(),
        _scale(problem, start, alpha, beta).flat(),
        small=1e-12 * np.sqrt(problem.weight.sum()),
        max_iter=max_iter,
        least_gain=tol,
    )
    return start.like(found.parameters), found.n_iter, found.converged


def _skew(problem: LinearProblem, per_win: FloatArray) -> csr_array:
    """Put `per_win` at (winner, loser) of a sparse matrix, its negative opposite."""
    n_items = len(problem.items)
    rows = np.concatenate([problem.winner, problem.loser])
    columns = np.concatenate([problem.loser, problem.winner])
    entries = np.concatenate([per_win, -per_win])
    return csr_array((entries, (rows, columns)), shape=(n_items, n_items))


def _leading_blocks(
    problem: LinearProblem, linear: FloatArray, n_blocks: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Find the leading singular pairs of minus the gradient in A, at A = 0.

    By subspace iteration from fixed random vectors: the k x k matrix is not formed.
    """
    items, width = problem.items, problem.items.shape[1]
    lead = problem.delta(linear) - problem.margin
    turn = _skew(problem, problem.weight * expit(-lead))
    rng = np.random.default_rng(0)
    span = rng.normal(size=(width, min(2 * n_blocks + 4, width)))
    for _ in range(_N_POWER_STEPS):
        span, _ = qr(items.T @ (turn @ (items @ span)), mode="economic")
    inner = (items @ span).T @ (turn @ (items @ span))
    # i times a skew G is Hermitian; for its eigenvector a + ib, G a = s b: the plane
    # of a and b is turned by G, and b' G a = s / 2 is the largest there is.
    strength, vectors = eigh(0.5j * (inner - inner.T))
    strength, vectors = strength[::-1][:n_blocks], vectors[:, ::-1][:, :n_blocks]
    first, second = span @ vectors.imag, span @ vectors.real
    return np.sqrt(2.0) * first, np.sqrt(2.0) * second, np.maximum(strength, 0.0)


def _start(
    problem: LinearProblem,
    linear: FloatArray,
    n_blocks: int,
    alpha: float,
    beta: float,
) -> SkewWeights:
    """Scale the leading blocks so that F is least."""
    first, second, strength = _leading_blocks(problem, linear, n_blocks)
    share = np.sqrt(strength / max(strength[0], np.finfo(float).tiny))
    unit = SkewWeights(linear, first * share, second * share)
    turn = lead_of(problem, unit) - lead_of(problem, SkewWeights(linear, *_none(unit)))
    spread = float(np.sqrt(np.average(turn**2, weights=problem.weight)))
    if spread == 0.0:
        return unit
    candidates = [
        SkewWeights(linear, unit.first * root, unit.second * root)
        for root in np.sqrt(_SIZES / spread)
    ]
    values = [value_and_gradient(problem, c, alpha, beta)[0] for c in candidates]
    return candidates[int(np.argmin(values))]


def _none(weights: SkewWeights) -> tuple[FloatArray, FloatArray]:
    return weights.first[:, :0], weights.second[:, :0]


def _scale(
    problem: LinearProblem, start: SkewWeights, alpha: float, beta: float
) -> SkewWeights:
    """Estimate one over the root of the curvature in each weight."""
    curvature = problem.curvature + _SMALLEST_CURVATURE * problem.curvature.max()

    def of_block(other: FloatArray) -> FloatArray:
        # The curvature in u is that of a linear head on items weighted by v.
        square = np.mean((problem.items @ other) ** 2, axis=0)
        return np.asarray(1.0 / np.sqrt(curvature[:, None] * square + beta))

    return SkewWeights(
        1.0 / np.sqrt(curvature + alpha),
        of_block(start.second),
        of_block(start.first),
    )
