r"""The second stage: Bradley-Terry from given weights, and extrapolation beyond.

.. math:: F(v) = \sum_i c_i \, \mathrm{softplus}(-(\delta^0_i + v^\top d_i - m_i))
          + \tfrac{\alpha}{2} \lVert v \rVert^2

with :math:`\delta^0_i` the delta of win i by the first stage and :math:`d_i` the
difference of its items. That is the problem of the linear head with the margin
:math:`m_i - \delta^0_i`, so its solver serves.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import check_items
from embrm.exceptions import invalid_input
from embrm.heads.comparisons import Comparisons, joined_groups
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import LinearProblem, mean_square_difference
from embrm.heads.linear.search import STRONG_PRIOR
from embrm.heads.rated._rated_items import RatedItems, make_rated_items
from embrm.heads.rated._ridge import fit_ridge
from embrm.heads.validation_split import (
    grouped_folds,
    split_units,
    strongest_within_one_error,
)
from embrm.heads.win_loss import log_loss
from embrm.pairs import Pairs, distinct_rows

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
        extrapolation = best_extrapolation(path.logit, path.moves[chosen], path.weight)
    means = path.losses() @ path.weight / path.weight.sum()
    tried = np.concatenate([[np.inf], alphas[: len(means) - 1]])
    return Choice(float(tried[chosen]), extrapolation, tried, means)


def with_start(problem: LinearProblem, delta: FloatArray) -> LinearProblem:
    """Return the problem of moving on from a first stage with the given deltas."""
    return replace(problem, margin=problem.margin - delta)


def best_extrapolation(
    logit: FloatArray, move: FloatArray, weight: FloatArray
) -> float:
    """Find a in [1, 2] that minimises the log loss of logit + a * move.

    Parameters
    ----------
    logit : ndarray of shape (n_wins,)
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
    >>> logit, move = np.array([0.0, 0.0]), np.array([0.5, -0.5])
    >>> best_extrapolation(logit, move, np.array([3.0, 1.5]))
    1.39
    """

    def best(grid: FloatArray) -> float:
        losses = [log_loss(logit + a * move, weight) for a in grid]
        return float(grid[int(np.argmin(losses))])

    fine = best(_COARSE) + _FINE
    return round(best(fine[(fine >= 1.0) & (fine <= 2.0)]), 2)


def positive_scale(delta: FloatArray, margin: FloatArray, weight: FloatArray) -> float:
    r"""Find s > 0 that puts deltas in other units on the scale of nats.

    Minimises :math:`\sum_i c_i \mathrm{softplus}(-(s u_i - m_i)) +
    \tfrac12 \log^2 s` with u delta in units of its root mean square: a prior of one
    nat within a factor of e, which keeps s positive for uninformative labels.

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
        logit = np.exp(log_scale) * unit - margin
        return log_loss(logit, weight) + log_scale**2 / 2

    found = minimize_scalar(
        loss, bounds=(-8.0, 8.0), method="bounded", options={"xatol": 1e-9}
    )
    return float(np.exp(found.x)) / spread


@dataclass(frozen=True, eq=False)
class _Path:
    """Held-out deltas along the path: `logit` of the first stage, `moves` on top."""

    logit: FloatArray
    weight: FloatArray
    moves: list[FloatArray]

    def losses(self) -> FloatArray:
        return np.array([np.logaddexp(0.0, -(self.logit + m)) for m in self.moves])

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
        logit = -np.concatenate([held.margin for _, held in parts])
        weight = np.concatenate([held.weight for _, held in parts])
        path = cls(logit, weight, [np.zeros(len(logit))])
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
            loss = log_loss(logit + path.moves[-1], weight)
            if loss < best:
                best, best_at = loss, n
            if n - best_at >= _PATIENCE:
                break
        return path


