"""ItemBradleyTerry: a leaderboard from games, one score per item and no features."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtri
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import Constraints, Real, check_level, check_parameters
from embrm.exceptions import EmbrmWarning, IntegrityError, invalid_input, warn
from embrm.heads.state import (
    HeadState,
    Stored,
    StoredArray,
    StoredNumbers,
    StoredValue,
    collect_state,
    restore_state,
)
from embrm.heads.unpaired._games import (
    Games,
    Strengths,
    check_names,
    fit_strengths,
    make_games,
)
from embrm.heads.unpaired._tie_models import TIE_MODELS, TieModel

WEAK_PENALTY = 0.01
"""Penalty where games alone leave a score infinite: a prior of 10 nats."""

_MOST_SHOWN = 3


class ItemBradleyTerry(BaseEstimator):
    r"""One score per item from wins, losses and ties, in nats; no features.

    :math:`P(\text{first wins}) = \sigma(s_{\text{first}} - s_{\text{second}})` [1]_.
    Minimises :math:`-\sum_i c_i \log P(y_i) + \tfrac{\alpha}{2} \lVert s \rVert^2`;
    scores have mean 0.

    The maximum of the likelihood is finite if and only if every item can be reached
    from every other along wins and ties [2]_. Where it is not and alpha is 0, `fit`
    warns, names the components, and takes alpha = 0.01.

    Parameters
    ----------
    alpha : float >= 0, default=0.0
        Penalty; the prior standard deviation of a score is 1 / sqrt(alpha) nats.
    ties : {"half", "rao-kupper", "davidson"}, default="half"
        "half" takes a tie as half a win and half a loss, and any soft label likewise.
        "rao-kupper" [3]_ has P(first wins) = sigma(delta - log theta), P(second wins)
        = sigma(-delta - log theta) with an estimated theta >= 1, and "davidson" [4]_
        has ties in proportion to nu >= 0 times the geometric mean of both strengths.

    Attributes
    ----------
    items_ : ndarray of shape (n_items,)
        Names, ascending.
    scores_ : ndarray of shape (n_items,)
    std_ : ndarray of shape (n_items,)
        Standard error of each score.
    covariance_ : ndarray of shape (n_items, n_items)
    tie_parameter_ : float
        theta or nu; 1 or 0 where there is no tie, NaN for "half".
    alpha_ : float
        The penalty used.
    n_games_ : ndarray of shape (n_items,)
        Weight of the games of each item.
    islands_ : ndarray of int of shape (n_items,)
        Items with equal numbers are connected by games, however these ended. Scores
        of different islands are not comparable.
    components_ : ndarray of int of shape (n_items,)
        Items with equal numbers can be reached from each other along wins and ties.
    n_iter_ : int

    Notes
    -----
    Standard errors are those of the sandwich :math:`H^{-1} S H^{-1}` [5]_, with H the
    Hessian and S the sum of the outer products of each game's gradient, so that they
    hold where the model does not. With a penalty they are those of the posterior,
    :math:`H^{-1}`: what the games do not determine has the spread of the prior, where
    the sandwich would give it none. Errors are those of scores less their mean.

    References
    ----------
    .. [1] Bradley, Terry (1952). Rank analysis of incomplete block designs: I. The
       method of paired comparisons. Biometrika 39.
    .. [2] Ford (1957). Solution of a ranking problem from binary comparisons. American
       Mathematical Monthly 64.
    .. [3] Rao, Kupper (1967). Ties in paired-comparison experiments: a generalization
       of the Bradley-Terry model. Journal of the American Statistical Association 62.
    .. [4] Davidson (1970). On extending the Bradley-Terry model to accommodate ties in
       paired comparison experiments. Journal of the American Statistical Association
       65.
    .. [5] White (1982). Maximum likelihood estimation of misspecified models.
       Econometrica 50.

    Examples
    --------
    >>> games = [
    ...     ["cat", "dog"],
    ...     ["dog", "cat"],
    ...     ["cat", "dog"],
    ...     ["dog", "eel"],
    ...     ["eel", "dog"],
    ...     ["cat", "eel"],
    ... ]
    >>> board = ItemBradleyTerry().fit(games)
    >>> board.items_, board.scores_.round(2)
    (array(['cat', 'dog', 'eel'], dtype='<U3'), array([ 0.8, -0.2, -0.6]))
    >>> board.ranks()["worst"].tolist()
    [3, 3, 3]
    """

    items_: AnyArray
    scores_: FloatArray
    covariance_: FloatArray
    tie_parameter_: float
    alpha_: float
    n_games_: FloatArray
    islands_: IntArray
    components_: IntArray
    n_iter_: int

    _constraints: ClassVar[Constraints] = {"alpha": [Real()], "ties": [*TIE_MODELS]}

    def __init__(
        self,
        alpha: float = 0.0,
        *,
        ties: Literal["half", "rao-kupper", "davidson"] = "half",
    ) -> None:
        self.alpha = alpha
        self.ties = ties

    def fit(
        self,
        ids: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Estimate the scores.

        Parameters
        ----------
        ids : array-like or DataFrame of shape (n_games, 2)
            Names or integer ids of first and second, e.g. `df[["model_a", "model_b"]]`.
        y : array-like of shape (n_games,) in [0, 1], optional
            1 if first won, 0 if second did, 0.5 for a tie; None means that first won
            every game. Other values are soft labels, for "half" only.
        sample_weight : array-like of shape (n_games,), >= 0, optional
            Weight k equals k copies of the game; weight 0 equals its removal.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            On a wrong shape or range, a missing name, an item against itself, or, with
            an estimated tie parameter, soft labels or nothing but ties.

        Warns
        -----
        EmbrmWarning
            If alpha is 0 and the games leave a score infinite.
        """
        check_parameters(self.get_params(deep=False), self._constraints)
        alpha = float(self.alpha)
        model = self._tie_model()
        games = make_games(ids, y, sample_weight)
        if alpha == 0.0:
            alpha = _penalty_that_connects(games)
        found, tie = _estimate(games, model, alpha)
        self.items_, self.scores_ = games.names, found.scores
        self.covariance_ = found.covariance
        self.tie_parameter_, self.alpha_ = tie, alpha
        self.n_games_, self.n_iter_ = games.n_games(), found.n_iter
        self.islands_ = games.components(strong=False)
        self.components_ = games.components(strong=True)
        return self

    def decision_function(self, ids: Any) -> FloatArray:
        """Compute delta = s(first) - s(second) of named pairs, shape (n_games,).

        Raises
        ------
        InvalidInputError
            If a name was not among the games of `fit`.
        """
        check_is_fitted(self)
        table = check_names(ids)
        known = dict(zip(self.items_.tolist(), self.scores_.tolist(), strict=True))
        missing = sorted(set(table.ravel().tolist()) - set(known), key=str)
        if missing:
            raise invalid_input(
                expected="items that took part in fit",
                got=f"{len(missing)} others, e.g. {str(missing[0])[:40]!r}",
                fix="fit again with games of these items",
            )
        scores = np.array([known[name] for name in table.ravel().tolist()])
        return np.asarray(scores.reshape(-1, 2) @ np.array([1.0, -1.0]))

    def predict_proba(self, ids: Any) -> FloatArray:
        """Compute P of second, tie and first, shape (n_games, 3).

        The tie has probability 0 with `ties="half"`.
        """
        delta = self.decision_function(ids)
        return self._tie_model().probabilities(delta, self.tie_parameter_)

    def intervals(self, level: float = 0.95) -> pd.DataFrame:
        """Compute normal confidence intervals of the scores.

        Parameters
        ----------
        level : float in (0, 1), default=0.95

        Returns
        -------
        DataFrame of shape (n_items, 2)
            Columns `lower` and `upper`, indexed by item.
        """
        check_is_fitted(self)
        reach = _quantile(level) * self.std_
        columns = {"lower": self.scores_ - reach, "upper": self.scores_ + reach}
        return pd.DataFrame(columns, index=pd.Index(self.items_, name="item"))

    def ranks(self, level: float = 0.95) -> pd.DataFrame:
        """Compute ranks, and the range in which each lies within noise.

        Parameters
        ----------
        level : float in (0, 1), default=0.95
            Of the two-sided test of each pair of items.

        Returns
        -------
        DataFrame of shape (n_items, 3)
            Columns `rank` (1 is best, equal scores share the best), `best` (one more
            than the number of items that are significantly better) and `worst` (the
            number of items that are not significantly worse), indexed by item.

        Notes
        -----
        Two items differ if their difference exceeds its own standard error by the
        normal quantile; no correction is made for the number of pairs.
        """
        check_is_fitted(self)
        gap = self.scores_[:, None] - self.scores_
        variance = self.std_[:, None] ** 2 + self.std_**2 - 2 * self.covariance_
        reach = _quantile(level) * np.sqrt(np.maximum(variance, 0.0))
        ahead = gap > reach
        np.fill_diagonal(ahead, val=False)
        columns = {
            "rank": 1 + (gap < 0).sum(axis=1),
            "best": 1 + ahead.sum(axis=0),
            "worst": len(gap) - ahead.sum(axis=1),
        }
        return pd.DataFrame(columns, index=pd.Index(self.items_, name="item"))

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Write the leaderboard, best item first.

        Returns
        -------
        DataFrame of shape (n_items, 8)
            Columns `score`, `std`, `lower`, `upper`, `rank`, `best`, `worst` and
            `n_games`, indexed by item.
        """
        intervals, ranks = self.intervals(level), self.ranks(level)
        frame = pd.DataFrame(
            {"score": self.scores_, "std": self.std_}, index=intervals.index
        )
        frame = frame.join(intervals).join(ranks)
        frame["n_games"] = self.n_games_
        return frame.sort_values("score", ascending=False, kind="stable")

    def get_state(self) -> HeadState:
        """Return the fitted scores in storable form: arrays, and names as JSON."""
        check_is_fitted(self)
        return collect_state(self, _STORED)

    def set_state(self, state: HeadState) -> Self:
        """Restore the scores that `get_state` returned.

        Raises
        ------
        IntegrityError
            If something is missing from the state, or has the wrong type or shape.
        """
        restore_state(self, _STORED, state)
        return self

    @property
    def std_(self) -> FloatArray:
        """Standard errors of the scores, shape (n_items,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance_), 0.0))

    def _tie_model(self) -> TieModel:
        return TIE_MODELS[self.ties]


