r"""Users as weights over shared directions, fitted from few labels.

Two ways to the directions: the principal components of differences between preferred
and rejected responses (decomposed rewards, DRM: Luo et al. 2025, arXiv:2502.13131), and
directions learned from many users at once (LoRe: Bose et al. 2025, arXiv:2504.14439).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_count, check_labels, check_positive
from embrm.exceptions import invalid_input
from embrm.heads.win_loss import minimise_smooth
from embrm.pairs import Pairs

_SMALL = 1e-6


@dataclass(frozen=True, eq=False)
class SharedDirections:
    """Directions in which rewards of users differ.

    Attributes
    ----------
    directions : ndarray of shape (d, k)
    scale : ndarray of shape (k,), > 0
        Root mean square of pairs' differences along each.
    prior : ndarray of shape (k,)
        Weights of a user of whom nothing is known.
    """

    directions: FloatArray
    scale: FloatArray
    prior: FloatArray

    def adapt(
        self, pairs: Pairs, y: ArrayLike | None = None, *, alpha: float = 1.0
    ) -> FloatArray:
        r"""Fit a user's weights from a few labels.

        Minimises the Bradley-Terry loss of :math:`w^\top z`, z the differences along
        the directions over their scale, plus
        :math:`\alpha / 2 \lVert w - w_0 \rVert^2`.

        Parameters
        ----------
        pairs : Pairs
        y : array-like of shape (n_pairs,), optional
        alpha : float > 0, default=1

        Returns
        -------
        ndarray of shape (k,)
        """
        check_positive(alpha, "alpha")
        labels = check_labels(y, n_pairs=len(pairs))
        z = _differences(pairs) @ self.directions / self.scale

        def loss(w: FloatArray) -> tuple[float, FloatArray]:
            delta, away = z @ w, w - self.prior
            value = np.logaddexp(0, delta) - labels * delta
            gradient = z.T @ (expit(delta) - labels) + alpha * away
            return float(value.sum() + alpha / 2 * (away @ away)), gradient

        curve = 1 / np.sqrt((z**2).sum(axis=0) / 4 + alpha)
        found = minimise_smooth(loss, self.prior, curve, small=_SMALL, max_iter=500)
        return found.parameters

    def reward(self, items: ArrayLike, weights: FloatArray) -> FloatArray:
        """Compute a user's reward of items, shape (n_items,), in nats."""
        vectors = np.asarray(items, dtype=np.float64)
        return np.asarray(vectors @ (self.directions @ (weights / self.scale)))


def principal_directions(
    pairs: Pairs, y: ArrayLike | None = None, n_directions: int = 20
) -> SharedDirections:
    """Find the principal components of differences, preferred less rejected.

    Parameters
    ----------
    pairs : Pairs
        Of any users.
    y : array-like of shape (n_pairs,), optional
    n_directions : int >= 1, default=20
        At most d.

    Returns
    -------
    SharedDirections
        Signs are such that the mean difference is positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> items = rng.normal(size=(100, 3)) * [5.0, 1.0, 0.1]
    >>> pairs = Pairs(items, rng.permutation(100).reshape(-1, 2))
    >>> found = principal_directions(pairs, n_directions=1)
    >>> np.abs(found.directions[:, 0]).round(1)
    array([1., 0., 0.])
    """
    check_count(n_directions, "n_directions")
    labels = check_labels(y, n_pairs=len(pairs))
    delta = _differences(pairs) * (2 * labels - 1)[:, None]
    centred = delta - delta.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    directions = axes[:n_directions].T
    signs = np.where(delta.mean(axis=0) @ directions < 0, -1.0, 1.0)
    return _scaled(directions * signs, delta)