@dataclass(frozen=True, eq=False)
class RatingStage:
    """Rated items, and which of them are held out with which compared ones.

    Attributes
    ----------
    rated : RatedItems
        Of one attribute.
    rated_unit : ndarray of int of shape (n_rated,)
    compared_unit : ndarray of int of shape (n_compared,)
        Rated and compared items with equal units are held out together.
    """

    rated: RatedItems
    rated_unit: IntArray
    compared_unit: IntArray

    def items(self, comparisons: Comparisons) -> FloatArray:
        """List the distinct items that are rated or compared."""
        both = np.vstack([comparisons.items, self.rated.items])
        return both[distinct_rows(both)[0]]

    def transformed(self, preprocessor: Any) -> "RatingStage":
        """Preprocess the rated items."""
        items = check_items(np.asarray(preprocessor.transform(self.rated.items)))
        return replace(self, rated=replace(self.rated, items=items))

    def fit(
        self,
        comparisons: Comparisons,
        alpha: float | None,
        train: BoolArray | None = None,
        held: BoolArray | None = None,
    ) -> tuple[FloatArray, float, float]:
        """Regress the ratings, and scale the result to the wins.

        Parameters
        ----------
        comparisons : Comparisons
        alpha : float, optional
            None chooses it.
        train : mask of shape (n_wins,), optional
            Wins that the scale is fitted to; all by default.
        held : mask of shape (n_wins,), optional
            Wins whose prompts' ratings are not to be used.

        Returns
        -------
        weights : ndarray of shape (d,)
            In nats.
        scale : float
            Nats per unit of the ratings.
        alpha : float
        """
        rated, known = self.rated, np.ones(len(self.rated.items), dtype=bool)
        if held is not None:
            ends = [comparisons.winner[held], comparisons.loser[held]]
            away = self.compared_unit[np.concatenate(ends)]
            known = ~np.isin(self.rated_unit, away)
        if not known.any():
            return np.zeros(comparisons.items.shape[1]), 1.0, 0.0
        ridge = fit_ridge(
            rated.items[known],
            rated.rating[known],
            rated.weight[known, 0],
            alpha=alpha,
            groups=None if rated.groups is None else rated.groups[known],
        )
        wins = comparisons if train is None else comparisons.take(train)
        delta = win_deltas(wins, ridge.coef[0])
        scale = positive_scale(delta, wins.margin, wins.weight)
        return scale * ridge.coef[0], scale, float(ridge.alpha[0])


def make_rating_stage(
    pairs: Any, comparisons: Comparisons, ratings: Any
) -> RatingStage:
    """Bring the ratings of the items of pairs into canonical form.

    Parameters
    ----------
    pairs : Pairs
    comparisons : Comparisons
        Made from the same pairs.
    ratings : array-like of shape (n_items,)
        One for each row of `pairs.items`; NaN is not rated.

    Returns
    -------
    RatingStage

    Raises
    ------
    InvalidInputError
        If the pairs are no `Pairs`, or the ratings have a wrong shape or content.
    """
    if not isinstance(pairs, Pairs):
        raise invalid_input(
            expected="Pairs along with ratings, which name the rated items",
            got=type(pairs).__name__,
            fix="pass Pairs(items, ids), and one rating per row of items",
        )
    if np.ndim(ratings) != 1:
        raise invalid_input(
            expected=f"ratings of shape ({len(pairs.items)},), one per item",
            got=f"{np.ndim(ratings)} dimensions",
            fix="pass one attribute, or their weighted mean",
        )
    rated = make_rated_items(pairs.items, ratings, None, pairs.prompt_ids)
    return RatingStage(rated, *_units(pairs, comparisons, rated, ratings))


def win_deltas(comparisons: Comparisons, weights: FloatArray) -> FloatArray:
    """Compute r(winner) - r(loser) of each win by a linear reward, shape (n_wins,)."""
    reward = comparisons.items @ weights
    return np.asarray(reward[comparisons.winner] - reward[comparisons.loser])


def _units(
    pairs: Pairs, comparisons: Comparisons, rated: RatedItems, ratings: Any
) -> tuple[IntArray, IntArray]:
    """Label rated and compared items: by prompt where splits are by prompt."""
    n_compared, n_rated = len(comparisons.items), len(rated.items)
    groups = comparisons.groups
    if groups is None or not np.array_equal(split_units(comparisons), groups):
        both = np.vstack([comparisons.items, rated.items])
        identity = distinct_rows(both)[1]
        return identity[n_compared:], identity[:n_compared]
    used = ~np.isnan(np.asarray(ratings, dtype=np.float64))
    used[pairs.ids] = True
    vectors = pairs.items[used].astype(comparisons.items.dtype, copy=False)
    identity = distinct_rows(np.vstack([comparisons.items, rated.items, vectors]))[1]
    compared, found, rows = np.split(identity, [n_compared, n_compared + n_rated])
    prompts = np.asarray(pairs.prompt_ids)[used]
    unit = joined_groups(np.unique(prompts, return_inverse=True)[1], rows)
    return unit[found], unit[compared]
