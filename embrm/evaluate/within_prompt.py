"""Scores of items beside those of the same prompt."""

import numpy as np

from embrm._typing import FloatArray, IntArray


def centred_on_prompt(values: FloatArray, codes: IntArray) -> FloatArray:
    """Subtract from values (n_items,) the mean of each item's prompt.

    Examples
    --------
    >>> import numpy as np
    >>> centred_on_prompt(np.array([1.0, 3.0, 10.0]), np.array([0, 0, 1]))
    array([-1.,  1.,  0.])
    """
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    centred: FloatArray = values - means[codes]
    return centred


def within_prompt_std(values: FloatArray, codes: IntArray) -> float:
    r"""Compute :math:`\sqrt{\sum_i (v_i - \bar v_{x(i)})^2 / (n - P)}` for P prompts.

    Zero where no prompt has two different values.

    Examples
    --------
    >>> import numpy as np
    >>> round(within_prompt_std(np.array([1.0, 3.0, 10.0]), np.array([0, 0, 1])), 3)
    1.414
    """
    freedom = len(values) - len(np.unique(codes))
    spread = np.sqrt(
        np.square(centred_on_prompt(values, codes)).sum() / max(freedom, 1)
    )
    # A mean is rounded: equal scores may leave a spread of that order.
    return float(spread) if spread > 1e-12 * np.abs(values).max() else 0.0
