"""Rewards with standard deviations, for heads with a Gaussian posterior of weights."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray, IntArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.linear.posterior import Posterior
from embrm.heads.uncertain_reward import UncertainRewardHead

_ROWS_AT_A_TIME = 8192


class PosteriorRewardHead(UncertainRewardHead):
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

    def _reward_and_std(self, items: FloatArray) -> tuple[FloatArray, FloatArray]:
        posterior, variance = self._posterior(), np.empty(len(items))
        for start in range(0, len(items), _ROWS_AT_A_TIME):
            part = slice(start, start + _ROWS_AT_A_TIME)
            variance[part] = posterior.variance(self._centred(items[part]))
        return self._reward(items), np.sqrt(variance)

    def _reward_and_delta_std(
        self, items: FloatArray, ids: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        posterior, centred = self._posterior(), self._centred(items)
        variance = posterior.variance_of_differences(centred, ids)
        return self._reward(items), np.sqrt(variance)

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
