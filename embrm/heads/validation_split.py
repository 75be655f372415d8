"""Splits inside a head, and choices by what they hold out.

Validation wins share no prompt group with training wins.

The unit of a split is the prompt group where prompts are known, else the connected
component of the comparison graph. A win is held out if both of its items are, and
trained on if neither is; with cross-prompt pairs some wins are mixed and belong to
neither side. Whatever is held out is so with its mirror, since both have the same two
items.
"""

from dataclasses import replace

import numpy as np

from embrm._typing import AnyArray, BoolArray, FloatArray, IntArray
from embrm.heads.comparisons import Comparisons

_DOMINANT = 0.5
"""A unit with more than this share of all item occurrences cannot be split off."""


def grouped_folds(
    comparisons: Comparisons, n_folds: int
) -> list[tuple[BoolArray, BoolArray]]:
    """Divide wins into folds for cross-validation, without randomness.

    Parameters
    ----------
    comparisons : Comparisons
    n_folds : int, >= 2
        How many folds to make; fewer come back if there are fewer units, or if a fold
        would leave nothing to train on or nothing to validate on.

    Returns
    -------
    list of (train, validation)
        Boolean masks of shape (n_wins,), never both true. With pairs of one prompt
        they are complementary and every win is validated in one fold. With
        cross-prompt pairs about 1 / n_folds**2 of the wins are validated in a fold
        and (1 - 1 / n_folds)**2 are trained on.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads.comparisons import make_comparisons
    >>> pairs = Pairs(np.eye(4), [[0, 1], [2, 3]], prompt_ids=["a", "a", "b", "b"])
    >>> for train, validation in grouped_folds(make_comparisons(pairs), 2):
    ...     print(train, validation)
    [False  True] [ True False]
    [ True False] [False  True]
    """
    units = split_units(comparisons)
    size = _unit_sizes(comparisons, units)
    n_folds = min(n_folds, len(size))
    fold = balanced_folds(size, n_folds)[units]
    splits = [_split(comparisons, fold == k) for k in range(n_folds)]
    return [(t, v) for t, v in splits if t.any() and v.any()]


def holdout(
    comparisons: Comparisons, fraction: float, rng: np.random.Generator
) -> tuple[BoolArray, BoolArray]:
    """Hold out a random set of units for early stopping or calibration.

    Units are drawn until `fraction` of the wins are held out, or until the units hold
    twice `fraction` of all item occurrences: cross-prompt data would otherwise lose
    most of its training wins as mixed ones.

    Parameters
    ----------
    comparisons : Comparisons
    fraction : float in (0, 1)
        Share of the wins to hold out.
    rng : numpy.random.Generator

    Returns
    -------
    train, validation : ndarray of bool of shape (n_wins,)
        Never both true. `train` is all true and `validation` all false where the data
        cannot be split, e.g. a single pair.
    """
    units = split_units(comparisons)
    n_units, n_wins = int(units.max()) + 1, len(comparisons)
    draw = rng.permutation(n_units)[units]
    ends = np.stack([draw[comparisons.winner], draw[comparisons.loser]])
    n_inside = np.cumsum(np.bincount(ends.max(axis=0), minlength=n_units))
    n_touched = np.cumsum(np.bincount(ends.ravel(), minlength=n_units))
    enough = (n_inside >= fraction * n_wins) | (n_touched >= 4 * fraction * n_wins)
    n_drawn = int(np.argmax(enough)) + 1
    train, validation = _split(comparisons, draw < n_drawn)
    if train.any() and validation.any():
        return train, validation
    return np.ones(n_wins, dtype=bool), np.zeros(n_wins, dtype=bool)


def share_across_prompts(comparisons: Comparisons) -> float:
    """Compute the share of the weight that is on wins between two prompts.

    Where it is more than half, the loss of held-out prompts would be about how good
    prompts are, which cancels where responses to one prompt are compared: hold out
    items instead. It is 0 where prompts are unknown.
    """
    groups = comparisons.groups
    if groups is None:
        return 0.0
    is_across = groups[comparisons.winner] != groups[comparisons.loser]
    return float(comparisons.weight @ is_across / comparisons.weight.sum())