def low_rank_users(
    pairs: Pairs,
    y: ArrayLike | None,
    users: ArrayLike,
    n_directions: int = 4,
    *,
    alpha: float = 1.0,
    max_iter: int = 500,
) -> tuple[SharedDirections, FloatArray]:
    r"""Learn directions from many users at once, and each one's weights.

    Minimises the Bradley-Terry loss of :math:`w_u^\top B^\top \Delta\phi` plus
    :math:`\alpha / 2 (\lVert B \rVert^2 + \lVert W \rVert^2)`: the nuclear norm of the
    users' heads, for enough directions.

    Parameters
    ----------
    pairs : Pairs
    y : array-like of shape (n_pairs,) or None
    users : array-like of shape (n_pairs,)
        Who labelled each pair.
    n_directions : int >= 1, default=4
    alpha : float > 0, default=1
    max_iter : int >= 1, default=500

    Returns
    -------
    directions : SharedDirections
        Its prior is the mean user.
    weights : ndarray of shape (n_users, n_directions)
        In order of the users' ids.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> items = rng.normal(size=(400, 3))
    >>> pairs = Pairs(items, rng.permutation(400).reshape(-1, 2))
    >>> wants = np.where(np.arange(200) % 2 == 0, 1.0, -1.0)  # of two users
    >>> delta = items[pairs.ids[:, 0], 0] - items[pairs.ids[:, 1], 0]
    >>> y = (wants * delta > 0).astype(float)
    >>> shared, weights = low_rank_users(pairs, y, np.arange(200) % 2, 1)
    >>> bool(weights[0, 0] * weights[1, 0] < 0)
    True
    """
    check_count(n_directions, "n_directions")
    check_positive(alpha, "alpha")
    labels = check_labels(y, n_pairs=len(pairs))
    codes = np.unique(np.asarray(users), return_inverse=True)[1]
    if codes.shape != labels.shape:
        raise invalid_input(
            f"users of shape {labels.shape}", f"shape {codes.shape}", "one a pair"
        )
    delta = _differences(pairs)
    start, shape = _start(delta, labels, codes, n_directions)
    n_users = int(codes.max()) + 1
    edge = delta.shape[1] * shape

    def loss(packed: FloatArray) -> tuple[float, FloatArray]:
        basis = packed[:edge].reshape(-1, shape)
        weights = packed[edge:].reshape(n_users, shape)
        z = delta @ basis
        logit = (z * weights[codes]).sum(axis=1)
        residual = expit(logit) - labels
        value = float((np.logaddexp(0, logit) - labels * logit).sum())
        to_basis = delta.T @ (residual[:, None] * weights[codes])
        to_weights = np.zeros_like(weights)
        np.add.at(to_weights, codes, residual[:, None] * z)
        gradient = np.concatenate([to_basis.ravel(), to_weights.ravel()])
        return value + alpha / 2 * float(packed @ packed), gradient + alpha * packed

    found = minimise_smooth(
        loss, start, np.ones(len(start)), small=1e-4, max_iter=max_iter
    )
    basis = found.parameters[:edge].reshape(-1, shape)
    weights = found.parameters[edge:].reshape(n_users, shape)
    shared = _scaled(basis, delta)
    scaled = weights * shared.scale
    return (
        SharedDirections(shared.directions, shared.scale, scaled.mean(axis=0)),
        scaled,
    )


def _start(
    delta: FloatArray, labels: FloatArray, codes: IntArray, n_directions: int
) -> tuple[FloatArray, int]:
    """Start from the leading components of the users' gradients."""
    pulls = np.zeros((int(codes.max()) + 1, delta.shape[1]))
    np.add.at(pulls, codes, delta * (labels - 0.5)[:, None])
    pulls /= np.bincount(codes)[:, None]
    left, singular, right = np.linalg.svd(pulls, full_matrices=False)
    count = min(n_directions, len(singular))
    root = np.sqrt(singular[:count])
    basis, weights = (right[:count].T * root), left[:, :count] * root
    return np.concatenate([basis.ravel(), weights.ravel()]), count


def _scaled(directions: FloatArray, delta: FloatArray) -> SharedDirections:
    spread = np.sqrt(np.square(delta @ directions).mean(axis=0))
    scale = np.where(spread > 0, spread, 1.0)
    return SharedDirections(directions, scale, np.zeros(directions.shape[1]))


def _differences(pairs: Pairs) -> FloatArray:
    items = np.asarray(pairs.items)
    first, second = np.asarray(pairs.ids).T
    return np.asarray(items[first], np.float64) - np.asarray(items[second], np.float64)
