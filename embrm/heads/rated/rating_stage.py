"""The first stage of `TwoStageReward`: a direction from ratings, a scale from wins."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import check_items
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.comparisons import Comparisons
from embrm.heads.rated.rated_items import RatedItems, joined_groups, make_rated_items
from embrm.heads.rated.ridge import fit_ridge
from embrm.heads.rated.two_stage_training import positive_scale
from embrm.heads.validation_split import split_units
from embrm.pairs import Pairs, distinct_rows


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
        raise InvalidInputError(
            three_parts(
                expected="Pairs along with ratings, which name the rated items",
                got=type(pairs).__name__,
                cure="pass Pairs(items, ids), and one rating per row of items",
            )
        )
    if np.ndim(ratings) != 1:
        raise InvalidInputError(
            three_parts(
                expected=f"ratings of shape ({len(pairs.items)},), one per item",
                got=f"{np.ndim(ratings)} dimensions",
                cure="pass one attribute, or their weighted mean",
            )
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
