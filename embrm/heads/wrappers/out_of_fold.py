"""Deltas of wins that a head was not fitted on, for what is learned on top of heads."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import Comparisons
from embrm.heads.validation_split import grouped_folds
from embrm.heads.wrappers.nested import delta_of


class HeldOut(NamedTuple):
    """Held-out wins: delta of winner and loser, weight, and number of the fold."""

    delta: FloatArray
    weight: FloatArray
    fold: IntArray


def score_out_of_fold(
    fit: Callable[[Comparisons], RewardHead], comparisons: Comparisons, n_folds: int
) -> HeldOut:
    """Score every fold's held-out wins by a head fitted on the others.

    Parameters
    ----------
    fit : callable
        Fits a new head to some of the comparisons.
    comparisons : Comparisons
    n_folds : int, >= 2
        Of whole prompt groups; see `grouped_folds`.

    Returns
    -------
    HeldOut
        In the same order for every head; empty where the wins cannot be divided.

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads import LinearBradleyTerry
    >>> from embrm.heads.comparisons import make_comparisons
    >>> items = np.arange(12.0)[:, None]
    >>> pairs = Pairs(items, np.arange(12).reshape(6, 2))
    >>> held_out = score_out_of_fold(
    ...     LinearBradleyTerry(alpha=1.0).fit_comparisons, make_comparisons(pairs), 3
    ... )
    >>> held_out.fold
    array([0, 0, 1, 1, 2, 2])
    >>> bool((held_out.delta > 0).all())  # the first item was preferred in each fold
    True
    """
    parts = []
    for n, (train, held_out) in enumerate(grouped_folds(comparisons, n_folds)):
        wins = comparisons.take(held_out)
        head = fit(comparisons.take(train))
        rows, ends = np.unique([wins.winner, wins.loser], return_inverse=True)
        delta = delta_of(head, wins.items[rows], ends.reshape(2, -1).T)
        parts.append((delta, wins.weight, np.full(len(wins), n)))
    if not parts:
        return HeldOut(np.empty(0), np.empty(0), np.empty(0, dtype=np.intp))
    return HeldOut(*(np.concatenate(column) for column in zip(*parts, strict=True)))
