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

Choose the capacity of the general preference head by grouped cross-validation.

The penalty of the blocks is stated as a share of the largest one that is useful: at
1 there are no blocks, and the path goes down from there. The number of blocks doubles
for as long as that helps.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, qr
from scipy.sparse import csr_array
from scipy.special import expit

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import LinearProblem
from embrm.heads.validation_split import grouped_folds
from embrm.heads.win_loss import log_loss, minimise_smooth

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


def logits_of(problem: LinearProblem, weights: SkewWeights) -> FloatArray:
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
    logit = skew_delta(items @ weights.linear, first, second, ids) - problem.margin
    slope = -problem.weight * expit(-logit)
    turn = _skew(problem, slope)
    gradient = SkewWeights(
        problem.to_weights(slope) + alpha * weights.linear,
        items.T @ (turn @ second) + beta * weights.first,
        beta * weights.second - items.T @ (turn @ first),
    )
    size = float(np.sum(weights.first**2) + np.sum(weights.second**2))
    penalty = alpha * float(weights.linear @ weights.linear) + beta * size
    return log_loss(logit, problem.weight) + penalty / 2, gradient


def largest_useful_penalty(problem: LinearProblem, linear: FloatArray) -> float:
    """Compute the least beta without any block, given `linear`."""
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
    logit = problem.delta(linear) - problem.margin
    turn = _skew(problem, problem.weight * expit(-logit))
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
    turn = logits_of(problem, unit) - logits_of(
        problem, SkewWeights(linear, *_none(unit))
    )
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


MODERATE = 0.5
"""Share of the largest useful penalty, with too few wins to choose."""

_SHARES = (0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.01)
_N_FOLDS = 4
_FEWEST_HELD_OUT = 20
_PATIENCE = 2
_MOST_BLOCKS = 16
_STANDARD_ERRORS = 2.0
_TOLERANCE = 1e-4
_MAX_ITER = 60


@dataclass(frozen=True, eq=False)
class BlockSearch:
    """What was tried and chosen.

    Attributes
    ----------
    n_blocks : int
        0 where blocks do not lower the loss.
    beta : float
        Penalty of the blocks; infinite where there are none.
    held_out_loss : ndarray of shape (n_tried, 3)
        Rows of (number of blocks, penalty, mean held-out log loss of a win in nats);
        the first row is the linear head. Empty where there was nothing to choose.
    """

    n_blocks: int
    beta: float
    held_out_loss: FloatArray


NO_BLOCKS = BlockSearch(0, np.inf, np.empty((0, 3)))


def search_blocks(
    comparisons: Comparisons,
    problem: LinearProblem,
    linear: FloatArray,
    *,
    alpha: float,
    n_blocks: int | None,
    beta: float | None,
) -> BlockSearch:
    """Choose what is left open of the number of blocks and their penalty.

    Parameters
    ----------
    comparisons : Comparisons
    problem : LinearProblem
        Made from `comparisons`.
    linear : ndarray of shape (k,)
        The linear head of all wins.
    alpha : float
        Penalty of the linear part.
    n_blocks : int or None
        None to choose it: blocks are taken only if they lower the held-out loss by
        more than two standard errors, and again for every doubling.
    beta : float or None
        None to choose it: the one of least held-out loss.

    Returns
    -------
    BlockSearch
    """
    most = problem.items.shape[1] // 2
    largest = largest_useful_penalty(problem, linear) if most else 0.0
    vanishing = 1e-12 * problem.curvature.max()
    if n_blocks == 0 or most == 0 or largest <= vanishing:
        return NO_BLOCKS
    betas = [share * largest for share in _SHARES] if beta is None else [beta]
    if n_blocks is not None and beta is not None:
        return BlockSearch(min(n_blocks, most), beta, np.empty((0, 3)))
    folds = _Folds.make(comparisons, problem, alpha)
    if folds is None:
        count = min(n_blocks or 0, most)
        if count == 0:
            return NO_BLOCKS
        return BlockSearch(count, MODERATE * largest, np.empty((0, 3)))
    if n_blocks is not None:
        losses, best = folds.path(min(n_blocks, most), betas)
        return BlockSearch(min(n_blocks, most), best, folds.table(losses))
    return _double(folds, min(most, _MOST_BLOCKS), betas)


