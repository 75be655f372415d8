r"""RewardPosterior: what is believed of the rewards of a pool, as strategies need it.

Items have coordinates z in which the belief is a standard normal: the reward of item i
is :math:`\mu_i + z_i^\top \epsilon` with :math:`\epsilon \sim N(0, I)`, so that the
variance of a delta is a squared distance, :math:`\lVert z_i - z_j \rVert^2`. It holds
for the exact posterior of a linear head and for the members of an ensemble alike.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular
from scipy.special import expit

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import as_numbers, check_items, check_random_state
from embrm.exceptions import invalid_input
from embrm.heads import LinearBradleyTerry

_ROWS_AT_A_TIME = 4096
_PAIRS_AT_A_TIME = 2048


@dataclass(frozen=True, eq=False)
class RewardPosterior:
    """Means of rewards, and the coordinates of items in the metric of the posterior.

    Attributes
    ----------
    reward : ndarray of shape (n_items,), float64
        Posterior means, in nats.
    coordinates : ndarray of shape (n_items, k), float32 or float64
        In nats: distances are standard deviations of deltas.
    flip_rate : float in [0, 0.5), default=0
        At which labels are believed to be flipped: they teach less.

    Examples
    --------
    >>> posterior = RewardPosterior(np.zeros(3), np.array([[0.0], [1.0], [3.0]]))
    >>> posterior.std(np.array([[0, 1], [0, 2]]))
    array([1., 3.])
    """

    reward: FloatArray
    coordinates: FloatArray
    flip_rate: float = 0.0

    @classmethod
    def from_head(cls, head: Any, items: Any) -> "RewardPosterior":
        """Take the exact posterior of a fitted linear head (Laplace's approximation).

        Parameters
        ----------
        head : LinearBradleyTerry
            Fitted, with its posterior.
        items : array-like of shape (n_items, d)
            Of the pool. Coordinates are float32 unless these are float64.

        Raises
        ------
        InvalidInputError
            If the head is another, or has no posterior.
        """
        if not isinstance(head, LinearBradleyTerry):
            raise invalid_input(
                "a fitted LinearBradleyTerry",
                type(head).__name__,
                "for other heads pass the rewards of an ensemble to from_members",
            )
        vectors = check_items(items)
        reward = head.reward(vectors)
        reduced = head._preprocessed(vectors)
        posterior = head._posterior().spanning(
            head._centred(np.asarray(reduced[: reduced.shape[1]], dtype=np.float64))
        )
        k = len(posterior.precision)
        # Once the inverse of the triangle, then products alone: ten times as fast.
        to_coordinates: Any = solve_triangular(
            posterior.factor, np.eye(k), lower=True
        ).T
        if posterior.basis is not None:
            to_coordinates = posterior.basis @ to_coordinates
        dtype = np.float64 if vectors.dtype == np.float64 else np.float32
        made = np.empty((len(vectors), k), dtype=dtype)
        factor = to_coordinates.astype(dtype)
        for start in range(0, len(vectors), _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            made[part] = head._centred(reduced[part]).astype(dtype) @ factor
        rate = head.flip_rate_
        return cls(reward, made, 0.0 if np.isnan(rate) else float(rate))

    @classmethod
    def from_prior(cls, items: Any, spread: float = 1.0) -> "RewardPosterior":
        """Take what is believed before any label: columns of unit variance count alike.

        Parameters
        ----------
        items : array-like of shape (n_items, d)
        spread : float > 0, default=1.0
            Root mean square of the standard deviation of deltas, in nats.
        """
        vectors = check_items(items)
        dtype = np.float64 if vectors.dtype == np.float64 else np.float32
        mean = vectors.mean(axis=0, dtype=np.float64)
        deviation = vectors.std(axis=0, dtype=np.float64)
        n_varying = max(1, int((deviation > 0).sum()))
        scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(2 * n_varying)
        made = (vectors - mean.astype(dtype)) * (spread / scale).astype(dtype)
        return cls(np.zeros(len(vectors)), made.astype(dtype, copy=False))

    @classmethod
    def from_members(cls, rewards: ArrayLike) -> "RewardPosterior":
        """Take the members of an ensemble, or any samples of rewards, as the belief.

        Parameters
        ----------
        rewards : array-like of shape (n_members, n_items)
            Each member's rewards of all items, in nats.
        """
        members = as_numbers(rewards, "rewards of members")
        if members.ndim != 2 or len(members) < 2:
            raise invalid_input(
                "rewards of shape (n_members, n_items), of two members or more",
                f"shape {members.shape}",
                "stack head.reward(items) of each member",
            )
        mean = members.mean(axis=0)
        return cls(mean, (members - mean).T / np.sqrt(len(members)))

    def __len__(self) -> int:
        return len(self.reward)

    @cached_property
    def item_std(self) -> FloatArray:
        """Standard deviation of each item's reward, shape (n_items,), in nats."""
        square = np.einsum("ij,ij->i", self.coordinates, self.coordinates)
        return np.asarray(np.sqrt(square), dtype=np.float64)

    def delta(self, ids: IntArray) -> FloatArray:
        """Compute the mean of r(first) - r(second), shape (n_pairs,)."""
        return self.reward[ids[:, 0]] - self.reward[ids[:, 1]]

    def gap(self, ids: IntArray) -> FloatArray:
        """Compute the directions z(first) - z(second), shape (n_pairs, k), float64."""
        first, second = self.coordinates[ids[:, 0]], self.coordinates[ids[:, 1]]
        return np.asarray((first - second).astype(np.float64))

    def std(self, ids: IntArray) -> FloatArray:
        """Compute the standard deviation of deltas, shape (n_pairs,), in nats."""
        square = np.empty(len(ids))
        for start in range(0, len(ids), _PAIRS_AT_A_TIME):
            part = ids[start : start + _PAIRS_AT_A_TIME]
            gap = self.coordinates[part[:, 0]] - self.coordinates[part[:, 1]]
            square[start : start + len(part)] = np.einsum("ij,ij->i", gap, gap)
        return np.sqrt(square)

    def curvature(self, ids: IntArray) -> FloatArray:
        r"""Compute the Fisher information of a label about its delta, at the mode.

        :math:`v = (1 - 2e)^2 p^2 (1 - p)^2 / (q (1 - q))` with :math:`p =
        \sigma(\delta)`, e the flip rate and q the chance of the label; without flips
        it is p (1 - p).
        """
        p = expit(self.delta(ids))
        keep = 1 - 2 * self.flip_rate
        label = self.flip_rate + keep * p
        information = (keep * p * (1 - p)) ** 2
        # At |delta| beyond 700 both are zero; so is the information.
        spread = np.maximum(label * (1 - label), np.finfo(float).tiny)
        return np.asarray(information / spread)

    def sample(self, n: int, random_state: RandomState = None) -> FloatArray:
        """Draw the rewards of all items jointly, shape (n, n_items)."""
        rng = check_random_state(random_state)
        k = self.coordinates.shape[1]
        noise = rng.normal(size=(k, n)).astype(self.coordinates.dtype)
        return np.asarray(self.reward + (self.coordinates @ noise).T)
