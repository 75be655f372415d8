"""The one-standard-error rule, which chooses capacity from held-out losses."""

import numpy as np

from embrm._typing import FloatArray


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
