r"""Losses of one win as functions of its lead u, the delta minus the margin, in nats.

All but the robust ones are convex surrogates that Tang et al. (2024), "Generalized
preference optimization", arXiv:2402.05749, table 1, put under one roof; there u is a
difference of log ratios, here a difference of rewards.

==================  ==============================================================
word                loss
==================  ==============================================================
logistic            :math:`\log(1 + e^{-u})`, Bradley-Terry
hinge               :math:`\max(0, 1 - u)`, SLiC
squared             :math:`(u - 1)^2`, IPO with target 1
exponential         :math:`e^{-u}`, continued linearly below u = -10
truncated_quadratic :math:`\max(0, 1 - u)^2`
savage              :math:`1 / (1 + e^{u})^2`, bounded
==================  ==============================================================

Two corrections for labels that are wrong with probability e act on any of them:
label smoothing takes :math:`(1 - e)\,l(u) + e\,l(-u)`; the robust form takes
:math:`((1 - e)\,l(u) - e\,l(-u)) / (1 - 2e)`, whose expectation over flips is the loss
on clean labels (Natarajan et al. 2013, lemma 1; Chowdhury et al. 2024,
arXiv:2403.00409).
"""

from collections.abc import Callable
from typing import Any, TypeAlias

Tensor: TypeAlias = Any
Loss: TypeAlias = Callable[[Any, Tensor], Tensor]
"""Takes torch and leads; returns the loss of each."""

_LINEAR_BELOW = -10.0


def _logistic(torch: Any, u: Tensor) -> Tensor:
    return torch.nn.functional.softplus(-u)


def _hinge(torch: Any, u: Tensor) -> Tensor:
    return torch.relu(1 - u)


def _squared(_: Any, u: Tensor) -> Tensor:
    return (u - 1) ** 2


def _exponential(torch: Any, u: Tensor) -> Tensor:
    # exp overflows at 88 nats in float32; the tangent keeps value and slope.
    near = torch.clamp(u, min=_LINEAR_BELOW)
    return torch.exp(-near) * (1 + (near - u))


def _truncated_quadratic(torch: Any, u: Tensor) -> Tensor:
    return torch.relu(1 - u) ** 2


def _savage(torch: Any, u: Tensor) -> Tensor:
    return torch.sigmoid(-u) ** 2


LOSSES: dict[str, Loss] = {
    "logistic": _logistic,
    "hinge": _hinge,
    "squared": _squared,
    "exponential": _exponential,
    "truncated_quadratic": _truncated_quadratic,
    "savage": _savage,
}


def corrected(loss: Loss, *, label_smoothing: float, flip_rate: float) -> Loss:
    """Correct a loss for labels that are wrong at times.

    Parameters
    ----------
    loss : Loss
    label_smoothing : float in [0, 0.5)
    flip_rate : float in [0, 0.5)
        Share of wrong labels that the robust form undoes.

    Returns
    -------
    Loss
        `loss` itself where both are 0.
    """
    if label_smoothing == 0 and flip_rate == 0:
        return loss
    # Both are the same matrix [[1 - e, e], [e, 1 - e]] on (l(u), l(-u)); the robust
    # form is its inverse.
    e = label_smoothing
    f = -flip_rate / (1 - 2 * flip_rate)
    on_other_side = e * (1 - f) + f * (1 - e)

    def both_sides(torch: Any, u: Tensor) -> Tensor:
        return (1 - on_other_side) * loss(torch, u) + on_other_side * loss(torch, -u)

    return both_sides
