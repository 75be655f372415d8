"""When to trust a head: Brier decomposition, abstention, and sets with coverage."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import check_inner_share, check_level, check_share
from embrm.evaluate.calibration import confidence_and_right, reliability_curve
from embrm.evaluate.inputs import check_delta, check_labelled, check_scores, group_codes
from embrm.exceptions import invalid_input


@dataclass(frozen=True)
class BrierDecomposition:
    r"""Parts of the Brier score: reliability - resolution + uncertainty + within.

    Attributes
    ----------
    brier : float
    reliability : float >= 0
        Of confidences that are not the accuracy of their bin; 0 is calibrated.
    resolution : float >= 0
        Of confidences that tell easy from hard pairs; larger is better.
    uncertainty : float >= 0
        What is left where every pair gets the mean accuracy.
    within : float
        Of differences inside bins, which vanish with narrow ones.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier_decomposition(
    delta: ArrayLike,
    y: ArrayLike | None = None,
    *,
    n_bins: int = 10,
    strategy: str = "quantile",
    sample_weight: ArrayLike | None = None,
) -> BrierDecomposition:
    r"""Decompose the Brier score on the winner's side.

    Parameters
    ----------
    delta, y, n_bins, strategy, sample_weight
        As in `reliability_curve`: confidence is that of the side the head prefers.

    Returns
    -------
    BrierDecomposition
        :math:`\sum_b \frac{w_b}{w} (c_b - a_b)^2 - \sum_b \frac{w_b}{w} (a_b - a)^2 +
        \overline{r^2} - a^2` and the remainder: Murphy (1973), Journal of Applied
        Meteorology 12; Stephenson et al. (2008), Weather and Forecasting 23, for bins.

    Raises
    ------
    InvalidInputError
        On a wrong shape or range.

    Examples
    --------
    >>> parts = brier_decomposition([2.0, 2.0, 0.5, 0.5], [1, 1, 1, 0], n_bins=2)
    >>> total = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    >>> round(total - parts.brier, 12)
    0.0
    """
    curve = reliability_curve(
        delta, y, n_bins=n_bins, strategy=strategy, sample_weight=sample_weight
    )
    confidence, right, weights = confidence_and_right(delta, y, sample_weight)
    mean = float(np.average(right, weights=weights))
    share = curve.count / curve.count.sum()
    reliability = float(share @ np.square(curve.confidence - curve.accuracy))
    resolution = float(share @ np.square(curve.accuracy - mean))
    uncertainty = float(np.average(right**2, weights=weights)) - mean**2
    brier = float(np.average(np.square(confidence - right), weights=weights))
    within = brier - reliability + resolution - uncertainty
    return BrierDecomposition(brier, reliability, resolution, uncertainty, within)


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Error rate if only the most confident pairs are decided.

    Attributes
    ----------
    coverage : ndarray of shape (m,), ascending to 1
        Share of pairs that are decided; pairs of equal confidence stand together.
    risk : ndarray of shape (m,), in [0, 1]
        Share of these that are wrong.
    confidence : ndarray of shape (m,), in [0.5, 1]
        Least confidence that is decided.
    """

    coverage: FloatArray
    risk: FloatArray
    confidence: FloatArray

    @property
    def area(self) -> float:
        """Mean risk over all coverages: smaller is better (AURC)."""
        widths = np.diff(self.coverage, prepend=0.0)
        return float(widths @ self.risk)

    def at_risk(self, risk: float) -> tuple[float, float]:
        """Find the greatest coverage at which the risk is no greater.

        Returns
        -------
        coverage, confidence : float
            0 and 1 where no coverage will do: then abstain always.
        """
        check_share(risk, "risk")
        fits = np.flatnonzero(self.risk <= risk)
        if not len(fits):
            return 0.0, 1.0
        return float(self.coverage[fits[-1]]), float(self.confidence[fits[-1]])


def risk_coverage(
    delta: ArrayLike,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
) -> RiskCoverage:
    """Compute error rate against the share of pairs that a head decides.

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
    y : array-like of shape (n_pairs,) in [0, 1], optional
    sample_weight : array-like of shape (n_pairs,), >= 0, optional

    Returns
    -------
    RiskCoverage
        El-Yaniv and Wiener (2010), JMLR 11. A head whose confidence means nothing has
        the same risk everywhere.

    Raises
    ------
    InvalidInputError
        On a wrong shape or range.

    Examples
    --------
    >>> curve = risk_coverage([3.0, 2.0, 1.0, -0.5])
    >>> curve.coverage, curve.risk
    (array([0.25, 0.5 , 0.75, 1.  ]), array([0.  , 0.  , 0.  , 0.25]))
    >>> curve.at_risk(0.1)[0]
    0.75
    """
    confidence, right, weights = confidence_and_right(delta, y, sample_weight)
    levels, places = np.unique(-confidence, return_inverse=True)
    weight = np.cumsum(np.bincount(places, weights=weights))
    wrong = np.cumsum(np.bincount(places, weights=weights * (1 - right)))
    kept = weight > 0
    return RiskCoverage(
        weight[kept] / weight[-1], wrong[kept] / weight[kept], -levels[kept]
    )


@dataclass(frozen=True)
class ConformalPairs:
    """Sets of labels that hold the true one as often as asked for.

    Attributes
    ----------
    threshold : float in [0, 1] or inf
        Greatest 1 - P(label) of a label that belongs to the set.
    level : float in (0, 1)
        Share of new prompts' pairs whose set holds their label, at least.
    n_prompts : int
        Prompts it was calibrated on.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> delta = rng.normal(size=500)
    >>> y = rng.random(500) < 1 / (1 + np.exp(-delta))
    >>> sets = ConformalPairs.fit(delta, y, level=0.9)
    >>> sets.predict([5.0, 0.0, -5.0])
    array([[ True, False],
           [ True,  True],
           [False,  True]])
    """

    threshold: float
    level: float
    n_prompts: int

    @classmethod
    def fit(
        cls,
        delta: ArrayLike,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        level: float = 0.95,
    ) -> Self:
        r"""Calibrate on pairs that the head was not fitted on.

        Parameters
        ----------
        delta : array-like of shape (n_pairs,)
        y : array-like of shape (n_pairs,)
            1 where first is preferred, 0 where second is; ties (0.5) are left out.
        groups : array-like of shape (n_pairs,), optional
            Prompts, which new ones are exchangeable with. Pairs of one prompt stand
            together; without prompts, each pair counts as one.
        level : float in (0, 1), default=0.95

        Returns
        -------
        ConformalPairs
            At the `level` quantile of 1 - P(true label), in which the P prompts weigh
            1 / (P + 1) each and infinity the rest: Lee, Barber and Willett (2023),
            arXiv:2306.06342. With few prompts it is infinite, and sets are full.

        Raises
        ------
        InvalidInputError
            On a wrong shape or range, or labels that are soft.
        """
        differences, labels, _ = check_labelled(delta, y, None)
        soft = ~np.isin(labels, (0.0, 0.5, 1.0))
        if soft.any():
            raise invalid_input(
                "labels 0, 1, or 0.5 for a tie",
                f"{labels[soft][0]:g} at pair {int(soft.argmax())}",
                "sets are of labels: draw them, or round",
            )
        told = labels != 0.5
        scores = expit(np.where(labels == 1, -differences, differences))[told]
        prompts = _prompts(groups, len(differences))[told]
        threshold, n_prompts = hierarchical_quantile(scores, prompts, level)
        return cls(threshold, level, n_prompts)

    def predict(self, delta: ArrayLike) -> BoolArray:
        """Give the set of each pair: columns are first and second, shape (n_pairs, 2).

        Both means undecided: abstain. The label the head prefers is always in.
        """
        differences = check_delta(delta)
        doubt = expit(np.column_stack([-differences, differences]))
        preferred = np.column_stack([differences >= 0, differences <= 0])
        return np.asarray((doubt <= self.threshold) | preferred)


@dataclass(frozen=True)
class ConformalDifferences:
    """Intervals of gold differences that hold the true one as often as asked for.

    Attributes
    ----------
    slope : float
        Gold difference for each nat of delta.
    radius : float or inf
    level : float in (0, 1)
    n_prompts : int
        Prompts that the radius was calibrated on.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> delta = rng.normal(size=400)
    >>> intervals = ConformalDifferences.fit(delta, 3 * delta + rng.normal(size=400))
    >>> low, high = intervals.predict([1.0])
    >>> bool(low[0] < 3 < high[0])
    True
    """

    slope: float
    radius: float
    level: float
    n_prompts: int

    @classmethod
    def fit(
        cls,
        delta: ArrayLike,
        gold_difference: ArrayLike,
        groups: ArrayLike | None = None,
        *,
        level: float = 0.95,
    ) -> Self:
        """Calibrate on pairs with gold that the head was not fitted on.

        Parameters
        ----------
        delta, gold_difference : array-like of shape (n_pairs,)
            Of first less second.
        groups : array-like of shape (n_pairs,), optional
            Prompts, as in `ConformalPairs.fit`.
        level : float in (0, 1), default=0.95

        Returns
        -------
        ConformalDifferences
            The slope is fitted on every other prompt, the radius on the rest.

        Raises
        ------
        InvalidInputError
            On a wrong shape or range.
        """
        differences = check_delta(delta)
        gold = check_scores(gold_difference, "gold_difference", len(differences))
        prompts = _prompts(groups, len(differences))
        fitted = prompts % 2 == 0
        if fitted.all():
            fitted = np.zeros(len(prompts), bool)
        scale = float(np.square(differences[fitted]).sum())
        slope = float(differences[fitted] @ gold[fitted]) / scale if scale > 0 else 0.0
        residuals = np.abs(gold - slope * differences)[~fitted]
        radius, n_prompts = hierarchical_quantile(residuals, prompts[~fitted], level)
        return cls(slope, radius, level, n_prompts)

    def predict(self, delta: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Give the lower and upper bound of each pair's gold difference."""
        middle = self.slope * check_delta(delta)
        return middle - self.radius, middle + self.radius


