"""What the linear head is to fit, and its model of how labels come about."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.coordinates import RotatedCoordinates
from embrm.heads.linear.label_model import first_tie_loss
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

_FIRST_RATE = 0.1


@dataclass(frozen=True, eq=False)
class LabelModel:
    """How labels come about, given differences of reward.

    Attributes
    ----------
    link : {"logit", "probit"}
    ties : {"rao-kupper", "davidson"} or None
    tie_parameter : float
        Rao and Kupper's theta >= 1 or Davidson's nu >= 0; NaN where ties is None.
    rate : float in [0, 1/2)
        Flip rate; the mean over wins where annotators have their own.
    rates : ndarray of shape (n_annotators,)
        NaN for those without a win; empty where all have the same.
    """

    link: Link
    ties: Ties | None
    tie_parameter: float
    rate: float
    rates: FloatArray

    def loss(self, comparisons: Comparisons) -> WinLoss:
        """Make the loss of wins under these parameters."""
        if self.ties is not None:
            tied = comparisons.tied
            never = np.zeros(len(comparisons))
            return self.tie_loss(never if tied is None else tied) or LogisticLoss()
        clean = clean_loss(self.link)
        if self.rates.size and comparisons.annotator is not None:
            return FlippedLoss(clean, self.rates[comparisons.annotator])
        return FlippedLoss(clean, self.rate) if self.rate > 0 else clean

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
    noise : float or None
        None to estimate it.
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
    noise: float | None
    start: FloatArray | None
    posterior: bool
    tol: float
    max_iter: int
    coordinates: RotatedCoordinates | None = None
    prompt_effects: bool | None = False


def clean_loss(link: Link) -> LogisticLoss | ProbitLoss:
    """Return the loss of labels without ties or flips."""
    return ProbitLoss() if link == "probit" else LogisticLoss()


def first_labels(comparisons: Comparisons, plan: FitPlan) -> tuple[LabelModel, WinLoss]:
    """Guess the label model, so that a penalty can be chosen."""
    none = np.empty(0)
    rate = plan.noise or 0.0
    if plan.ties is None:
        labels = LabelModel(plan.link, None, np.nan, rate, none)
        if plan.noise is None and comparisons.annotator is not None:
            n_annotators = int(comparisons.annotator.max()) + 1
            labels = replace(labels, rates=np.full(n_annotators, _FIRST_RATE))
        return labels, labels.loss(comparisons)
    never = 1.0 if plan.ties == "rao-kupper" else 0.0
    labels = LabelModel(plan.link, plan.ties, never, rate, none)
    if comparisons.tied is None:
        return labels, LogisticLoss()
    return labels, first_tie_loss(plan.ties, comparisons.tied, comparisons.weight)
