"""A linear Bradley-Terry fit to start a nonlinear head from, cross-fitted.

Trees on top of a linear fit are grown on its residuals. On its own training wins these
are too small, the smaller the more features there are, so the logits passed on are
cross-fitted: each item is scored by a fit without any of its wins.
"""

from dataclasses import dataclass

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.bradley_terry import LinearBradleyTerry
from embrm.heads.validation_split import grouped_folds, held_out_by_item
from embrm.heads.win_loss import best_scale

_N_FOLDS = 5
_LOG_SCALES = (-0.7, 10.0)


@dataclass(frozen=True, eq=False)
class LinearStart:
    """A linear head, and how far to trust it.

    Attributes
    ----------
    head : LinearBradleyTerry
        Fitted to all wins.
    scale : float > 0
        What its rewards are multiplied by for the least out-of-fold log loss: the
        penalty that "auto" chooses orders items well and states deltas too small.
    logit : ndarray of shape (n_wins,)
        Scaled out-of-fold delta of each win, in nats, with effects of prompts where
        the head has them; margins are not subtracted.
    """

    head: LinearBradleyTerry
    scale: float
    logit: FloatArray

    def reward(self, items: FloatArray) -> FloatArray:
        """Score items, (n_items, d) -> (n_items,), in nats."""
        return self.scale * self.head.reward(items)


def fit_linear_start(comparisons: Comparisons) -> LinearStart:
    """Fit a linear head with automatic penalty, and score its wins out of fold.

    Parameters
    ----------
    comparisons : Comparisons

    Returns
    -------
    LinearStart
        With scale 1 and in-sample logits where the wins cannot be divided into folds.
    """
    head = LinearBradleyTerry(posterior=False).fit_comparisons(comparisons)
    items = np.arange(len(comparisons.items))
    reward = head.reward_in_training(comparisons, items)
    # With effects of prompts items are held out, so that these are known from others.
    units = held_out_by_item(comparisons) if head.prompt_effects_ else comparisons
    folds = grouped_folds(units, _N_FOLDS)
    if len(folds) < 2:
        return LinearStart(head, 1.0, _delta(comparisons, reward))
    same = head.with_selected_params()
    for train, _ in folds:
        part = comparisons.take(train)
        unseen = np.setdiff1d(items, [part.winner, part.loser])
        fitted = same.fit_comparisons(part)
        reward[unseen] = fitted.reward_in_training(comparisons, unseen)
    logit = _delta(comparisons, reward)
    doubt = 1.0 / (float(comparisons.weight.sum()) + 2.0)
    scale = best_scale(logit, comparisons, _LOG_SCALES, doubt=doubt)
    return LinearStart(head, scale, scale * logit)


def _delta(comparisons: Comparisons, reward: FloatArray) -> FloatArray:
    return reward[comparisons.winner] - reward[comparisons.loser]