def hierarchical_quantile(
    scores: FloatArray, prompts: IntArray, level: float
) -> tuple[float, int]:
    """Compute the conformal quantile of scores that stand together by prompt.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    prompts : ndarray of int of shape (n,)
    level : float in (0, 1)

    Returns
    -------
    quantile : float
        Infinite where there are too few prompts for the level.
    n_prompts : int
    """
    check_level(level)
    _, places = np.unique(prompts, return_inverse=True)
    sizes = np.bincount(places)
    order = np.argsort(scores, kind="stable")
    weight = np.cumsum(1 / sizes[places[order]]) / (len(sizes) + 1)
    at = int(np.searchsorted(weight, level - 1e-12))
    return (float(scores[order[at]]) if at < len(order) else np.inf), len(sizes)


def _prompts(groups: ArrayLike | None, n_pairs: int) -> IntArray:
    if groups is None:
        return np.arange(n_pairs)
    codes, _ = group_codes(groups, n_pairs)
    if (codes[:, 0] != codes[:, 1]).any():
        raise invalid_input(
            "pairs of one prompt each",
            "pairs across prompts",
            "calibrate on same-prompt pairs: only those are exchangeable by prompt",
        )
    return codes[:, 0]


def reward_interval(
    reward: FloatArray, std: FloatArray, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Compute the normal interval of rewards with standard deviations.

    Parameters
    ----------
    reward, std : ndarray of shape (n_items,)
    level : float in (0, 1), default=0.95

    Returns
    -------
    lower, upper : ndarray of shape (n_items,)

    Examples
    --------
    >>> import numpy as np
    >>> lower, upper = reward_interval(np.array([1.0]), np.array([0.5]))
    >>> lower.round(2), upper.round(2)
    (array([0.02]), array([1.98]))
    """
    from scipy.stats import norm

    check_inner_share(level, "level", "0.95")
    z = float(norm.ppf((1 + level) / 2))
    return reward - z * std, reward + z * std
