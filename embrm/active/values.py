"""Strategies that value each pair by itself: level sets, gaps, bounds, uncertainty."""

from dataclasses import dataclass

import numpy as np
from scipy.special import entr, expit

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import (
    check_count,
    check_positive,
    check_random_state,
    check_share,
)
from embrm.active.candidates import Candidates
from embrm.active.posterior import RewardPosterior
from embrm.active.strategy import Strategy, ValueStrategy, take_best


@dataclass(frozen=True)
class RandomPairs(Strategy):
    """Every candidate is as likely as any other: what all strategies compare with."""

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        del posterior
        return take_best(candidates, rng.random(len(candidates)), n)


@dataclass(frozen=True)
class Entropy(ValueStrategy):
    r"""The level set: pairs whose label is least certain, |delta| nearest to 0.

    The value is the entropy of :math:`\sigma(\delta)` at the posterior mean, in nats.

    References
    ----------
    Shen et al. 2025, Active Reward Modeling, arXiv:2502.04354.
    """

    def values(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        random_state: RandomState = None,
    ) -> FloatArray:
        """Compute the entropy of every label, in [0, log 2]."""
        del random_state
        p = expit(-np.abs(posterior.delta(candidates.ids)))
        return np.asarray(entr(p) + entr(1 - p))


@dataclass(frozen=True)
class NoisyLevelSet(Strategy):
    """A share of the level set, the rest at random.

    Parameters
    ----------
    share : float in [0, 1], default=0.5
        Of pairs by `Entropy`.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        check_share(self.share, "share")

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        n_level = round(self.share * n)
        value = rng.random(len(candidates))
        if n_level:
            certain = candidates.per_cost(Entropy().values(candidates, posterior))
            # Above every random number, in the order of the level set.
            level = take_best(candidates, certain, n_level)
            value[level] = 2 + np.arange(n_level, 0, -1)
        return take_best(candidates, value, n)


@dataclass(frozen=True)
class MaxDifference(ValueStrategy):
    """Pairs with the largest predicted |delta|: labels that are nearly certain.

    References
    ----------
    Shen et al. 2025, arXiv:2502.04354, "max difference".
    """

    def values(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        random_state: RandomState = None,
    ) -> FloatArray:
        """Compute the absolute posterior mean of every delta, in nats."""
        del random_state
        return np.asarray(np.abs(posterior.delta(candidates.ids)))


@dataclass(frozen=True)
class DeltaUCB(ValueStrategy):
    """The largest plausible gap: upper(i) - lower(j), in the better of both orders.

    Parameters
    ----------
    width : float >= 0, default=1.0
        Standard deviations between an item's mean and its bounds.

    References
    ----------
    ActiveUltraFeedback (ICML 2026), acquisition function "DeltaUCB".
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.width, "width", zero=True)

    def values(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        random_state: RandomState = None,
    ) -> FloatArray:
        """Compute the largest upper(i) - lower(j), in nats."""
        del random_state
        reach = self.width * posterior.item_std[candidates.ids].sum(axis=1)
        return np.asarray(np.abs(posterior.delta(candidates.ids)) + reach)


@dataclass(frozen=True)
class ExplorationPair(ValueStrategy):
    r"""The most uncertain delta: the exploration pair of online iterative RLHF.

    The value is :math:`\lVert \phi(x, a_1) - \phi(x, a_2) \rVert_{\Sigma^{-1}}`, the
    posterior standard deviation of the delta.

    References
    ----------
    Xiong et al. 2024, Iterative preference learning from human feedback,
    arXiv:2312.11456.

    Examples
    --------
    >>> from embrm import CandidatePool
    >>> pool = CandidatePool(np.eye(3), ["a", "a", "a"])
    >>> belief = RewardPosterior(np.zeros(3), np.array([[0.0], [1.0], [3.0]]))
    >>> candidates = Candidates(pool, [[0, 1], [1, 2], [0, 2]])
    >>> ExplorationPair().propose(candidates, belief, 1)
    array([[0, 2]])
    """

    def values(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        random_state: RandomState = None,
    ) -> FloatArray:
        """Compute the standard deviation of every delta, in nats."""
        del random_state
        return posterior.std(candidates.ids)


