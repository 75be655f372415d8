"""UncertainRewardHead: rewards and deltas with standard deviations."""

from abc import abstractmethod
from typing import Any, Literal, overload

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_positive
from embrm.exceptions import invalid_input
from embrm.heads.base import RewardHead


class UncertainRewardHead(RewardHead):
    """Base of heads that return a standard deviation with the reward.

    A subclass defines it: that of a posterior, or the spread of members.
    """

    @abstractmethod
    def _reward_and_std(self, items: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Score preprocessed items; return rewards and standard deviations."""

    @abstractmethod
    def _reward_and_delta_std(
        self, items: FloatArray, ids: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Score preprocessed items; return rewards, and the deviation of each pair."""

    @overload
    def reward(self, X: Any, *, return_std: Literal[False] = ...) -> FloatArray: ...

    @overload
    def reward(
        self, X: Any, *, return_std: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    def reward(
        self, X: Any, *, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Compute the reward of items, and on demand its standard deviation.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
        return_std : bool, default=False

        Returns
        -------
        reward : ndarray of shape (n_items,), float64
            In nats for Bradley-Terry heads.
        std : ndarray of shape (n_items,), float64, >= 0
            That of the reward less its mean over the training items; only with
            `return_std`.
        """
        if not return_std:
            return super().reward(X)
        items = self._preprocessed(X)
        if len(items) == 0:
            return np.empty(0), np.empty(0)
        reward, std = self._reward_and_std(items)
        return np.asarray(reward, dtype=np.float64), std

    @overload
    def decision_function(
        self, pairs: Any, *, return_std: Literal[False] = ...
    ) -> FloatArray: ...

    @overload
    def decision_function(
        self, pairs: Any, *, return_std: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    def decision_function(
        self, pairs: Any, *, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Compute delta = r(first) - r(second), and on demand its standard deviation.

        Parameters
        ----------
        pairs : Pairs or array-like of shape (n_pairs, 2, d)
        return_std : bool, default=False

        Returns
        -------
        delta : ndarray of shape (n_pairs,)
            Changes sign exactly on a swap.
        std : ndarray of shape (n_pairs,), >= 0
            That of delta, in which cancels what is uncertain about both items alike;
            the same on a swap. Only with `return_std`.
        """
        if not return_std:
            return super().decision_function(pairs)
        X, ids = self._items_of(pairs)
        items = self._preprocessed(X)
        if len(items) == 0:
            return np.empty(0), np.empty(0)
        reward, std = self._reward_and_delta_std(items, ids)
        reward = np.asarray(reward, dtype=np.float64)
        return reward[ids[:, 0]] - reward[ids[:, 1]], std

    def lower_confidence_bound(self, X: Any, k: float = 1.0) -> FloatArray:
        """Compute reward less k standard deviations: a pessimist's reward.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
        k : float >= 0, default=1.0

        Returns
        -------
        ndarray of shape (n_items,)
        """
        factor = check_positive(k, "k", zero=True)
        reward, std = self.reward(X, return_std=True)
        return reward - factor * std


def check_uncertain(head: Any) -> None:
    """Refuse intervals from a head without standard deviations."""
    if not isinstance(head, UncertainRewardHead):
        raise invalid_input(
            expected="a head that returns standard deviations, for intervals",
            got=type(head).__name__,
            fix="fit head='linear', or an ensemble",
        )


def spread(rewards: FloatArray) -> FloatArray:
    """Compute the standard deviation among members, (n_members, n) -> (n,).

    Examples
    --------
    >>> spread(np.array([[1.0, 0.1], [3.0, 0.1]]))
    array([1., 0.])
    """
    # From the first member on: equal members differ by exactly nothing.
    return np.asarray((rewards - rewards[0]).std(axis=0, dtype=np.float64))


def spread_of_deltas(rewards: FloatArray, ids: IntArray) -> FloatArray:
    """Compute the standard deviation of members' deltas, for pairs of columns."""
    return spread(rewards[:, ids[:, 0]] - rewards[:, ids[:, 1]])
