"""How often labels disagree with gold, as drawn and as expected."""

import numpy as np

from embrm._typing import FloatArray


def gold_error(labels: FloatArray, gold_delta: FloatArray) -> float:
    r"""Compute the share of labels that disagree with gold.

    Parameters
    ----------
    labels : ndarray of shape (n_pairs,) in [0, 1]
        Drawn labels, or probabilities: then the result is the expected share.
    gold_delta : ndarray of shape (n_pairs,)
        In any unit; only its sign matters.

    Returns
    -------
    float in [0, 1]
        Mean of :math:`|y - 1[\Delta > 0]|` over the pairs with different gold: a tie
        is half an error, a soft label as much of one as it gives to the wrong side.
        NaN where no pair has different gold.

    Examples
    --------
    >>> gold_error(np.array([1.0, 1.0, 0.5, 0.0]), np.array([2.0, -1.0, 3.0, 0.0]))
    0.5
    """
    differ = gold_delta != 0
    n_differ = int(np.count_nonzero(differ))
    if not n_differ:
        return float("nan")
    disagreement = np.abs(labels - (gold_delta > 0))
    return float(np.sum(disagreement, where=differ)) / n_differ
