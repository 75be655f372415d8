"""Mean and standard deviation of the columns of an item matrix, in little memory."""

import numpy as np

from embrm._typing import FloatArray

_ROWS_AT_A_TIME = 512


def mean_and_scale(items: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute mean and standard deviation of each column, 1 where it is constant.

    Parameters
    ----------
    items : ndarray of shape (n_items, d)

    Returns
    -------
    mean, scale : ndarray of shape (d,), float64

    Examples
    --------
    >>> mean_and_scale(np.array([[0.0, 5.0], [4.0, 5.0]]))
    (array([2., 5.]), array([2., 1.]))
    """
    mean, deviation = mean_and_deviation(items)
    return mean, np.where(deviation == 0, 1.0, deviation)


def mean_and_deviation(items: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute mean and standard deviation of each column, 0 where it is constant."""
    mean = items.mean(axis=0, dtype=np.float64)
    center = mean.astype(items.dtype)
    square = np.zeros(items.shape[1])
    # In the precision of the items, few rows at a time: the sum over all is in float64.
    for start in range(0, len(items), _ROWS_AT_A_TIME):
        gap = items[start : start + _ROWS_AT_A_TIME] - center
        square += np.einsum("ij,ij->j", gap, gap)
    deviation = np.sqrt(square / len(items))
    # A constant column has a deviation of some rounding errors, not of zero.
    constant = deviation <= 1e-6 * np.abs(mean) + 1e-9 * deviation.max()
    return mean, np.where(constant, 0.0, deviation)


def has_ruling_column(deviation: FloatArray) -> bool:
    """Say whether one column varies more than all others together.

    Vectors of language models have none: whoever made such a column chose its scale.

    Examples
    --------
    >>> has_ruling_column(np.array([3.0, 1.0, 1.0]))
    True
    """
    variance = deviation**2
    return bool(2 * variance.max() > variance.sum())
