"""PlainAttributes: linear attributes on one scale, with length taken out of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from embrm._typing import FloatArray
from embrm.exceptions import invalid_input
from embrm.heads.rated._rated_items import RatedItems, check_ratings
from embrm.heads.rated._ridge import RidgeFit, fit_attributes
from embrm.heads.state import (
    HeadState,
    StoredArray,
    StoredPart,
    collect_state,
    read_state,
)


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
    length: "LengthPenalty"

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
        return collect_state(self, _STORED)

    @classmethod
    def from_state(cls, state: HeadState) -> "PlainAttributes":
        """Rebuild the attributes that `get_state` described."""
        return cls(**read_state(_STORED, state))


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
        raise invalid_input(
            expected=f"lengths of shape ({n_items},), one per rated item",
            got=f"shape {np.shape(lengths)}",
            fix="pass NaN where a length is unknown",
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


_GRID = np.concatenate([np.arange(20) / 20, 2.0 ** np.arange(7)])
_BISECTIONS = 40


@dataclass(frozen=True, eq=False)
class LengthPenalty:
    """How much predicted length is subtracted from each attribute.

    Attributes
    ----------
    penalty : ndarray of shape (k,)
        lambda; negative where an attribute falls with length.
    before, after : ndarray of shape (k,)
        Spearman correlation with length; 0 for a constant attribute.
    """

    penalty: FloatArray
    before: FloatArray
    after: FloatArray


def find_length_penalty(
    attributes: FloatArray, predicted: FloatArray, length: FloatArray, target: float
) -> LengthPenalty:
    r"""Find the least :math:`\lambda_j` that takes length out of attribute j.

    :math:`a_j - \lambda_j \hat\ell` shall have a Spearman correlation of at most
    `target`, in magnitude, with the length :math:`\ell`. As in [1]_, lambda rises from
    0 in steps of 0.05; beyond 0.95 it doubles, and where a step oversteps zero by
    more than the target, the interval is halved.

    Parameters
    ----------
    attributes : ndarray of shape (n_items, k)
        In units of their standard deviation.
    predicted : ndarray of shape (n_items,)
        Length as predicted from the vectors, in units of its standard deviation:
        what will be subtracted of new items too.
    length : ndarray of shape (n_items,)
    target : float in [0, 1)

    Returns
    -------
    LengthPenalty
        Of the least correlation found, where the target cannot be reached because
        vectors do not tell the length.

    References
    ----------
    .. [1] Wang, Xiong, Xie, Zhao, Zhang (2024). Interpretable preferences via
       multi-objective reward modeling and mixture-of-experts. Findings of EMNLP.
       arXiv:2406.12845, section on verbosity.

    Examples
    --------
    >>> import numpy as np
    >>> length = np.arange(5.0) - 2.0
    >>> quality = np.array([1.0, 0.0, 0.5, 0.0, 1.0])
    >>> found = find_length_penalty((quality + length)[:, None], length, length, 0.03)
    >>> found.penalty.round(2), found.before.round(2), found.after.round(2)
    (array([1.]), array([0.97]), array([0.]))
    """
    ranks = rankdata(length)
    found = [_search(column, predicted, ranks, target) for column in attributes.T]
    before = [_spearman(column, ranks) for column in attributes.T]
    return LengthPenalty(
        np.array([penalty for penalty, _ in found]),
        np.array(before),
        np.array([after for _, after in found]),
    )


def _search(
    attribute: FloatArray, predicted: FloatArray, ranks: FloatArray, target: float
) -> tuple[float, float]:
    """Return lambda and the correlation that it leaves."""
    sign = -1.0 if _spearman(attribute, ranks) < 0 else 1.0

    def left(size: float) -> float:
        return sign * _spearman(attribute - sign * size * predicted, ranks)

    tried = list[tuple[float, float]]()
    for size in _GRID:
        tried.append((float(size), left(float(size))))
        if tried[-1][1] <= target:
            break
    if tried[-1][1] < -target:
        (low, _), (high, _) = tried[-2:]
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            tried.append((middle, left(middle)))
            if abs(tried[-1][1]) <= target:
                break
            low, high = (middle, high) if tried[-1][1] > 0 else (low, middle)
    size, after = min(tried, key=lambda pair: abs(pair[1]))
    return sign * size, sign * after


def _spearman(first: FloatArray, ranks: FloatArray) -> float:
    own = rankdata(first)
    own, other = own - own.mean(), ranks - ranks.mean()
    norm = float(np.sqrt((own @ own) * (other @ other)))
    return float(own @ other) / norm if norm > 0 else 0.0


_PENALTIES = tuple(StoredArray(name, "k") for name in ("penalty", "before", "after"))


def _read_penalty(state: HeadState) -> LengthPenalty:
    return LengthPenalty(**read_state(_PENALTIES, state))


_STORED = (
    StoredPart("linear", RidgeFit.from_state),
    StoredArray("mean", "targets"),
    StoredArray("spread", "targets"),
    StoredPart(
        "length",
        _read_penalty,
        write=lambda length: collect_state(length, _PENALTIES),
        prefix="",
    ),
)
