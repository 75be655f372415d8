r"""Losses of direct alignment, as functions of a log-ratio difference.

Generalised preference optimisation (Tang et al. 2024, arXiv:2402.05749) minimises
:math:`E[f(\beta \rho)]` for a convex f, where for a pair of the preferred response
:math:`a^+` and the other

.. math:: \rho = \log \frac{\pi(a^+)}{\pi_0(a^+)} - \log \frac{\pi(a^-)}{\pi_0(a^-)}.

DPO is the logistic loss, IPO the square with its target at 1/2 in units of
:math:`\beta \rho`, SLiC the hinge.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import expit

from embrm._typing import FloatArray
from embrm._validation import check_choice

_Curve: TypeAlias = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class PairLoss:
    r"""A loss of one number: :math:`x = \beta \rho`.

    Attributes
    ----------
    value, slope : callable
        f and its derivative, both of arrays.
    curvature : float
        About the second derivative at 0, by which fits are scaled.
    """

    value: _Curve
    slope: _Curve
    curvature: float


_ROUNDED = 0.01


def _softplus(x: FloatArray) -> FloatArray:
    return np.asarray(np.logaddexp(0.0, -x))


def _below(x: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(1.0 - x, 0.0))


def _hinge(x: FloatArray) -> FloatArray:
    """Compute max(0, 1 - x), rounded over the last hundredth, for the minimiser."""
    below = _below(x)
    return np.asarray(
        np.where(below < _ROUNDED, below**2 / (2 * _ROUNDED), below - _ROUNDED / 2)
    )


def _hinge_slope(x: FloatArray) -> FloatArray:
    return np.asarray(-np.minimum(_below(x) / _ROUNDED, 1.0))


def _capped_exp(x: FloatArray) -> FloatArray:
    """Compute exp(-x), linear beyond the point where a double overflows."""
    edge = -500.0
    return np.asarray(np.exp(-np.maximum(x, edge)) * (1 + np.maximum(edge - x, 0)))


PAIR_LOSSES: Mapping[str, PairLoss] = {
    "dpo": PairLoss(_softplus, lambda x: -expit(-x), 0.25),
    "ipo": PairLoss(lambda x: (x - 0.5) ** 2, lambda x: 2 * (x - 0.5), 2.0),
    "slic": PairLoss(_hinge, _hinge_slope, 1.0),
    "squared": PairLoss(lambda x: (x - 1) ** 2, lambda x: 2 * (x - 1), 2.0),
    "exponential": PairLoss(
        _capped_exp, lambda x: -np.exp(-np.maximum(x, -500.0)), 1.0
    ),
    "truncated-quadratic": PairLoss(
        lambda x: _below(x) ** 2, lambda x: -2 * _below(x), 2.0
    ),
    "savage": PairLoss(
        lambda x: expit(-x) ** 2, lambda x: -2 * expit(-x) ** 2 * expit(x), 0.25
    ),
}
"""By name. `"savage"` is bounded, not convex: it gives up on pairs far on the wrong
side, by which it stands wrong labels."""


def pair_loss(name: str | PairLoss) -> PairLoss:
    """Find a loss by its name; one of your own is passed on.

    Parameters
    ----------
    name : str or PairLoss
        `"dpo"`, `"ipo"`, `"slic"`, `"squared"`, `"exponential"`,
        `"truncated-quadratic"` or `"savage"`.

    Raises
    ------
    InvalidInputError
        If there is none of that name.

    Examples
    --------
    >>> x = np.array([0.0, 0.5])
    >>> pair_loss("ipo").value(x), pair_loss("slic").slope(x)
    (array([0.25, 0.  ]), array([-1., -1.]))
    """
    if isinstance(name, str) or not hasattr(name, "curvature"):
        check_choice(name, "loss", tuple(PAIR_LOSSES))
    return PAIR_LOSSES[name] if isinstance(name, str) else name
