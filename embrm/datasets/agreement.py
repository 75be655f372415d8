"""Agreement of annotators: Krippendorff's alpha, of labels and of ratings."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_choice
from embrm.exceptions import invalid_input


def krippendorff_alpha(
    units: ArrayLike, values: ArrayLike, level: str = "nominal"
) -> float:
    r"""Compute how far annotators agree beyond chance.

    Parameters
    ----------
    units : array-like of shape (n_judgements,)
        What each judgement is about, e.g. the number of a pair; who judged does not
        matter, but no one should judge a unit twice.
    values : array-like of float of shape (n_judgements,)
        The label or rating given; NaN judgements are left out.
    level : {"nominal", "interval"}, default="nominal"
        Whether two values are merely equal or not, as labels are, or differ by their
        squared difference, as ratings do.

    Returns
    -------
    float
        :math:`\alpha = 1 - D_o / D_e <= 1`: 1 for full agreement, 0 for what chance
        gives, below 0 for less. Units judged once are left out. NaN where no unit was
        judged twice, or all values are equal.

    Raises
    ------
    InvalidInputError
        If the shapes differ, or the level is unknown.

    References
    ----------
    Krippendorff (2011), Computing Krippendorff's alpha-reliability,
    https://repository.upenn.edu/asc_papers/43.

    Examples
    --------
    >>> units, values = [0, 0, 1, 1, 2, 2, 3, 3], [1, 1, 0, 0, 1, 1, 0, 1]
    >>> round(krippendorff_alpha(units, values), 3)
    0.533
    """
    check_choice(level, "level", ("nominal", "interval"))
    given = np.asarray(values, dtype=np.float64)
    about = np.asarray(units)
    if given.ndim != 1 or about.shape != given.shape:
        raise invalid_input(
            expected="units and values of one length",
            got=f"shapes {about.shape} and {given.shape}",
            fix="pass one entry of each for every judgement",
        )
    kept = ~np.isnan(given)
    numbers = np.asarray(pd.factorize(about[kept])[0], dtype=np.intp)
    given = given[kept]
    repeated = np.bincount(numbers)[numbers] > 1 if len(numbers) else kept[:0]
    numbers = np.unique(numbers[repeated], return_inverse=True)[1]
    given = given[repeated]
    if not len(given):
        return float("nan")
    if level == "nominal":
        observed, expected = _nominal(numbers, given)
    else:
        observed, expected = _interval(numbers, given)
    return 1 - observed / expected if expected > 0 else float("nan")


def _nominal(units: IntArray, values: FloatArray) -> tuple[float, float]:
    """Count the ordered pairs of judgements that differ, observed and expected."""
    sizes = np.bincount(units)
    codes = np.unique(values, return_inverse=True)[1]
    cells, counts = np.unique(
        units * (int(codes.max()) + 1) + codes, return_counts=True
    )
    equal = np.bincount(cells // (int(codes.max()) + 1), weights=counts**2.0)
    observed = ((sizes**2 - equal) / (sizes - 1)).sum()
    n, totals = len(values), np.bincount(codes)
    return float(observed), float((n**2 - (totals**2.0).sum()) / (n - 1))


def _interval(units: IntArray, values: FloatArray) -> tuple[float, float]:
    """Sum the squared differences of judgements, observed and expected."""
    # Around the mean, or large ratings would cancel badly.
    centred = values - values.mean()
    sizes = np.bincount(units)
    sums = np.bincount(units, weights=centred)
    squares = np.bincount(units, weights=centred**2)
    observed = ((2 * sizes * squares - 2 * sums**2) / (sizes - 1)).sum()
    n = len(values)
    expected = 2 * (n * (centred**2).sum() - centred.sum() ** 2) / (n - 1)
    return max(float(observed), 0.0), float(expected)
