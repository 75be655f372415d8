r"""Scale of a reward, and weights of two in their sum, fitted to wins neither has seen.

Stacking (Wolpert 1992, "Stacked generalization", Neural Networks 5; with weights that
are not negative as in Breiman 1996, "Stacked regressions", Machine Learning 24). Few
held-out wins, or wrong labels, say little about weights: they are drawn towards the
linear reward alone. Drawn towards the average of both instead, the sum fell behind the
linear reward by half a point of order consistency and more at label errors of 30% and
40%, on 69 tasks with made-up gold.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from embrm._typing import FloatArray

_LEAST = 0.01
"""Bound of the first weight, so that the reward always says something."""

_LOG_SCALES = (float(np.log(_LEAST)), 10.0)
_SHRINKAGE = 30.0
_LEAST_PROBABILITY = 1e-300
_SCALE_SHRINKAGE = 0.01


class HeldOut(NamedTuple):
    """What weights are fitted to, the rewards aside.

    Attributes
    ----------
    margin, weight : ndarray of shape (n_wins,)
    flip_rate : ndarray of shape (n_wins,) in [0, 0.5), or None
        How likely it is that a win is none.
    """

    margin: FloatArray
    weight: FloatArray
    flip_rate: FloatArray | None


def fit_scale(delta: FloatArray, wins: HeldOut) -> float:
    r"""Fit the factor s > 0 of a reward with the least held-out loss.

    Minimises :math:`\sum_i c_i\,l(s u_i - m_i)` with
    :math:`l(t) = -\log(e + (1 - 2e)\,\sigma(t))`, next to a penalty that is felt only
    where every win is ordered rightly.

    Parameters
    ----------
    delta : ndarray of shape (n_wins,)
        u, the winner's reward less the loser's.
    wins : HeldOut

    Returns
    -------
    float
    """
    spread = _spread(delta, wins)
    unit = delta / spread

    def cost(log_scale: float) -> float:
        scale = np.exp(log_scale)
        loss, _ = _loss_and_slope(scale * unit - wins.margin, wins.flip_rate)
        return float(wins.weight @ loss + _SCALE_SHRINKAGE / 2 * (scale - 1) ** 2)

    # In one dimension this takes a tenth of the time of a quasi-Newton method.
    found = minimize_scalar(cost, bounds=_LOG_SCALES, method="bounded")
    return float(np.exp(found.x) / spread)


def scaled_loss(delta: FloatArray, wins: HeldOut) -> float:
    """Compute the mean loss of wins, in nats, at the best scale of the reward."""
    scaled = fit_scale(delta, wins) * delta
    loss = _loss_and_slope(scaled - wins.margin, wins.flip_rate)[0]
    return float(np.average(loss, weights=wins.weight))


def fit_weights(
    linear: FloatArray, network: FloatArray, wins: HeldOut
) -> tuple[float, float]:
    r"""Fit the weights a and b of two rewards in their sum.

    Minimises :math:`\sum_i c_i\,l(a u_i + b v_i - m_i) + 15 (a - 1)^2 + 15 (b / s)^2`
    with l as in `fit_scale`, and s what it finds for v. The linear reward is in nats
    already, by the penalty that was chosen for it.

    Parameters
    ----------
    linear, network : ndarray of shape (n_wins,)
        u and v, the winner's reward less the loser's by either.
    wins : HeldOut

    Returns
    -------
    a, b : float
        a > 0, b >= 0.

    Examples
    --------
    >>> u, v = np.random.default_rng(0).normal(size=(2, 1000))
    >>> true = 2 * u + np.random.default_rng(1).logistic(size=1000)
    >>> u, v = np.sign(true) * u, np.sign(true) * v
    >>> a, b = fit_weights(u, v, HeldOut(np.zeros(1000), np.ones(1000), None))
    >>> round(a), round(b)
    (2, 0)
    """
    scale = fit_scale(network, wins)
    deltas = np.column_stack([linear, scale * network])
    a, b = _minimise(deltas, wins, np.array([1.0, 0.0]))
    return float(a), float(scale * b)


def _spread(delta: FloatArray, wins: HeldOut) -> float:
    """Compute the root mean square of deltas, 1 where all are 0."""
    return float(np.sqrt(np.average(delta**2, weights=wins.weight))) or 1.0


def _minimise(deltas: FloatArray, wins: HeldOut, prior: FloatArray) -> FloatArray:
    def objective(b: FloatArray) -> tuple[float, FloatArray]:
        loss, slope = _loss_and_slope(deltas @ b - wins.margin, wins.flip_rate)
        away = b - prior
        value = float(wins.weight @ loss + _SHRINKAGE / 2 * away @ away)
        return value, deltas.T @ (wins.weight * slope) + _SHRINKAGE * away

    bounds = [(_LEAST, None)] + [(0.0, None)] * (len(prior) - 1)
    found = minimize(objective, prior, jac=True, bounds=bounds, method="L-BFGS-B")
    return np.asarray(found.x)


def _loss_and_slope(
    logit: FloatArray, flip_rate: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    if flip_rate is None:
        return np.logaddexp(0, -logit), -expit(-logit)
    won = expit(logit)
    p = np.maximum(flip_rate + (1 - 2 * flip_rate) * won, _LEAST_PROBABILITY)
    return -np.log(p), -(1 - 2 * flip_rate) * won * expit(-logit) / p
