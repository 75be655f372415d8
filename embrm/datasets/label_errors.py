"""Labels that look wrong to a head that was not fitted on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray
from embrm._validation import as_numbers, check_labels
from embrm.exceptions import invalid_input


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """Pairs whose label a held-out head contradicts with confidence.

    Attributes
    ----------
    pairs : ndarray of int of shape (n_errors,)
        Positions, the least probable label first.
    probability : ndarray of shape (n_errors,)
        Held-out probability of each of their labels, in [0, 0.5).
    threshold : float in [0.5, 1]
        Probability of the contrary from which a label looks wrong: the mean
        probability that the head gives to labels.
    n_judged : int
        Pairs that are no tie and have a probability.
    """

    pairs: IntArray
    probability: FloatArray
    threshold: float
    n_judged: int

    def __len__(self) -> int:
        return len(self.pairs)


def find_label_errors(y: ArrayLike, probability: ArrayLike) -> LabelErrors:
    r"""Find labels that look wrong, by confident learning.

    A label looks wrong where its contrary is at least as probable as labels are on
    average. This is the rule of [1]_ for two classes; a pair and its mirror are one
    example of each, so both classes have the same threshold, and it does not matter
    which item is first.

    Parameters
    ----------
    y : array-like of shape (n_pairs,) in [0, 1]
        Probability that first is preferred, as labelled; ties (0.5) are left out.
    probability : array-like of shape (n_pairs,) in [0, 1]
        P(first preferred) of a head that was not fitted on the pair's prompt; NaN
        where there is none.

    Returns
    -------
    LabelErrors

    Raises
    ------
    InvalidInputError
        On a wrong shape or range.

    Notes
    -----
    A list to look at, from the top; heads err too. Of 20,000 real pairs with MiniLM
    vectors and 2%, 10% or 20% of labels turned, it held 54% to 58% of these, and 11%,
    39% and 56% of it were turned; of its first hundred, 39%, 76% and 90%
    (`benchmarks/datasets.py label-errors`).

    References
    ----------
    .. [1] Northcutt, Jiang and Chuang (2021), Confident Learning: Estimating
       Uncertainty in Dataset Labels, arXiv:1911.00068, equation 2.

    Examples
    --------
    >>> found = find_label_errors([1, 1, 0, 1], [0.9, 0.8, 0.1, 0.05])
    >>> found.pairs.tolist(), round(found.threshold, 4)
    ([3], 0.6625)
    """
    given = as_numbers(probability, "probability")
    labels = check_labels(y, n_pairs=len(given))
    if ((given < 0) | (given > 1)).any():
        raise invalid_input(
            expected="probabilities in [0, 1], NaN where unknown",
            got=f"another value at pair {int(np.argmax((given < 0) | (given > 1)))}",
            fix="pass column 1 of predict_proba, from held-out predictions",
        )
    judged = np.flatnonzero((labels != 0.5) & ~np.isnan(given))
    of_label = np.where(labels > 0.5, given, 1 - given)[judged]
    threshold = max(float(of_label.mean()), 0.5) if len(judged) else 1.0
    wrong = np.flatnonzero((1 - of_label >= threshold) & (of_label < 0.5))
    wrong = wrong[np.argsort(of_label[wrong], kind="stable")]
    return LabelErrors(judged[wrong], of_label[wrong], threshold, len(judged))