def held_out_by_item(comparisons: Comparisons) -> Comparisons:
    """Forget the prompts where most wins are across them, so that items are held out.

    Prompt effects are then learned from other items of the same prompts, and held-out
    wins measure differences between responses. Items that are linked by wins are held
    out together, unless most are: apart, no fold of n would hold out more than 1 / n^2
    of the wins.
    """
    if share_across_prompts(comparisons) <= 0.5:
        return comparisons
    return replace(comparisons, groups=None)


def split_units(comparisons: Comparisons) -> IntArray:
    """Say which unit of splitting each item belongs to.

    Parameters
    ----------
    comparisons : Comparisons

    Returns
    -------
    ndarray of int of shape (n_items,)
        The prompt group where groups are known, else the connected component of the
        comparison graph; the item itself where one such unit holds more than half of
        the data (a single prompt, one connected tournament).
    """
    units = comparisons.units()
    size = _unit_sizes(comparisons, units)
    if size.max() > _DOMINANT * size.sum():
        return np.arange(len(comparisons.items))
    return units


def strongest_within_one_error(losses: FloatArray, weight: FloatArray) -> int:
    """Choose the strongest penalty whose loss is within one error of the least.

    Noisy labels make the minimum shallow, and too weak a penalty costs more order
    consistency than too strong a one [1]_.

    Parameters
    ----------
    losses : ndarray of shape (n_tried, n_units)
        Held-out loss of each unit, penalties from strong to weak.
    weight : ndarray of shape (n_units,), >= 0, not all zero

    Returns
    -------
    int
        Row of `losses`. The error is that of the difference to the best row, over the
        same units.

    References
    ----------
    .. [1] Breiman, Friedman, Olshen, Stone (1984). Classification and regression
       trees, section 3.4.3: the one-standard-error rule.

    Examples
    --------
    >>> losses = np.array([[0.7, 0.7], [0.1, 0.4], [0.2, 0.2]])
    >>> strongest_within_one_error(losses, np.ones(2))
    1
    """
    means = losses @ weight / weight.sum()
    best = int(np.argmin(means))
    excess = losses - losses[best] - (means - means[best])[:, None]
    error = np.sqrt(excess**2 @ weight**2) / weight.sum()
    return int(np.argmax(means <= means[best] + error))


def balanced_folds(size: IntArray, n_folds: int) -> IntArray:
    """Deal units out, the largest first, to and fro: folds are of similar size.

    Examples
    --------
    >>> balanced_folds(np.array([5, 9, 1, 7]), 2)
    array([1, 0, 0, 1])
    """
    turn = np.arange(len(size)) % (2 * n_folds)
    fold = np.empty(len(size), dtype=np.intp)
    fold[np.argsort(-size, kind="stable")] = np.minimum(turn, 2 * n_folds - 1 - turn)
    return fold


def _unit_sizes(comparisons: Comparisons, units: IntArray) -> IntArray:
    """Count how often the items of each unit occur in a win."""
    ends: AnyArray = np.concatenate([comparisons.winner, comparisons.loser])
    return np.bincount(units[ends], minlength=int(units.max()) + 1)


def _split(
    comparisons: Comparisons, held_out: BoolArray
) -> tuple[BoolArray, BoolArray]:
    first, second = held_out[comparisons.winner], held_out[comparisons.loser]
    return ~(first | second), first & second


def subsample_comparisons(comparisons: Comparisons, n_wins: int) -> Comparisons:
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
        With the items of these wins alone, if prompts are known; the same one if it has
        no more than `n_wins`. The draw is always the same for the same units.

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads.comparisons import make_comparisons
    >>> pairs = Pairs(np.eye(60), np.arange(60).reshape(30, 2), np.arange(60) // 6)
    >>> few = subsample_comparisons(make_comparisons(pairs), 10)
    >>> len(few), few.items.shape
    (12, (24, 60))
    """
    if len(comparisons) <= n_wins:
        return comparisons
    units = split_units(comparisons)
    draw = np.random.default_rng(0).permutation(int(units.max()) + 1)[units]
    last = np.maximum(draw[comparisons.winner], draw[comparisons.loser])
    kept = last <= np.sort(last)[n_wins - 1]
    wins, groups = comparisons.take(kept), comparisons.groups
    if groups is None:
        return wins
    rows, ends = np.unique(np.stack([wins.winner, wins.loser]), return_inverse=True)
    winner, loser = ends.reshape(2, -1)
    return replace(
        wins,
        items=comparisons.items[rows],
        winner=winner,
        loser=loser,
        groups=groups[rows],
    )