def _double(folds: "_Folds", most: int, betas: list[float]) -> BlockSearch:
    """Double the number of blocks for as long as that helps."""
    tried = dict[tuple[int, float], FloatArray]()
    chosen, count = (0, np.inf), 1
    current = folds.linear_losses()
    while count <= most:
        losses, beta = folds.path(count, betas)
        tried |= losses
        if not folds.is_gain(current, losses[count, beta]):
            break
        chosen, current = (count, beta), losses[count, beta]
        count *= 2
    return BlockSearch(*chosen, folds.table(tried))


@dataclass(frozen=True, eq=False)
class _Folds:
    """Training and validation parts, with the linear head of each training part."""

    alpha: float
    parts: list[tuple[LinearProblem, LinearProblem, FloatArray]]
    weight: FloatArray

    @classmethod
    def make(
        cls, comparisons: Comparisons, problem: LinearProblem, alpha: float
    ) -> "_Folds | None":
        """Divide the wins; None if too few could be held out."""
        masks = grouped_folds(comparisons, _N_FOLDS)
        if sum(int(held.sum()) for _, held in masks) < _FEWEST_HELD_OUT:
            return None
        parts = [_part(problem, train, held, alpha) for train, held in masks]
        return cls(alpha, parts, np.concatenate([held.weight for _, held, _ in parts]))

    def linear_losses(self) -> FloatArray:
        """Compute the held-out loss of each win under the linear heads."""
        logits = [held.delta(w) - held.margin for _, held, w in self.parts]
        return np.asarray(np.logaddexp(0.0, -np.concatenate(logits)))

    def losses(self, n_blocks: int, beta: float) -> FloatArray:
        """Compute the held-out loss of each win under heads with blocks."""
        logits = []
        for train, held, linear in self.parts:
            weights, _, _ = fit_skew(
                train,
                linear,
                n_blocks,
                alpha=self.alpha,
                beta=beta,
                tol=_TOLERANCE,
                max_iter=_MAX_ITER,
            )
            logits.append(logits_of(held, weights))
        return np.asarray(np.logaddexp(0.0, -np.concatenate(logits)))

    def path(
        self, n_blocks: int, betas: list[float]
    ) -> tuple[dict[tuple[int, float], FloatArray], float]:
        """Try penalties from strong to weak until the loss rises; return the best."""
        losses = dict[tuple[int, float], FloatArray]()
        means = list[float]()
        for beta in betas:
            losses[n_blocks, beta] = self.losses(n_blocks, beta)
            means.append(self.mean(losses[n_blocks, beta]))
            if len(means) - 1 - int(np.argmin(means)) >= _PATIENCE:
                break
        return losses, betas[int(np.argmin(means))]

    def mean(self, losses: FloatArray) -> float:
        """Average over wins by weight."""
        return float(np.average(losses, weights=self.weight))

    def is_gain(self, before: FloatArray, after: FloatArray) -> bool:
        """Whether the loss falls by more than two standard errors of the difference."""
        gain = before - after
        mean = self.mean(gain)
        error = np.sqrt((gain - mean) ** 2 @ self.weight**2) / self.weight.sum()
        return bool(mean > _STANDARD_ERRORS * error)

    def table(self, tried: dict[tuple[int, float], FloatArray]) -> FloatArray:
        """List what was tried, the linear head first."""
        rows = [(0.0, np.inf, self.mean(self.linear_losses()))]
        rows += [(float(n), beta, self.mean(tried[n, beta])) for n, beta in tried]
        return np.array(rows)


def _part(
    problem: LinearProblem, train: BoolArray, held: BoolArray, alpha: float
) -> tuple[LinearProblem, LinearProblem, FloatArray]:
    training = problem.take(train)
    start = np.zeros(len(problem.curvature))
    linear, _, _ = minimise(training, alpha, start, tol=1e-4, max_iter=50)
    return training, problem.take(held), linear
