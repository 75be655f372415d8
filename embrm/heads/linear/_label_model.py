"""The distribution of labels given reward differences, and the tie parameter.

The parameter of a tie model is profiled: F is convex in weights and parameter together,
so that its minimum over the weights is convex in the parameter, and the derivative of
that minimum is the partial derivative there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from scipy.optimize import brentq

from embrm._typing import FloatArray
from embrm.exceptions import invalid_input
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import LinearProblem
from embrm.heads.win_loss import (
    DavidsonLoss,
    Link,
    LogisticLoss,
    RaoKupperLoss,
    TieLoss,
    WinLoss,
    loss_of_wins,
)

Ties: TypeAlias = Literal["rao-kupper", "davidson"]

_TOLERANCE = 1e-7
_MAX_ITER = 100
_FARTHEST = 40.0


@dataclass(frozen=True, eq=False)
class LabelModel:
    """The distribution of labels given reward differences.

    Attributes
    ----------
    link : {"logit", "probit"}
    ties : {"rao-kupper", "davidson"} or None
    tie_parameter : float
        Rao and Kupper's theta >= 1 or Davidson's nu >= 0; NaN where ties is None.
    """

    link: Link
    ties: Ties | None = None
    tie_parameter: float = np.nan

    @classmethod
    def guess(
        cls, comparisons: Comparisons, link: Link, ties: Ties | None
    ) -> "LabelModel":
        """Set the tie parameter so that equal items tie as often as pairs here do.

        Raises
        ------
        InvalidInputError
            If there is a tie model, and everything is a tie.
        """
        if ties is None:
            return cls(link)
        tied, share = comparisons.tied, 0.0
        if tied is not None:
            share = float(np.average(tied, weights=comparisons.weight))
        if share >= 1 - 1e-9:
            raise invalid_input(
                expected="some pair that is not a tie",
                got=f"{len(comparisons)} halves of ties and nothing else",
                fix="use ties=None, which counts a tie as half a win each way",
            )
        numerator = 1 + share if ties == "rao-kupper" else 2 * share
        return cls(link, ties, numerator / (1 - share))

    def loss(self, comparisons: Comparisons) -> WinLoss:
        """Make the loss of wins under these parameters, and their flip rates."""
        if self.ties is None:
            return loss_of_wins(comparisons, self.link)
        tied = comparisons.tied
        never = np.zeros(len(comparisons))
        return self.tie_loss(never if tied is None else tied) or LogisticLoss()

    def tie_loss(self, tied: FloatArray) -> TieLoss | None:
        """Make the tie model of wins, None where there never is a tie."""
        if self.ties == "rao-kupper" and self.tie_parameter > 1:
            return RaoKupperLoss(tied, float(np.log(self.tie_parameter)))
        if self.ties == "davidson" and self.tie_parameter > 0:
            return DavidsonLoss(tied, float(np.log(self.tie_parameter)))
        return None


def fit_ties(
    labels: LabelModel,
    problem: LinearProblem,
    alpha: float,
    start: FloatArray,
    *,
    weights_too: bool = True,
) -> tuple[LabelModel, LinearProblem, FloatArray]:
    """Minimise F over the weights and the tie parameter, if there is one.

    Parameters
    ----------
    labels : LabelModel
    problem : LinearProblem
        With the loss to start from.
    alpha : float >= 0
    start : ndarray of shape (k,)
    weights_too : bool, default=True
        Whether the weights move from `start`.

    Returns
    -------
    labels : LabelModel
    problem : LinearProblem
        With the loss that was fitted.
    w : ndarray of shape (k,)
        `start` without a tie model.
    """
    loss = problem.loss
    if isinstance(loss, RaoKupperLoss):
        # The threshold is positive: search its logarithm.
        make, origin = _with_log_threshold(loss), float(np.log(loss.eta))
    elif isinstance(loss, DavidsonLoss):
        make, origin = loss.with_parameter, loss.kappa
    else:
        return labels, problem, start
    fitted, w = _profile(problem, make, origin, alpha if weights_too else None, start)
    log_parameter = fitted.eta if isinstance(fitted, RaoKupperLoss) else fitted.kappa
    labels = replace(labels, tie_parameter=float(np.exp(log_parameter)))
    return labels, replace(problem, loss=fitted), w


def _with_log_threshold(loss: RaoKupperLoss) -> Callable[[float], TieLoss]:
    return lambda position: loss.with_parameter(float(np.exp(position)))


def _profile(
    problem: LinearProblem,
    make: Callable[[float], TieLoss],
    origin: float,
    alpha: float | None,
    start: FloatArray,
) -> tuple[TieLoss, FloatArray]:
    """Find the parameter at which the profiled F is flat, from `origin` outwards.

    Without alpha the weights stay where they are.
    """
    w = start

    def slope(position: float) -> float:
        nonlocal w
        loss = make(position)
        here = replace(problem, loss=loss)
        if alpha is not None:
            w, _, _ = minimise(here, alpha, w, tol=_TOLERANCE, max_iter=_MAX_ITER)
        return float(here.weight @ loss.slope_in_parameter(here.logit(w)))

    low, high, step = origin, origin, 0.5
    while slope(low) > 0 and origin - low < _FARTHEST:
        low, step = low - step, 2 * step
    step = 0.5
    while slope(high) < 0 and high - origin < _FARTHEST:
        high, step = high + step, 2 * step
    crosses = low < high and slope(low) < 0 < slope(high)
    position = brentq(slope, low, high, xtol=1e-9, rtol=1e-10) if crosses else origin
    slope(position)
    return make(position), w
