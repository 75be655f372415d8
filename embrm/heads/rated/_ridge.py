r"""Ridge regression along a whole path of penalties, with held-out errors.

.. math:: F(w, b) = \sum_i c_i (w^\top x_i + b - t_i)^2 + \alpha \lVert w \rVert^2

One eigenbasis of the centred :math:`X^\top C X` serves all penalties and all targets.
A penalty is stated as a ratio of signal to noise: alpha = E ||x - mean||^2 / ratio
is the posterior mean's penalty where the linear part of a target has `ratio` times
the variance of its noise. One grid of ratios serves all data, whatever their scale.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, qr

from embrm._typing import FloatArray, IntArray
from embrm.heads.rated._rated_items import RatedItems
from embrm.heads.state import HeadState, StoredArray, collect_state, read_state
from embrm.heads.validation_split import balanced_folds

_RATIOS = np.geomspace(1e-4, 1e6, 21)
_N_FOLDS = 5
_CUTOFF = 1e-13
_CERTAIN = 1e-10
"""An item that determines its own prediction to this degree cannot be left out."""

_CHUNK = 8192

_STORED = (
    StoredArray("coef", "k d"),
    StoredArray("intercept", "k"),
    StoredArray("alpha", "penalties"),  # none in a mixture of other fits
    StoredArray("alphas", "tried columns"),
    StoredArray("held_out_error", "tried columns"),
)


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """Linear predictions of k targets.

    Attributes
    ----------
    coef : ndarray of shape (k, d)
    intercept : ndarray of shape (k,)
    alpha : ndarray of shape (k,)
        The penalty of each target.
    alphas : ndarray of shape (n_tried, k)
        Descending; empty where alpha was given.
    held_out_error : ndarray of shape (n_tried, k)
        Mean squared held-out error.
    """

    coef: FloatArray
    intercept: FloatArray
    alpha: FloatArray
    alphas: FloatArray
    held_out_error: FloatArray

    def __call__(self, items: FloatArray) -> FloatArray:
        """Predict the targets of items, (n_items, d) -> (n_items, k)."""
        return np.asarray(items @ self.coef.T + self.intercept, dtype=np.float64)

    def get_state(self) -> HeadState:
        """Return the fit in storable form."""
        return collect_state(self, _STORED)

    @classmethod
    def from_state(cls, state: HeadState) -> "RidgeFit":
        """Rebuild the fit that `get_state` described."""
        return cls(**read_state(_STORED, state))


def fit_ridge(
    items: FloatArray,
    targets: FloatArray,
    weight: FloatArray,
    *,
    alpha: float | None = None,
    groups: IntArray | None = None,
) -> RidgeFit:
    """Fit targets that are known for the same items.

    Parameters
    ----------
    items : ndarray of shape (n, d)
        Distinct rows, if errors are to be held out without groups.
    targets : ndarray of shape (n, k)
    weight : ndarray of shape (n,), > 0
    alpha : float, >= 0, optional
        None chooses the penalty of least held-out squared error, for each target.
    groups : ndarray of int of shape (n,), optional
        Held out together, in five folds. None leaves out one item at a time, in
        closed form [1]_.

    Returns
    -------
    RidgeFit

    References
    ----------
    .. [1] Allen (1974). The relationship between variable selection and data
       augmentation and a method for prediction. Technometrics 16 (PRESS).

    Examples
    --------
    >>> import numpy as np
    >>> items, targets = (
    ...     np.array([[0.0], [1.0], [2.0]]),
    ...     np.array([[1.0], [3.0], [5.0]]),
    ... )
    >>> fit_ridge(items, targets, np.ones(3), alpha=0.0).coef.round(6)
    array([[2.]])
    """
    centre = np.average(items, axis=0, weights=weight)
    inner = items - centre
    span = None
    if len(inner) < inner.shape[1]:
        # The solution lies in the span of the items: solve there.
        span, triangle = qr(inner.T, mode="economic")
        inner = np.ascontiguousarray(triangle.T)
    total = _Moments.of(inner, targets, weight)
    path = _Path(total)
    if alpha is None:
        alphas = path.mean_square() / _RATIOS
        error = _held_out_error(inner, targets, weight, groups, path, alphas)
        # The first of equal errors belongs to the strongest penalty.
        chosen = alphas[np.argmin(error, axis=0)]
    else:
        alphas, error = np.empty(0), np.empty((0, targets.shape[1]))
        chosen = np.full(targets.shape[1], alpha)
    coef = path.basis @ (path.projected * path.inverse(chosen))
    intercept = path.mean_target - path.mean_item @ coef
    if span is not None:
        coef = span @ coef
    tried = np.repeat(alphas[:, None], targets.shape[1], axis=1)
    return RidgeFit(
        np.ascontiguousarray(coef.T), intercept - centre @ coef, chosen, tried, error
    )


def fit_attributes(rated: RatedItems, alpha: float | None) -> RidgeFit:
    """Fit every attribute on the items that are rated for it.

    Parameters
    ----------
    rated : RatedItems
    alpha : float, >= 0, or None
        None chooses the penalty of each attribute by held-out error: of whole groups
        where they are known.

    Returns
    -------
    RidgeFit
    """
    order, fits = list[int](), list[RidgeFit]()
    for columns in rated.attribute_sets():
        rows = np.flatnonzero(rated.weight[:, columns[0]])
        groups = None if rated.groups is None else rated.groups[rows]
        fits.append(
            fit_ridge(
                rated.items[rows],
                rated.rating[np.ix_(rows, columns)],
                rated.weight[rows, columns[0]],
                alpha=alpha,
                groups=groups,
            )
        )
        order.extend(columns)
    back = np.argsort(order)
    return RidgeFit(
        np.concatenate([fit.coef for fit in fits])[back],
        np.concatenate([fit.intercept for fit in fits])[back],
        np.concatenate([fit.alpha for fit in fits])[back],
        np.concatenate([fit.alphas for fit in fits], axis=1)[:, back],
        np.concatenate([fit.held_out_error for fit in fits], axis=1)[:, back],
    )


@dataclass(frozen=True, eq=False)
class _Moments:
    """Weighted sums over items from which a fit is made; they add and subtract."""

    weight: float
    item: FloatArray
    target: FloatArray
    item_item: FloatArray
    item_target: FloatArray

    @classmethod
    def of(
        cls, items: FloatArray, targets: FloatArray, weight: FloatArray
    ) -> "_Moments":
        d, k = items.shape[1], targets.shape[1]
        item_item, item_target = np.zeros((d, d)), np.zeros((d, k))
        for start in range(0, len(items), _CHUNK):
            part = slice(start, start + _CHUNK)
            weighted = items[part] * weight[part, None]
            item_item += weighted.T @ items[part]
            item_target += weighted.T @ targets[part]
        return cls(
            float(weight.sum()),
            weight @ items,
            weight @ targets,
            item_item,
            item_target,
        )

    def __sub__(self, other: "_Moments") -> "_Moments":
        return _Moments(
            self.weight - other.weight,
            self.item - other.item,
            self.target - other.target,
            self.item_item - other.item_item,
            self.item_target - other.item_target,
        )


class _Path:
    """Solutions for every penalty, in the eigenbasis of the centred moments."""

    def __init__(self, moments: _Moments) -> None:
        self.weight = moments.weight
        self.mean_item = moments.item / moments.weight
        self.mean_target = moments.target / moments.weight
        spread = moments.item_item - np.outer(moments.item, self.mean_item)
        self.curvature, self.basis = eigh((spread + spread.T) / 2)
        cross = moments.item_target - np.outer(moments.item, self.mean_target)
        self.projected: FloatArray = self.basis.T @ cross

    def mean_square(self) -> float:
        """Compute E ||x - mean||^2, 1 where all items are equal."""
        square = float(np.maximum(self.curvature, 0.0).sum()) / self.weight
        return square if square > 0 else 1.0

    def inverse(self, alphas: FloatArray) -> FloatArray:
        """Compute 1 / (curvature + alpha), (d, n_alphas), 0 where nothing varies."""
        varies = self.curvature > _CUTOFF * max(self.curvature[-1], 0.0)
        inverse = np.zeros((len(varies), len(alphas)))
        inverse[varies] = 1.0 / (self.curvature[varies, None] + alphas)
        return inverse

    def predictions(
        self, items: FloatArray, alphas: FloatArray
    ) -> tuple[FloatArray, Iterator[FloatArray]]:
        """Rotate items; return them, and their predictions (n, k) by each penalty."""
        rotated = (items - self.mean_item) @ self.basis
        inverse = self.inverse(alphas)
        return rotated, (
            rotated @ (self.projected * column[:, None]) + self.mean_target
            for column in inverse.T
        )


def _held_out_error(
    items: FloatArray,
    targets: FloatArray,
    weight: FloatArray,
    groups: IntArray | None,
    whole: _Path,
    alphas: FloatArray,
) -> FloatArray:
    """Compute the weighted mean squared error of held-out items, (n_alphas, k)."""
    folds = None if groups is None else _folds(groups)
    if folds is None:
        square = _left_out_one_by_one(items, targets, weight, whole, alphas)
        return np.asarray(square / weight.sum())
    total = _Moments.of(items, targets, weight)
    square = np.zeros((len(alphas), targets.shape[1]))
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        part = (items[held], targets[held], weight[held])
        path = _Path(total - _Moments.of(*part))
        _, predictions = path.predictions(part[0], alphas)
        square += [part[2] @ (prediction - part[1]) ** 2 for prediction in predictions]
    return np.asarray(square / weight.sum())


def _left_out_one_by_one(
    items: FloatArray,
    targets: FloatArray,
    weight: FloatArray,
    path: _Path,
    alphas: FloatArray,
) -> FloatArray:
    rotated, predictions = path.predictions(items, alphas)
    leverage = weight[:, None] * (1 / path.weight + rotated**2 @ path.inverse(alphas))
    square = np.empty((len(alphas), targets.shape[1]))
    for n, prediction in enumerate(predictions):
        rest = 1.0 - leverage[:, n]
        if rest.min() < _CERTAIN:
            square[n] = np.inf
        else:
            square[n] = weight @ ((prediction - targets) / rest[:, None]) ** 2
    return square


def _folds(groups: IntArray) -> IntArray | None:
    """Assign whole groups to folds of similar size; None if there is one group."""
    _, groups, size = np.unique(groups, return_inverse=True, return_counts=True)
    n_folds = min(_N_FOLDS, len(size))
    if n_folds < 2:
        return None
    return balanced_folds(size, n_folds)[groups]