def _read_names(names: Sequence[Any]) -> AnyArray:
    if names and {type(name) for name in names} in ({str}, {int}):
        return np.array(names)
    raise IntegrityError.of(
        expected="stored names that are all text or all integers",
        got="others",
        fix="copy it again, or rank the items again",
    )


_STORED: Sequence[Stored] = (
    StoredValue("items_", list, decode=_read_names, shape="items"),
    StoredArray("scores_", "items"),
    StoredArray("covariance_", "items items"),
    StoredArray("n_games_", "items"),
    StoredArray("islands_", "items"),
    StoredArray("components_", "items"),
    StoredNumbers(("tie_parameter_", "alpha_")),
    StoredValue("n_iter_", int),
)


def _estimate(games: Games, model: TieModel, alpha: float) -> tuple[Strengths, float]:
    """Estimate scores and tie parameter; return the latter as it is published."""
    share = _share_of_ties(games) if model.has_parameter else 0.0
    if share == 0.0:
        # The likelihood is greatest without ties: the parameter is at its bound.
        half = TIE_MODELS["half"]
        found = fit_strengths(games, half, 0.0, alpha=alpha, free_tie=False)
        return found, model.without_ties
    found = fit_strengths(games, model, model.start(share), alpha=alpha, free_tie=True)
    return found, model.public(found.tie)


