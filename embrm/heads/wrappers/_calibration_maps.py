r"""Calibration maps: odd, increasing functions from a head's delta to log odds.

A map f must satisfy f(-x) = -f(x), or swapping a pair would not negate its delta, and
must increase, or it would change which item is preferred. Both hold by construction:
a map is a function of |delta| >= 0 that is 0 at 0, with the sign put back.

Maps are fitted to deltas of held-out wins, winner minus loser. As in [1]_, the target
of a win is not 1 but :math:`t = (n + 1) / (n + 2)`, with n the number of wins, so that
held-out wins in perfect order do not ask for infinite log odds. n is Kish's effective
number :math:`(\sum_i c_i)^2 / \sum_i c_i^2`, which the scale of the weights leaves
alone.

References
----------
.. [1] Platt (1999). Probabilistic outputs for support vector machines and comparisons
   to regularized likelihood methods. Advances in large margin classifiers, section 2.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from embrm._typing import FloatArray

CalibrationMap: TypeAlias = Callable[[FloatArray], FloatArray]

_LEAST_DELTA = 1e-3
"""Root mean square of deltas, in nats, to which a useless head is shrunk: never to 0,
since its order is to stay."""

_TIE_BREAK = 1e-3


@dataclass(frozen=True, eq=False)
class SigmoidMap:
    r""":math:`f(x) = a x + b \tanh(x / w)` with a > 0 and b >= 0.

    Platt's slope and intercept, the latter as odds that every comparison gets whose
    |delta| is well above w: the continuous form of :math:`\mathrm{sign}(x)(a|x| + b)`.
    """

    slope: float
    rise: float
    width: float

    def __call__(self, delta: FloatArray) -> FloatArray:
        """Map deltas to log odds."""
        size = np.abs(delta)
        log_odds = self.slope * size + self.rise * np.tanh(size / self.width)
        return np.copysign(log_odds, delta)


@dataclass(frozen=True, eq=False)
class IsotonicMap:
    r"""Log odds of a step-wise linear probability of |delta|, from 1/2 at 0.

    A thousandth of :math:`\mathrm{arsinh}(x)` on top keeps deltas apart that fall on
    one step.
    """

    knots: FloatArray
    probability: FloatArray

    def __call__(self, delta: FloatArray) -> FloatArray:
        """Map deltas to log odds."""
        size = np.abs(delta)
        log_odds = logit(np.interp(size, self.knots, self.probability))
        return np.copysign(log_odds + _TIE_BREAK * np.arcsinh(size), delta)


def fit_scale(delta: FloatArray, weight: FloatArray) -> float:
    r"""Find the factor that makes deltas log odds: one over the temperature.

    Parameters
    ----------
    delta : ndarray of shape (n_wins,)
        Reward of winner minus reward of loser.
    weight : ndarray of shape (n_wins,), > 0

    Returns
    -------
    float > 0
        Minimises :math:`\sum_i c_i [t\,\mathrm{softplus}(-s\delta_i)
        + (1 - t)\,\mathrm{softplus}(s\delta_i)]` over s, a convex problem. Where wrong
        wins outweigh right ones the minimum is at s <= 0, and the deltas are shrunk
        to a thousandth of a nat instead: a calibration turns no order around.

    Examples
    --------
    >>> fit_scale(np.array([4.0, 4.0, 4.0, -4.0]), np.ones(4)).__round__(3)
    0.173
    """
    size = float(np.sqrt(np.average(delta**2, weights=weight)))
    if size == 0.0:
        return 1.0
    x, target = delta / size, win_target(weight)
    least = _LEAST_DELTA

    def slope(s: float) -> float:
        return float(weight @ (x * (expit(s * x) - target)))

    if slope(least) >= 0:
        return least / size
    high = 1.0
    while slope(high) < 0:
        high *= 2
    return float(brentq(slope, least, high, xtol=1e-14, rtol=1e-12)) / size


def fit_sigmoid(delta: FloatArray, weight: FloatArray) -> SigmoidMap:
    """Fit `SigmoidMap` to tempered deltas by maximum likelihood, a convex problem.

    Parameters
    ----------
    delta : ndarray of shape (n_wins,), in nats
        Already multiplied by `fit_scale`.
    weight : ndarray of shape (n_wins,), > 0

    Returns
    -------
    SigmoidMap
        Whose width is the median |delta|.
    """
    width = float(np.median(np.abs(delta)))
    if width == 0.0:
        return SigmoidMap(1.0, 0.0, 1.0)
    basis = np.stack([delta, np.tanh(delta / width)])
    target, share = win_target(weight), weight / weight.sum()

    def loss(params: FloatArray) -> tuple[float, FloatArray]:
        log_odds = params @ basis
        value = np.logaddexp(0.0, log_odds) - target * log_odds
        return float(share @ value), basis @ (share * (expit(log_odds) - target))

    least = _LEAST_DELTA / float(np.sqrt(np.average(delta**2, weights=weight)))
    found = minimize(
        loss,
        [1.0, 0.0],
        jac=True,
        method="L-BFGS-B",
        bounds=[(min(least, 1.0), None), (0.0, None)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 500},
    )
    return SigmoidMap(float(found.x[0]), float(found.x[1]), width)


def fit_isotonic(delta: FloatArray, weight: FloatArray) -> IsotonicMap:
    """Fit `IsotonicMap` by isotonic regression of right on |delta|.

    Parameters
    ----------
    delta : ndarray of shape (n_wins,), in nats
        Already multiplied by `fit_scale`.
    weight : ndarray of shape (n_wins,), > 0

    Returns
    -------
    IsotonicMap
        The same as isotonic regression on all deltas and their mirror images with
        flipped labels, whose solution is odd.
    """
    right = (np.sign(delta) + 1.0) / 2.0
    # Bounded isotonic regression is the unbounded one, clipped.
    regression = IsotonicRegression(y_min=0.5, y_max=win_target(weight))
    regression.fit(np.abs(delta), right, sample_weight=weight)
    knots = np.asarray(regression.X_thresholds_, dtype=np.float64)
    probability = np.asarray(regression.y_thresholds_, dtype=np.float64)
    if knots[0] == 0.0:
        knots, probability = knots[1:], probability[1:]
    return IsotonicMap(
        np.concatenate([[0.0], knots]), np.concatenate([[0.5], probability])
    )


def win_target(weight: FloatArray) -> float:
    """Compute Platt's target (n + 1) / (n + 2) for wins of these weights."""
    n_wins = float(weight.sum() ** 2 / (weight @ weight))
    return (n_wins + 1.0) / (n_wins + 2.0)


def held_out_losses(log_odds: FloatArray) -> FloatArray:
    """Compute the log loss of each win, shape (n_wins,), in nats."""
    return np.asarray(np.logaddexp(0.0, -log_odds))
