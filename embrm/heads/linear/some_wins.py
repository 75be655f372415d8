"""Take some of very many wins: those within a random set of prompt groups."""

from dataclasses import replace

import numpy as np

from embrm.heads.comparisons import Comparisons
from embrm.heads.validation_split import split_units


def some_wins(comparisons: Comparisons, n_wins: int) -> Comparisons:
    """Keep about `n_wins` wins, all those within some units of splitting.

    The penalty belongs to the prior and not to the number of wins: what is best for a
    large part is about the best for all. Whole units are kept, so that folds by unit
    hold out what they would of all wins.

    Parameters
    ----------
    comparisons : Comparisons
    n_wins : int, >= 1

    Returns
    -------
    Comparisons
        With the items of these wins alone; the same one if it has no more than
        `n_wins`. The draw is always the same for the same units.

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads.comparisons import make_comparisons
    >>> pairs = Pairs(np.eye(60), np.arange(60).reshape(30, 2), np.arange(60) // 6)
    >>> few = some_wins(make_comparisons(pairs), 10)
    >>> len(few), few.items.shape
    (12, (24, 60))
    """
    if len(comparisons) <= n_wins:
        return comparisons
    units = split_units(comparisons)
    draw = np.random.default_rng(0).permutation(int(units.max()) + 1)[units]
    last = np.maximum(draw[comparisons.winner], draw[comparisons.loser])
    kept = last <= np.sort(last)[n_wins - 1]
    wins = comparisons.take(kept)
    rows, ends = np.unique(np.stack([wins.winner, wins.loser]), return_inverse=True)
    winner, loser = ends.reshape(2, -1)
    groups = comparisons.groups
    return replace(
        wins,
        items=comparisons.items[rows],
        winner=winner,
        loser=loser,
        groups=None if groups is None else groups[rows],
    )
