"""Choose the capacity of the general preference head by grouped cross-validation.

The penalty of the blocks is spoken of as a share of the largest one that is useful: at
1 there are no blocks, and the path goes down from there. The number of blocks doubles
for as long as that helps.
"""

from dataclasses import dataclass

import numpy as np

from embrm._typing import BoolArray, FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.cyclic.skew_training import fit_skew, largest_useful_penalty, lead_of
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import LinearProblem
from embrm.heads.validation_split import grouped_folds

MODERATE = 0.5
"""Share of the largest useful penalty, where there is too little data to choose."""

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
        0 where blocks do not pay.
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
        leads = [held.delta(w) - held.margin for _, held, w in self.parts]
        return np.asarray(np.logaddexp(0.0, -np.concatenate(leads)))

    def losses(self, n_blocks: int, beta: float) -> FloatArray:
        """Compute the held-out loss of each win under heads with blocks."""
        leads = []
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
            leads.append(lead_of(held, weights))
        return np.asarray(np.logaddexp(0.0, -np.concatenate(leads)))

    def path(
        self, n_blocks: int, betas: list[float]
    ) -> tuple[dict[tuple[int, float], FloatArray], float]:
        """Try penalties from strong to weak until the loss rises; say which is best."""
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
