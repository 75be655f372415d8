r"""The second stage: Bradley-Terry from given weights, and extrapolation beyond.

.. math:: F(v) = \sum_i c_i \, \mathrm{softplus}(-(\delta^0_i + v^\top d_i - m_i))
          + \tfrac{\alpha}{2} \lVert v \rVert^2

with :math:`\delta^0_i` what the first stage says about win i and :math:`d_i` the
difference of its items. That is the problem of the linear head with the margin
:math:`m_i - \delta^0_i`, so its solver serves.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from embrm._typing import BoolArray, FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import LinearProblem, mean_square_difference
from embrm.heads.linear.search import STRONG_PRIOR
from embrm.heads.validation_split import grouped_folds, strongest_within_one_error
from embrm.heads.win_loss import log_loss

_PRIORS = np.geomspace(0.03, 30.0, 13)
_N_FOLDS = 5
_FEWEST_HELD_OUT = 20
_PATIENCE = 3
_TOLERANCE = 1e-3
_MAX_ITER = 30

_COARSE = np.arange(10, 21) / 10
_FINE = np.arange(-9, 10) / 100

StartOf = Callable[[BoolArray, BoolArray], FloatArray]
"""Delta of each win by a first stage that knows `train` and not `held` wins."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What cross-validation chose.

    Attributes
    ----------
    alpha : float
        Infinite where the second stage is to stay at the first.
    extrapolation : float
        a in w0 + a * (w2 - w0).
    alphas, held_out_loss : ndarray of shape (n_tried,)
        Penalties tried, descending from infinity, and the mean held-out log loss.
    """

    alpha: float
    extrapolation: float
    alphas: FloatArray
    held_out_loss: FloatArray


def choose(
    comparisons: Comparisons,
    problem: LinearProblem,
    start_of: StartOf,
    *,
    alpha: float | None,
    extrapolation: float | None,
) -> Choice:
    """Choose the penalty and the extrapolation by log loss on held-out prompts.

    The path runs from an infinite penalty, under which the first stage is left as it
    is, to weak ones, and ends when the loss has not improved three times in a row.
    The penalty is the strongest within one standard error of the least loss, as that
    of the linear head. The extrapolation then minimises the same held-out loss on
    1.0, 1.1, ..., 2.0, and around the best on a grid of 0.01 [1]_; no fit is repeated
    for it.

    Parameters
    ----------
    comparisons : Comparisons
    problem : LinearProblem
        Of the same wins.
    start_of : callable
        Takes masks (train, held) over wins; returns delta of all wins by a first
        stage that has seen neither the held-out wins nor ratings of their prompts.
    alpha, extrapolation : float, optional
        What is given is not chosen.

    Returns
    -------
    Choice

    References
    ----------
    .. [1] Wang et al. (2024). HelpSteer2-Preference: complementing ratings with
       preferences. arXiv:2410.01257.
    """
    if alpha is not None and extrapolation is not None:
        return Choice(alpha, extrapolation, np.empty(0), np.empty(0))
    folds = grouped_folds(comparisons, _N_FOLDS)
    square = mean_square_difference(problem)
    if sum(int(held.sum()) for _, held in folds) < _FEWEST_HELD_OUT:
        blind = square / STRONG_PRIOR**2 if alpha is None else alpha
        blind_extrapolation = 1.0 if extrapolation is None else extrapolation
        return Choice(blind, blind_extrapolation, np.empty(0), np.empty(0))
    alphas = square / _PRIORS**2 if alpha is None else np.array([alpha])
    path = _Path.of(problem, folds, start_of, alphas)
    chosen = len(path.moves) - 1
    if alpha is None:
        chosen = strongest_within_one_error(path.losses(), path.weight)
    if extrapolation is None:
        extrapolation = best_extrapolation(path.lead, path.moves[chosen], path.weight)
    means = path.losses() @ path.weight / path.weight.sum()
    tried = np.concatenate([[np.inf], alphas[: len(means) - 1]])
    return Choice(float(tried[chosen]), extrapolation, tried, means)


def with_start(problem: LinearProblem, delta: FloatArray) -> LinearProblem:
    """Return the problem of moving on from a first stage with the given deltas."""
    return replace(problem, margin=problem.margin - delta)


def best_extrapolation(lead: FloatArray, move: FloatArray, weight: FloatArray) -> float:
    """Find a in [1, 2] that minimises the log loss of lead + a * move.

    Parameters
    ----------
    lead : ndarray of shape (n_wins,)
        Delta of the first stage minus margin, in nats.
    move : ndarray of shape (n_wins,)
        What the second stage adds to delta.
    weight : ndarray of shape (n_wins,)

    Returns
    -------
    float
        A multiple of 0.01; the smallest of equally good ones.

    Examples
    --------
    >>> import numpy as np
    >>> lead, move = np.array([0.0, 0.0]), np.array([0.5, -0.5])
    >>> best_extrapolation(lead, move, np.array([3.0, 1.5]))
    1.39
    """

    def best(grid: FloatArray) -> float:
        losses = [log_loss(lead + a * move, weight) for a in grid]
        return float(grid[int(np.argmin(losses))])

    fine = best(_COARSE) + _FINE
    return round(best(fine[(fine >= 1.0) & (fine <= 2.0)]), 2)


def positive_scale(delta: FloatArray, margin: FloatArray, weight: FloatArray) -> float:
    r"""Find s > 0 that puts deltas in other units on the scale of nats.

    Minimises :math:`\sum_i c_i \mathrm{softplus}(-(s u_i - m_i)) +
    \tfrac12 \log^2 s` with u delta in units of its root mean square: a prior of one
    nat within a factor of e, which keeps s positive where labels say nothing.

    Parameters
    ----------
    delta, margin, weight : ndarray of shape (n_wins,)

    Returns
    -------
    float
        s, divided by the root mean square; 1 where all deltas are zero.
    """
    spread = float(np.sqrt(np.average(delta**2, weights=weight)))
    if spread == 0:
        return 1.0
    unit = delta / spread

    def loss(log_scale: float) -> float:
        lead = np.exp(log_scale) * unit - margin
        return log_loss(lead, weight) + log_scale**2 / 2

    found = minimize_scalar(
        loss, bounds=(-8.0, 8.0), method="bounded", options={"xatol": 1e-9}
    )
    return float(np.exp(found.x)) / spread


@dataclass(frozen=True, eq=False)
class _Path:
    """Held-out deltas along the path: `lead` of the first stage, `moves` on top."""

    lead: FloatArray
    weight: FloatArray
    moves: list[FloatArray]

    def losses(self) -> FloatArray:
        return np.array([np.logaddexp(0.0, -(self.lead + m)) for m in self.moves])

    @classmethod
    def of(
        cls,
        problem: LinearProblem,
        folds: list[tuple[BoolArray, BoolArray]],
        start_of: StartOf,
        alphas: FloatArray,
    ) -> "_Path":
        parts = []
        for train, held in folds:
            moved = with_start(problem, start_of(train, held))
            parts.append((moved.take(train), moved.take(held)))
        lead = -np.concatenate([held.margin for _, held in parts])
        weight = np.concatenate([held.weight for _, held in parts])
        path = cls(lead, weight, [np.zeros(len(lead))])
        steps: list[FloatArray] = [np.zeros(len(problem.curvature)) for _ in parts]
        best, best_at = float(path.losses()[0] @ weight), 0
        for n, alpha in enumerate(alphas, start=1):
            for k, (train_part, _) in enumerate(parts):
                steps[k], _, _ = minimise(
                    train_part,
                    float(alpha),
                    steps[k],
                    tol=_TOLERANCE,
                    max_iter=_MAX_ITER,
                )
            deltas = [held.delta(v) for (_, held), v in zip(parts, steps, strict=True)]
            path.moves.append(np.concatenate(deltas))
            loss = log_loss(lead + path.moves[-1], weight)
            if loss < best:
                best, best_at = loss, n
            if n - best_at >= _PATIENCE:
                break
        return path
