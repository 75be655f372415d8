r"""Losses of one win as functions of its logit u, the delta minus the margin, in nats.

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
robust              as logistic, but for flipped labels
==================  ==============================================================

Label smoothing takes :math:`(1 - e)\,l(u) + e\,l(-u)` of any of them. Where labels are
flipped at a known rate e, the logistic loss becomes the likelihood of such labels,
:math:`-\log(e + (1 - 2e)\,\sigma(u))`; the others, and "robust", which is the logistic
one otherwise, take the form :math:`((1 - e)\,l(u) - e\,l(-u)) / (1 - 2e)`, whose
expectation over flips is the loss on clean labels (Natarajan et al. 2013, lemma 1;
Chowdhury et al. 2024, arXiv:2403.00409), with weight :math:`(1 - 2e)^2`: the less a
label tells, the less it counts.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from embrm._typing import FloatArray

Tensor: TypeAlias = Any
Loss: TypeAlias = Callable[[Any, Tensor], Tensor]
"""Takes torch and logits; returns the loss of each."""

_LINEAR_BELOW = -10.0
_LEAST_RATE = 1e-30
"""Its logarithm is finite, and so is the slope of the loss."""


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


def _robust(torch: Any, u: Tensor) -> Tensor:
    return _logistic(torch, u)


LOSSES: dict[str, Loss] = {
    "logistic": _logistic,
    "hinge": _hinge,
    "squared": _squared,
    "exponential": _exponential,
    "truncated_quadratic": _truncated_quadratic,
    "savage": _savage,
    "robust": _robust,
}


def smoothed(loss: Loss, share: float) -> Loss:
    """Smooth labels by a share in [0, 0.5); `loss` itself where that is 0."""
    if share == 0:
        return loss

    def both_sides(torch: Any, u: Tensor) -> Tensor:
        return (1 - share) * loss(torch, u) + share * loss(torch, -u)

    return both_sides


def weight_of_flipped(loss: Loss, rate: FloatArray) -> FloatArray:
    """Say how much wins count under `of_flipped`, by their flip rates.

    A likelihood weighs wins itself. The robust form has a variance that grows as one
    over the square of 1 - 2e, and that the weight undoes.
    """
    return np.ones(len(rate)) if loss is _logistic else (1 - 2 * rate) ** 2


def of_flipped(torch: Any, loss: Loss, u: Tensor, rate: Tensor) -> Tensor:
    """Compute a loss where labels are flipped at a known rate.

    Parameters
    ----------
    torch : module
    loss : Loss
    u : Tensor of shape (..., n_wins)
    rate : Tensor of shape (n_wins,), in [0, 0.5)

    Returns
    -------
    Tensor of the shape of `u`
    """
    if loss is _logistic:
        right = torch.log1p(-2 * rate) + torch.nn.functional.logsigmoid(u)
        return -torch.logaddexp(torch.log(rate.clamp(min=_LEAST_RATE)), right)
    clean = 1 - 2 * rate
    return ((1 - rate) * loss(torch, u) - rate * loss(torch, -u)) / clean
