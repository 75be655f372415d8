"""Order consistency: the share of pairs that a head orders as the reference does."""

import numpy as np
from numpy.typing import ArrayLike

from embrm._validation import check_labels, check_sample_weight
from embrm.exceptions import InvalidInputError, three_parts


def order_consistency(
    delta: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> float:
    """Compute the share of pairs ordered as the labels order them.

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
        Reward of first minus reward of second, in nats.
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Probability that first is preferred; pairs with y = 0.5 are left out. None
        means that first is always preferred.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional

    Returns
    -------
    float in [0, 1]
        A tie of the head (delta = 0) counts one half.

    Raises
    ------
    InvalidInputError
        If no labelled pair is left, or a delta is NaN.

    Examples
    --------
    >>> order_consistency([2.0, -1.0, 0.0, 3.0], [1, 1, 0, 0.5])
    0.5
    """
    differences = np.asarray(delta, dtype=np.float64)
    labels = check_labels(y, n_pairs=len(differences))
    weights = check_sample_weight(sample_weight, n_pairs=len(differences))
    if np.isnan(differences).any():
        raise InvalidInputError(
            three_parts(
                expected="delta without NaN",
                got=f"NaN at pair {int(np.argmax(np.isnan(differences)))}",
                cure="score every item before comparing",
            )
        )
    weights = np.where(labels == 0.5, 0.0, weights)
    if not weights.any():
        raise InvalidInputError(
            three_parts(
                expected="at least one pair whose label is not a tie",
                got=f"{len(differences)} pairs, none of them",
                cure="pass pairs with y above or below 0.5",
            )
        )
    right = (np.sign(differences) * np.sign(labels - 0.5) + 1) / 2
    return float(np.average(right, weights=weights))