def _share_of_ties(games: Games) -> float:
    """Compute the share of ties; refuse soft labels, and ties alone."""
    tie = games.y == 0.5
    soft = ~tie & (games.y != 0.0) & (games.y != 1.0)
    if soft.any():
        example = games.y[np.argmax(soft)]
        raise invalid_input(
            expected="y of 0, 0.5 or 1 where ties have a parameter",
            got=f"{int(soft.sum())} other values, e.g. {example:g}",
            fix="use ties='half' for soft labels",
        )
    if tie.all():
        raise invalid_input(
            expected="some games that are not ties",
            got="ties only, for which the tie parameter is infinite",
            fix="use ties='half'",
        )
    return float(games.weight[tie].sum() / games.weight.sum())


def _penalty_that_connects(games: Games) -> float:
    """Return 0 if the scores are finite without a penalty; else warn, and penalise."""
    parts = games.components(strong=True)
    labels = parts[np.sort(np.unique(parts, return_index=True)[1])]
    n_parts = len(labels)
    if n_parts == 1:
        return 0.0
    n_islands = int(games.components(strong=False).max()) + 1
    shown = [
        named_together(games.names[parts == label]) for label in labels[:_MOST_SHOWN]
    ]
    reason = (
        f"no game connects {n_islands} sets of items"
        if n_islands > 1
        else "some items won or lost every game against the rest"
    )
    warn(
        f"the scores are not determined by the games alone: {reason}. Components: "
        f"{'; '.join(shown)}{'; ...' if n_parts > _MOST_SHOWN else ''}. A weak penalty "
        f"(alpha={WEAK_PENALTY:g}) keeps them finite; set alpha, or add games",
        EmbrmWarning,
    )
    return WEAK_PENALTY


def named_together(names: Sequence[Any] | AnyArray) -> str:
    """Write names as a set, the first of many."""
    """List a few names, and their number."""
    listed = ", ".join(str(name)[:40] for name in names[:_MOST_SHOWN])
    more = len(names) - _MOST_SHOWN
    return f"{{{listed}{f' and {more} more' if more > 0 else ''}}}"


def _quantile(level: float) -> float:
    """Compute the two-sided normal quantile of a level."""
    return float(ndtri((1.0 + check_level(level)) / 2.0))
