"""Take length out of predicted attributes, by a measured amount."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from embrm._typing import FloatArray

_GRID = np.concatenate([np.arange(20) / 20, 2.0 ** np.arange(7)])
_BISECTIONS = 40


@dataclass(frozen=True, eq=False)
class LengthPenalty:
    """How much predicted length is subtracted from each attribute.

    Attributes
    ----------
    penalty : ndarray of shape (k,)
        lambda; negative where an attribute falls with length.
    before, after : ndarray of shape (k,)
        Spearman correlation with length; 0 for a constant attribute.
    """

    penalty: FloatArray
    before: FloatArray
    after: FloatArray


def find_length_penalty(
    attributes: FloatArray, predicted: FloatArray, length: FloatArray, target: float
) -> LengthPenalty:
    r"""Find the least :math:`\lambda_j` that takes length out of attribute j.

    :math:`a_j - \lambda_j \hat\ell` shall have a Spearman correlation of at most
    `target`, in magnitude, with the length :math:`\ell`. As in [1]_, lambda rises from
    0 in steps of 0.05; beyond 0.95 it doubles, and where a step oversteps zero by
    more than the target, the interval is halved.

    Parameters
    ----------
    attributes : ndarray of shape (n_items, k)
        In units of their standard deviation.
    predicted : ndarray of shape (n_items,)
        Length as predicted from the vectors, in units of its standard deviation:
        what will be subtracted of new items too.
    length : ndarray of shape (n_items,)
    target : float in [0, 1)

    Returns
    -------
    LengthPenalty
        Of the least correlation found, where the target cannot be reached because
        vectors do not tell the length.

    References
    ----------
    .. [1] Wang, Xiong, Xie, Zhao, Zhang (2024). Interpretable preferences via
       multi-objective reward modeling and mixture-of-experts. Findings of EMNLP.
       arXiv:2406.12845, section on verbosity.

    Examples
    --------
    >>> import numpy as np
    >>> length = np.arange(5.0) - 2.0
    >>> quality = np.array([1.0, 0.0, 0.5, 0.0, 1.0])
    >>> found = find_length_penalty((quality + length)[:, None], length, length, 0.03)
    >>> found.penalty.round(2), found.before.round(2), found.after.round(2)
    (array([1.]), array([0.97]), array([0.]))
    """
    ranks = rankdata(length)
    found = [_search(column, predicted, ranks, target) for column in attributes.T]
    before = [_spearman(column, ranks) for column in attributes.T]
    return LengthPenalty(
        np.array([penalty for penalty, _ in found]),
        np.array(before),
        np.array([after for _, after in found]),
    )


def _search(
    attribute: FloatArray, predicted: FloatArray, ranks: FloatArray, target: float
) -> tuple[float, float]:
    """Return lambda and the correlation that it leaves."""
    sign = -1.0 if _spearman(attribute, ranks) < 0 else 1.0

    def left(size: float) -> float:
        return sign * _spearman(attribute - sign * size * predicted, ranks)

    tried = list[tuple[float, float]]()
    for size in _GRID:
        tried.append((float(size), left(float(size))))
        if tried[-1][1] <= target:
            break
    if tried[-1][1] < -target:
        (low, _), (high, _) = tried[-2:]
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            tried.append((middle, left(middle)))
            if abs(tried[-1][1]) <= target:
                break
            low, high = (middle, high) if tried[-1][1] > 0 else (low, middle)
    size, after = min(tried, key=lambda pair: abs(pair[1]))
    return sign * size, sign * after


def _spearman(first: FloatArray, ranks: FloatArray) -> float:
    own = rankdata(first)
    own, other = own - own.mean(), ranks - ranks.mean()
    norm = float(np.sqrt((own @ own) * (other @ other)))
    return float(own @ other) / norm if norm > 0 else 0.0
