"""What each member of an ensemble holds out, and a linear head for the same wins."""

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.bradley_terry import LinearBradleyTerry
from embrm.heads.siamese._training import Split
from embrm.heads.validation_split import held_out_by_item, holdout

_FEWEST_HELD_OUT = 10
"""Wins held out by any member below which nothing is held out."""

_ENOUGH_TO_MIX = 1000
"""Held-out wins by which two weights are chosen, if there are so many."""

TOLERANCE = 1e-4
"""Of linear heads: rewards are within a thousandth of those of a longer fit."""


def draw_splits(
    comparisons: Comparisons,
    fraction: float,
    n_members: int,
    rng: np.random.Generator,
) -> list[Split]:
    """Draw the wins that each member holds out, at random and apart from the others'.

    Prompt groups are held out whole, so that new prompts are what counts. Not so where
    most wins are across prompts: there the held-out loss would be about how good
    prompts are, which cancels where responses to one prompt are compared. Then items
    are held out, and what their prompts are worth is learned from others.

    Parameters
    ----------
    comparisons : Comparisons
    fraction : float in (0, 1)
    n_members : int
    rng : numpy.random.Generator

    Returns
    -------
    list of (train, validation)
        As `holdout` returns them, one for each member; empty if fewer than 10 wins
        would be held out by any.
    """
    comparisons = held_out_by_item(comparisons)
    splits = [holdout(comparisons, fraction, rng) for _ in range(n_members)]
    held_out = np.stack([validation for _, validation in splits])
    enough = held_out.any(axis=0).sum() >= _FEWEST_HELD_OUT
    return splits if enough and held_out.any(axis=1).all() else []


def enough_splits(splits: list[Split]) -> list[Split]:
    """Keep as many splits as it takes to choose weights by their held-out wins."""
    n_before = np.cumsum([0, *(int(validation.sum()) for _, validation in splits)])
    return [
        split for split, n in zip(splits, n_before, strict=False) if n < _ENOUGH_TO_MIX
    ]


def linear_deltas(
    linear: LinearBradleyTerry, comparisons: Comparisons, splits: list[Split]
) -> FloatArray:
    """Compute the delta of held-out wins, by linear heads that did not see them.

    Parameters
    ----------
    linear : LinearBradleyTerry
        Fitted to all wins with `warm_start`: the other fits take its penalty and
        start from its weights.
    comparisons : Comparisons
    splits : list of (train, validation)

    Returns
    -------
    ndarray of shape (n_held_out,)
        In the order of splits, then of wins.
    """
    head = linear.with_selected_params(tol=TOLERANCE)
    deltas = []
    for train, validation in splits:
        head.coef_, head.coordinates_ = linear.coef_, linear.coordinates_
        head.fit_comparisons(comparisons.take(train))
        held_out = comparisons.take(validation)
        rows = np.stack([held_out.winner, held_out.loser])
        # The networks, too, know from other items what these prompts are worth.
        first, second = head.reward_in_training(comparisons, rows)
        deltas.append(first - second)
    return np.concatenate(deltas)