@dataclass(frozen=True)
class InfoMax(ValueStrategy):
    r"""The widest interval of the label: uncertain deltas that are not far from 0.

    The value is :math:`\sigma(\delta + \beta s) - \sigma(\delta - \beta s)`, with s the
    posterior standard deviation of the delta. The reference has the sum of the two
    items' deviations for s, as if rewards were independent.

    Parameters
    ----------
    width : float > 0, default=1.0
        :math:`\beta`, in standard deviations of the delta.

    References
    ----------
    ActiveUltraFeedback (ICML 2026), acquisition function "InfoMax".
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self.width, "width")

    def values(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        random_state: RandomState = None,
    ) -> FloatArray:
        """Compute the width of the interval of P(first preferred), in [0, 1]."""
        del random_state
        delta = posterior.delta(candidates.ids)
        reach = self.width * posterior.std(candidates.ids)
        return np.asarray(expit(delta + reach) - expit(delta - reach))


@dataclass(frozen=True)
class Coreset(Strategy):
    r"""Draw pairs by their sensitivity, how badly others stand for them.

    :math:`m_i \propto N / (1 + \sum_k n_k^{(-i)} \exp(-R \lVert c_k - \Delta_i
    \rVert))` with the K centres c of k-means on the deltas' directions and n the size
    of each cluster without i. Directions are in the metric of the posterior.

    Parameters
    ----------
    n_clusters : int >= 1, default=10
        K.
    radius : float > 0, default=1.0
        R, per unit of the median distance to the centres.

    References
    ----------
    Huggins, Campbell, Broderick 2016, Coresets for scalable Bayesian logistic
    regression, arXiv:1605.06423.
    """

    n_clusters: int = 10
    radius: float = 1.0

    def __post_init__(self) -> None:
        check_count(self.n_clusters, "n_clusters")
        check_positive(self.radius, "radius")

    def _choose(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        n: int,
        rng: np.random.Generator,
    ) -> IntArray:
        value = candidates.per_cost(self.sensitivity(candidates, posterior, rng))
        # The largest of log(m) + Gumbel noise are a draw in proportion to m.
        return take_best(candidates, np.log(value) + rng.gumbel(size=len(value)), n)

    def sensitivity(
        self,
        candidates: Candidates,
        posterior: RewardPosterior,
        random_state: RandomState = None,
    ) -> FloatArray:
        """Compute the sensitivity of every candidate, shape (n_candidates,), > 0."""
        from sklearn.cluster import KMeans

        rng = check_random_state(random_state)
        ids, n = candidates.ids, len(candidates)
        some = rng.permutation(n)[:_CLUSTERED]
        k = min(self.n_clusters, len(some))
        means = KMeans(k, n_init=1, random_state=int(rng.integers(2**31)))
        centres = means.fit(posterior.gap(ids[some])).cluster_centers_
        # ||c - g||^2 from products with items: no direction of a pair is stored.
        along = posterior.coordinates @ centres.T.astype(posterior.coordinates.dtype)
        inner = along[ids[:, 0]] - along[ids[:, 1]]
        square = posterior.std(ids)[:, None] ** 2 - 2.0 * inner
        square += np.sum(centres**2, axis=1)
        distance = np.sqrt(np.maximum(square, 0.0))
        nearest = distance.argmin(axis=1)
        sizes = np.bincount(nearest, minlength=k) - np.eye(k, dtype=int)[nearest]
        unit = float(np.median(distance)) or 1.0
        return np.asarray(
            n / (1 + (sizes * np.exp(-self.radius * distance / unit)).sum(axis=1))
        )


_CLUSTERED = 10_000
"""Pairs by which centres are found."""
