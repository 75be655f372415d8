r"""Scale of a reward, and weights of two in their sum, fitted to wins neither has seen.

Stacking (Wolpert 1992, "Stacked generalization", Neural Networks 5; with weights that
are not negative as in Breiman 1996, "Stacked regressions", Machine Learning 24). Few
held-out wins, or wrong labels, say little about weights: they are drawn towards the
linear reward alone. Drawn towards the average of both instead, the sum fell behind the
linear reward by half a point of order consistency and more at label errors of 30% and
40%, on 69 tasks with made-up gold.
"""

import numpy as np
from scipy.optimize import minimize

from embrm._typing import FloatArray
from embrm.heads.win_loss import HeldOut, best_scale, loss_of_wins

_LEAST = 0.01
"""Bound of the first weight, so that the reward is never constant."""

_LOG_SCALES = (float(np.log(_LEAST)), 10.0)
_SHRINKAGE = 30.0
_SCALE_SHRINKAGE = 0.01


def fit_scale(delta: FloatArray, wins: HeldOut) -> float:
    r"""Fit the factor s > 0 of a reward with the least held-out loss.

    Minimises :math:`\sum_i c_i\,l(s u_i - m_i)` with
    :math:`l(t) = -\log(e + (1 - 2e)\,\sigma(t))`, plus a penalty that matters only
    where every win is ordered correctly.

    Parameters
    ----------
    delta : ndarray of shape (n_wins,)
        u, the winner's reward less the loser's.
    wins : HeldOut

    Returns
    -------
    float
    """
    spread = float(np.sqrt(np.average(delta**2, weights=wins.weight))) or 1.0
    scale = best_scale(delta / spread, wins, _LOG_SCALES, shrinkage=_SCALE_SHRINKAGE)
    return scale / spread


def scaled_loss(delta: FloatArray, wins: HeldOut) -> float:
    """Compute the mean loss of wins, in nats, at the best scale of the reward."""
    scaled = fit_scale(delta, wins) * delta
    loss = loss_of_wins(wins).evaluate(scaled - wins.margin)[0]
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


def _minimise(deltas: FloatArray, wins: HeldOut, prior: FloatArray) -> FloatArray:
    losses = loss_of_wins(wins)

    def objective(b: FloatArray) -> tuple[float, FloatArray]:
        loss, slope, _ = losses.evaluate(deltas @ b - wins.margin)
        away = b - prior
        value = float(wins.weight @ loss + _SHRINKAGE / 2 * away @ away)
        return value, deltas.T @ (wins.weight * slope) + _SHRINKAGE * away

    bounds = [(_LEAST, None)] + [(0.0, None)] * (len(prior) - 1)
    found = minimize(objective, prior, jac=True, bounds=bounds, method="L-BFGS-B")
    return np.asarray(found.x)
