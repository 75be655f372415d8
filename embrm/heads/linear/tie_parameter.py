"""Fit the parameter of a tie model, beside the weights.

It is profiled: F is convex in weights and parameter together, so that its minimum over
the weights is convex in the parameter, and the derivative of that minimum is the
partial derivative there.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq

from embrm._typing import FloatArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.linear.training import LinearProblem, minimise
from embrm.heads.linear.win_loss import DavidsonLoss, RaoKupperLoss, TieLoss

_TOLERANCE = 1e-7
_MAX_ITER = 100
_FURTHEST = 40.0


def first_tie_loss(kind: str, tied: FloatArray, weight: FloatArray) -> TieLoss:
    """Make a tie model whose share of ties between equals is that of the data.

    Raises
    ------
    InvalidInputError
        If everything is a tie.
    """
    share = float(np.average(tied, weights=weight))
    if share >= 1 - 1e-9:
        raise InvalidInputError(
            three_parts(
                expected="some pair that is not a tie",
                got=f"{len(tied)} halves of ties and nothing else",
                cure="use ties=None, which counts a tie as half a win each way",
            )
        )
    if kind == "rao-kupper":
        return RaoKupperLoss(tied, float(2 * np.arctanh(share)))
    return DavidsonLoss(tied, float(np.log(2 * share / (1 - share))))


def fit_tie_parameter(
    problem: LinearProblem, first: TieLoss, alpha: float, start: FloatArray
) -> tuple[TieLoss, FloatArray]:
    """Minimise F over the weights and the tie parameter.

    Parameters
    ----------
    problem : LinearProblem
    first : RaoKupperLoss or DavidsonLoss
        With the parameter to start from.
    alpha : float >= 0
    start : ndarray of shape (k,)

    Returns
    -------
    loss : RaoKupperLoss or DavidsonLoss
    w : ndarray of shape (k,)
    """
    found = {"w": start}

    def at(position: float) -> TieLoss:
        # The threshold of Rao and Kupper is positive: search its logarithm.
        is_log = isinstance(first, RaoKupperLoss)
        return first.with_parameter(float(np.exp(position)) if is_log else position)

    def slope(position: float) -> float:
        loss = at(position)
        here = replace(problem, loss=loss)
        found["w"], _, _ = minimise(
            here, alpha, found["w"], tol=_TOLERANCE, max_iter=_MAX_ITER
        )
        lead = here.delta(found["w"]) - here.margin
        return float(here.weight @ loss.slope_in_parameter(lead))

    origin = (
        float(np.log(first.eta)) if isinstance(first, RaoKupperLoss) else first.kappa
    )
    low, high, step = origin, origin, 0.5
    while slope(low) > 0 and origin - low < _FURTHEST:
        low, step = low - step, 2 * step
    step = 0.5
    while slope(high) < 0 and high - origin < _FURTHEST:
        high, step = high + step, 2 * step
    crosses = low < high and slope(low) < 0 < slope(high)
    position = brentq(slope, low, high, xtol=1e-9, rtol=1e-10) if crosses else origin
    slope(position)
    return at(position), found["w"]
