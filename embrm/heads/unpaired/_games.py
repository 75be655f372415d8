r"""Games: comparisons of named items in canonical form, for models without features.

Newton's method for the strengths of items, and their sandwich covariance.

.. math:: F(s, t) = -\sum_i c_i \log P(y_i \mid s_{\text{first}_i}
          - s_{\text{second}_i}, t) + \tfrac{\alpha}{2} \lVert s \rVert^2

The Hessian in s is the graph Laplacian of the games, weighted by their curvature.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.linalg import inv, solve

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import check_labels, check_sample_weight
from embrm.exceptions import invalid_input
from embrm.heads.comparisons import graph_components
from embrm.heads.unpaired._tie_models import GameLoss, TieModel


@dataclass(frozen=True, eq=False)
class Games:
    """Outcomes of comparisons between named items.

    Attributes
    ----------
    names : ndarray of shape (n_items,)
        Distinct names or ids, ascending.
    first, second : ndarray of int of shape (n_outcomes,)
        Positions in `names`, first < second; every (first, second, y) occurs once.
    y : ndarray of shape (n_outcomes,), in [0, 1]
        1 if first won, 0 if second did, 0.5 for a tie.
    weight : ndarray of shape (n_outcomes,), > 0
        How many games ended so.
    """

    names: AnyArray
    first: IntArray
    second: IntArray
    y: FloatArray
    weight: FloatArray

    def components(self, *, strong: bool) -> IntArray:
        """Label the connected components of the graph of games.

        Parameters
        ----------
        strong : bool
            Whether edges lead from winner to loser, and both ways for anything
            between; else a game connects however it ended.

        Returns
        -------
        ndarray of int of shape (n_items,)
        """
        won, lost = self.y > 0, self.y < 1
        ends = np.concatenate([self.first[won], self.second[lost]])
        others = np.concatenate([self.second[won], self.first[lost]])
        return graph_components(len(self.names), ends, others, strong=strong)

    def n_games(self) -> FloatArray:
        """Sum the weights of each item's games, shape (n_items,)."""
        n_items = len(self.names)
        return np.asarray(
            np.bincount(self.first, self.weight, n_items)
            + np.bincount(self.second, self.weight, n_items)
        )


