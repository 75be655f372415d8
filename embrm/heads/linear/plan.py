"""What the linear head is to fit, and its model of how labels come about."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.coordinates import RotatedCoordinates
from embrm.heads.linear.tie_parameter import first_tie_loss
from embrm.heads.linear.win_loss import (
    DavidsonLoss,
    FlippedLoss,
    LogisticLoss,
    ProbitLoss,
    RaoKupperLoss,
    WinLoss,
)

Link: TypeAlias = Literal["logit", "probit"]
Ties: TypeAlias = Literal["rao-kupper", "davidson"]


@dataclass(frozen=True, eq=False)
class LabelModel:
    """How labels come about, given differences of reward.

    Attributes
    ----------
    link : {"logit", "probit"}
    ties : {"rao-kupper", "davidson"} or None
    tie_parameter : float
        Rao and Kupper's theta >= 1 or Davidson's nu >= 0; NaN where ties is None.
    """

    link: Link
    ties: Ties | None
    tie_parameter: float = np.nan

    def loss(self, comparisons: Comparisons) -> WinLoss:
        """Make the loss of wins under these parameters, and their flip rates."""
        if self.ties is not None:
            tied = comparisons.tied
            never = np.zeros(len(comparisons))
            return self.tie_loss(never if tied is None else tied) or LogisticLoss()
        return loss_of_wins(comparisons, self.link)

    def tie_loss(self, tied: FloatArray) -> RaoKupperLoss | DavidsonLoss | None:
        """Make the tie model of wins, None where there never is a tie."""
        if self.ties == "rao-kupper" and self.tie_parameter > 1:
            return RaoKupperLoss(tied, float(np.log(self.tie_parameter)))
        if self.ties == "davidson" and self.tie_parameter > 0:
            return DavidsonLoss(tied, float(np.log(self.tie_parameter)))
        return None


@dataclass(frozen=True, eq=False)
class FitPlan:
    """What to fit, checked.

    Attributes
    ----------
    alpha : float or None
        None to choose it.
    whitening : float in [0, 1]
    standardise : bool or None
        Whether the prior is that of weights on columns of unit variance; None to
        choose that with the penalty.
    link : {"logit", "probit"}
    ties : {"rao-kupper", "davidson"} or None
    start : ndarray of shape (d,) or None
        Weights to start from.
    posterior : bool
    tol : float
    max_iter : int
    coordinates : RotatedCoordinates or None, default=None
        What an earlier fit to similar data had, to condition this one.
    prompt_effects : bool or None, default=False
        Whether prompts have intercepts; None to choose that with the penalty.
    """

    alpha: float | None
    whitening: float
    standardise: bool | None
    link: Link
    ties: Ties | None
    start: FloatArray | None
    posterior: bool
    tol: float
    max_iter: int
    coordinates: RotatedCoordinates | None = None
    prompt_effects: bool | None = False


def loss_of_wins(comparisons: Comparisons, link: Link = "logit") -> WinLoss:
    """Return the loss of wins without ties, flipped at times if comparisons say so."""
    clean = ProbitLoss() if link == "probit" else LogisticLoss()
    rate = comparisons.flip_rate
    return clean if rate is None else FlippedLoss(clean, rate)


def first_labels(comparisons: Comparisons, plan: FitPlan) -> tuple[LabelModel, WinLoss]:
    """Guess the label model, so that a penalty can be chosen."""
    if plan.ties is None:
        return LabelModel(plan.link, None), loss_of_wins(comparisons, plan.link)
    never = 1.0 if plan.ties == "rao-kupper" else 0.0
    labels = LabelModel(plan.link, plan.ties, never)
    if comparisons.tied is None:
        return labels, LogisticLoss()
    return labels, first_tie_loss(plan.ties, comparisons.tied, comparisons.weight)
