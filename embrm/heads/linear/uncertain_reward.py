"""Rewards with standard deviations, for heads with a Gaussian posterior of weights."""

from typing import Any, Literal, overload

import numpy as np
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import as_pairs
from embrm.heads.linear.posterior import Posterior
from embrm.heads.parameters import check_real

_ROWS_AT_A_TIME = 8192


class UncertainRewardHead(RewardHead):
    """Base of heads whose reward is linear in vectors, with a posterior of weights.

    Attributes
    ----------
    posterior_ : Posterior or None
        Set by a subclass.
    mean_ : ndarray of shape (d,)
        Where the reward is zero, and its standard deviation too; set by a subclass.
    scale_ : ndarray of shape (d,)
        The posterior is that of weights on columns divided by it; set by a subclass.
    """

    posterior_: Posterior | None
    mean_: FloatArray
    scale_: FloatArray

    @property
    def covariance_(self) -> FloatArray:
        """Posterior covariance of the weights, shape (d, d), in 1 / units of items."""
        check_is_fitted(self)
        covariance = self._posterior().covariance()
        return covariance / self.scale_ / self.scale_[:, None]

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
            In nats.
        std : ndarray of shape (n_items,), float64, >= 0
            Posterior standard deviation of the reward less that of the mean training
            item; only with `return_std`.
        """
        reward = super().reward(X)
        if not return_std:
            return reward
        posterior, items = self._posterior(), self._preprocessed(X)
        variance = np.empty(len(items))
        for start in range(0, len(items), _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            variance[part] = posterior.variance(self._centred(items[part]))
        return reward, np.sqrt(variance)

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
        delta : ndarray of shape (n_pairs,), in nats
            Changes sign exactly on a swap.
        std : ndarray of shape (n_pairs,), >= 0
            Posterior standard deviation of delta; the same on a swap. Only with
            `return_std`.
        """
        delta = super().decision_function(pairs)
        if not return_std:
            return delta
        posterior, checked = self._posterior(), as_pairs(pairs)
        rows, ids = checked.unique_items()
        items = self._centred(self._preprocessed(checked.items[rows]))
        return delta, np.sqrt(posterior.variance_of_differences(items, ids))

    def lower_confidence_bound(self, X: Any, k: float = 1.0) -> FloatArray:
        """Compute reward less k posterior standard deviations: a pessimist's reward.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
        k : float >= 0, default=1.0

        Returns
        -------
        ndarray of shape (n_items,), in nats
        """
        factor = check_real(k, "k", 0.0, open_at_low=False)
        reward, std = self.reward(X, return_std=True)
        return reward - factor * std

    def _posterior(self) -> Posterior:
        if self.posterior_ is None:
            raise InvalidInputError(
                three_parts(
                    expected="a head fitted with a posterior",
                    got=f"{self.n_features_in_} dimensions and none kept",
                    cure="fit with posterior=True on at most 4,096 dimensions, e.g. "
                    "with preprocessor=PCA(1024)",
                )
            )
        return self.posterior_

    def _centred(self, items: FloatArray) -> FloatArray:
        """Write items in the coordinates of the posterior."""
        return np.asarray((items - self.mean_) / self.scale_)
