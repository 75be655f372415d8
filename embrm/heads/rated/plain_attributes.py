"""PlainAttributes: linear attributes on one scale, with length taken out of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from embrm._typing import FloatArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.rated.length_decorrelation import LengthPenalty, find_length_penalty
from embrm.heads.rated.rated_items import RatedItems, check_ratings
from embrm.heads.rated.ridge import RidgeFit, fit_attributes
from embrm.heads.state import HeadState


@dataclass(frozen=True, eq=False)
class PlainAttributes:
    """Standardised predictions of k attributes, minus some of the predicted length.

    Attributes
    ----------
    linear : RidgeFit
        Predictions in units of the ratings; where length is known, it comes last.
    mean, spread : ndarray of shape (k,) or (k + 1,)
        By which predictions are standardised.
    length : LengthPenalty
        With a penalty of 0, and correlations of NaN, where length is unknown.
    """

    linear: RidgeFit
    mean: FloatArray
    spread: FloatArray
    length: LengthPenalty

    @classmethod
    def fit(
        cls,
        rated: RatedItems,
        *,
        alpha: float | None,
        has_length: bool,
        max_correlation: float,
    ) -> "PlainAttributes":
        """Fit attributes to ratings, of which the last may be a length.

        Parameters
        ----------
        rated : RatedItems
        alpha : float, >= 0, optional
            None chooses the penalty of each attribute by held-out error.
        has_length : bool
            Whether the last rating is the rank of the length, from `with_lengths`.
        max_correlation : float in [0, 1)
            Spearman correlation with length that may remain.
        """
        linear = fit_attributes(rated, alpha)
        predicted = linear(rated.items)
        mean, spread = mean_and_scale(predicted)
        k = predicted.shape[1] - has_length
        length = LengthPenalty(np.zeros(k), np.full(k, np.nan), np.full(k, np.nan))
        if has_length:
            known = rated.weight[:, k] > 0
            standard = ((predicted - mean) / spread)[known]
            length = find_length_penalty(
                standard[:, :k],
                standard[:, k],
                rated.rating[known, k],
                max_correlation,
            )
        return cls(linear, mean, spread, length)

    @property
    def n_attributes(self) -> int:
        """Count the attributes, length not included."""
        return len(self.length.penalty)

    def __call__(self, items: FloatArray) -> FloatArray:
        """Compute what a gate weighs, (n_items, d) -> (n_items, k)."""
        standard = (self.linear(items) - self.mean) / self.spread
        k = self.n_attributes
        # The sum is over the predicted length, or over nothing.
        length = standard[:, k:].sum(axis=1, keepdims=True)
        return np.asarray(standard[:, :k] - length * self.length.penalty)

    def get_state(self) -> HeadState:
        """Return the attributes in storable form."""
        own = {
            "mean": self.mean,
            "spread": self.spread,
            "penalty": self.length.penalty,
            "before": self.length.before,
            "after": self.length.after,
        }
        return HeadState(own) | self.linear.get_state().with_prefix("linear__")

    @classmethod
    def from_state(cls, state: HeadState) -> "PlainAttributes":
        """Rebuild the attributes that `get_state` described."""
        return cls(
            RidgeFit.from_state(state.without_prefix("linear__")),
            state.array("mean", ndim=1),
            state.array("spread", ndim=1),
            LengthPenalty(
                state.array("penalty", ndim=1),
                state.array("before", ndim=1),
                state.array("after", ndim=1),
            ),
        )


def with_lengths(ratings: Any, lengths: ArrayLike | None) -> FloatArray:
    """Append the rank of the length, in [0, 1], as a last column of ratings.

    Parameters
    ----------
    ratings : array-like of shape (n_items,) or (n_items, k)
    lengths : array-like of shape (n_items,), optional
        NaN where unknown.

    Returns
    -------
    ndarray of shape (n_items, k) or (n_items, k + 1)

    Examples
    --------
    >>> with_lengths([1.0, 2.0], [500, 20])
    array([[1. , 1. ],
           [2. , 0.5]])
    """
    n_items = len(ratings) if hasattr(ratings, "__len__") else 0
    table = check_ratings(ratings, n_items=n_items)
    if lengths is None:
        return table
    if np.shape(lengths) != (n_items,):
        raise InvalidInputError(
            three_parts(
                expected=f"lengths of shape ({n_items},), one per rated item",
                got=f"shape {np.shape(lengths)}",
                cure="pass NaN where a length is unknown",
            )
        )
    values = check_ratings(lengths, n_items=n_items)
    # A rank, because the correlation to be removed is one of ranks.
    ranks = rankdata(values, axis=0, nan_policy="omit") / n_items
    return np.hstack([table, ranks])


def mean_and_scale(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute mean and standard deviation of each column, 1 where it is constant."""
    mean, scale = values.mean(axis=0), values.std(axis=0)
    # A constant column has a deviation of some rounding errors, not of zero.
    constant = scale <= 1e-9 * (np.abs(mean) + scale.max())
    return mean, np.where(constant, 1.0, scale)
