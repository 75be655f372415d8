"""Weights that undo how pairs were chosen, where chance chose them."""

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray
from embrm._validation import as_numbers
from embrm.exceptions import invalid_input


def inverse_propensity(propensity: ArrayLike) -> FloatArray:
    """Weigh labelled pairs by 1 / (their chance of being chosen), with mean 1.

    Parameters
    ----------
    propensity : array-like of shape (n_pairs,), in (0, 1]
        As the column `propensity` of labels: NaN where a strategy chose greedily.

    Returns
    -------
    ndarray of shape (n_pairs,), > 0
        The `sample_weight` of `fit`.

    Raises
    ------
    InvalidInputError
        If some pair was chosen greedily: others like it had no chance, and no weight
        can stand for them.

    Examples
    --------
    >>> inverse_propensity([0.1, 0.1, 0.2]).round(2)
    array([1.2, 1.2, 0.6])
    """
    chance = as_numbers(propensity, "propensity")
    bad = ~((chance > 0) & (chance <= 1))
    if bad.any():
        raise invalid_input(
            "pairs that were chosen by chance, with propensities in (0, 1]",
            f"{int(bad.sum())} of {len(chance)} chosen greedily or without a record",
            "keep the rows whose strategy is 'random', or fit without these weights",
        )
    weight = 1 / chance
    return np.asarray(weight / weight.mean()) if len(weight) else weight