def make_games(
    ids: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> Games:
    """Check what a user passes to `fit` and bring it into canonical form.

    Parameters
    ----------
    ids : array-like or DataFrame of shape (n_games, 2)
        Names or integer ids of first and second.
    y : array-like of shape (n_games,) in [0, 1], optional
        1 if first won; None means that first always won.
    sample_weight : array-like of shape (n_games,), >= 0, optional

    Returns
    -------
    Games

    Raises
    ------
    InvalidInputError
        On a wrong shape or range, a missing name, an item against itself, or no game.

    Examples
    --------
    >>> games = make_games([["b", "a"], ["a", "b"]], [1, 0])
    >>> games.names, games.y, games.weight
    (array(['a', 'b'], dtype='<U1'), array([0.]), array([2.]))
    """
    table = check_names(ids)
    labels = check_labels(y, n_pairs=len(table))
    weights = check_sample_weight(sample_weight, n_pairs=len(table))
    if len(table) == 0:
        raise invalid_input("at least one game", "0 games", "check how they were read")
    _refuse_self_games(table)
    played = weights > 0
    names, codes = np.unique(table[played], return_inverse=True)
    codes = codes.reshape(-1, 2)
    turned = codes[:, 0] > codes[:, 1]
    labels = np.where(turned, 1.0 - labels[played], labels[played])
    codes.sort(axis=1)
    outcomes, inverse = np.unique(
        np.column_stack([codes.astype(np.float64), labels]), axis=0, return_inverse=True
    )
    first, second = outcomes[:, :2].T.astype(np.intp)
    total = np.bincount(inverse.ravel(), weights[played])
    return Games(names, first, second, outcomes[:, 2], total.astype(np.float64))


def check_names(ids: Any) -> AnyArray:
    """Check names of pairs: strings or integers of shape (n_games, 2), none missing."""
    array = np.asarray(ids.to_numpy() if isinstance(ids, pd.DataFrame) else ids)
    if array.size == 0:
        array = np.empty((0, 2), dtype=np.intp)
    if array.ndim != 2 or array.shape[1] != 2:
        raise invalid_input(
            "names or ids of shape (n_games, 2)",
            f"shape {array.shape}",
            "pass two columns: first and second",
        )
    if array.dtype.kind == "O":
        kinds = {type(name) for name in array.ravel()}
        if kinds == {str}:
            return array.astype(str)
        if all(issubclass(k, int | np.integer) and k is not bool for k in kinds):
            return array.astype(np.int64)
    elif array.dtype.kind in "iuU":
        return array
    raise invalid_input(
        "names that are all strings or all integers, none missing",
        f"dtype {array.dtype}",
        "drop the games without a name and convert the rest with .astype(str)",
    )


def _refuse_self_games(table: AnyArray) -> None:
    same = table[:, 0] == table[:, 1]
    if same.any():
        raise invalid_input(
            "two different items in each game",
            f"an item against itself at game {int(np.argmax(same))} "
            f"({int(same.sum())} such games)",
            "drop the games whose two names are equal",
        )


_MAX_ITER = 100
_SMALLEST_STEP = 1e-12
_SMALLEST_DECREMENT = 1e-22


@dataclass(frozen=True, eq=False)
class Strengths:
    """What was estimated.

    Attributes
    ----------
    scores : ndarray of shape (n_items,)
        Of sum 0, in nats.
    tie : float
        The tie parameter of the model.
    covariance : ndarray of shape (n_items, n_items)
        Of the centred scores: the sandwich without a penalty, the posterior with one.
    n_iter : int
    """

    scores: FloatArray
    tie: float
    covariance: FloatArray
    n_iter: int


def fit_strengths(
    games: Games, model: TieModel, tie: float, *, alpha: float, free_tie: bool
) -> Strengths:
    """Minimise F by damped Newton steps from equal strengths.

    Parameters
    ----------
    games : Games
        Whose graph is strongly connected, unless alpha > 0.
    model : TieModel
    tie : float
        Where the tie parameter starts.
    alpha : float, >= 0
    free_tie : bool
        Whether the tie parameter is estimated, or stays where it starts.

    Returns
    -------
    Strengths
    """
    fit = _Fit(games, model, alpha, free_tie)
    n_items, n_iter = len(games.names), 0
    at: FloatArray = np.append(np.zeros(n_items), tie)
    here = fit.loss(at)
    while n_iter < _MAX_ITER:
        gradient = fit.gradient(at, here)
        step = -solve(fit.hessian(here), gradient, assume_a="pos")
        decrement = -float(gradient @ step)
        if decrement <= _SMALLEST_DECREMENT * games.weight.sum():
            break
        there = _line_search(fit, at, here, step, decrement)
        if there is None:
            break
        at, here = there
        n_iter += 1
    scores = at[:n_items] - at[:n_items].mean()
    return Strengths(scores, float(at[-1]), fit.covariance(here), n_iter)


def _line_search(
    fit: "_Fit", at: FloatArray, here: GameLoss, step: FloatArray, decrement: float
) -> tuple[FloatArray, GameLoss] | None:
    """Halve the step until F falls; None if rounding hides any further descent."""
    value, size = fit.value(at, here), 1.0
    # Near the minimum the value is flat to rounding.
    slack = 1e-14 * abs(value)
    while size > _SMALLEST_STEP:
        there = at + size * step
        if fit.model.is_valid(float(there[-1])):
            loss = fit.loss(there)
            if fit.value(there, loss) <= value - 1e-4 * size * decrement + slack:
                return there, loss
        size /= 2
    return None


@dataclass(frozen=True, eq=False)
class _Fit:
    """F, its derivatives, and the covariance at its minimum."""

    games: Games
    model: TieModel
    alpha: float
    free_tie: bool

    def loss(self, at: FloatArray) -> GameLoss:
        delta = at[self.games.first] - at[self.games.second]
        return self.model.loss(delta, float(at[-1]), self.games.y)

    def value(self, at: FloatArray, loss: GameLoss) -> float:
        return float(
            self.games.weight @ loss.value + self.alpha / 2 * (at[:-1] @ at[:-1])
        )

    def gradient(self, at: FloatArray, loss: GameLoss) -> FloatArray:
        weight = self.games.weight
        by_item = self._to_items(weight * loss.by_delta) + self.alpha * at[:-1]
        return np.append(by_item, weight @ loss.by_tie if self.free_tie else 0.0)

    def hessian(self, loss: GameLoss) -> FloatArray:
        """Compute the Hessian; adding a constant to all scores is made to cost."""
        weight = self.games.weight
        matrix = self._matrix(
            weight * loss.delta_delta,
            weight * loss.delta_tie,
            float(weight @ loss.tie_tie),
        )
        n_items = len(self.games.names)
        mean_curvature = float(np.trace(matrix[:-1, :-1])) / n_items
        matrix[:-1, :-1] += mean_curvature / n_items
        return matrix + np.diag(np.append(np.full(n_items, self.alpha), 0.0))

    def covariance(self, loss: GameLoss) -> FloatArray:
        """Compute H^-1 S H^-1, or H^-1 with a prior, of the scores less their mean."""
        inverse: FloatArray = inv(self.hessian(loss))
        if self.alpha == 0.0:
            inverse = inverse @ self._spread(loss) @ inverse
        full = inverse[:-1, :-1]
        centred = full - full.mean(axis=0) - full.mean(axis=1)[:, None] + full.mean()
        return np.asarray((centred + centred.T) / 2)

    def _spread(self, loss: GameLoss) -> FloatArray:
        """Sum the outer products of the gradients of all games."""
        weight = self.games.weight
        return self._matrix(
            weight * loss.by_delta**2,
            weight * loss.by_delta * loss.by_tie,
            float(weight @ loss.by_tie**2),
        )

    def _to_items(self, per_game: FloatArray) -> FloatArray:
        """Sum the slopes in delta over the games of each item."""
        n_items = len(self.games.names)
        summed = np.bincount(self.games.first, per_game, n_items)
        return np.asarray(summed - np.bincount(self.games.second, per_game, n_items))

    def _matrix(
        self, delta_delta: FloatArray, delta_tie: FloatArray, tie_tie: float
    ) -> FloatArray:
        """Assemble a matrix over scores and tie parameter from its game-wise parts."""
        first, second = self.games.first, self.games.second
        n_items = len(self.games.names)
        matrix = np.zeros((n_items + 1, n_items + 1))
        np.add.at(matrix, (first, first), delta_delta)
        np.add.at(matrix, (second, second), delta_delta)
        np.add.at(matrix, (first, second), -delta_delta)
        np.add.at(matrix, (second, first), -delta_delta)
        if not self.free_tie:
            matrix[-1, -1] = 1.0
            return matrix
        cross = self._to_items(delta_tie)
        matrix[:-1, -1] = matrix[-1, :-1] = cross
        matrix[-1, -1] = tie_tie
        return matrix
