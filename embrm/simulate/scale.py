"""How gold is scaled before an annotator sees it.

A gold score has whatever unit its judge has, so a noise level means nothing without
one. Every annotator says what it divides gold differences by.
"""

from typing import Any, Literal, TypeAlias

import numpy as np

from embrm._typing import FloatArray
from embrm._validation import check_positive, invalid_input
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.layout import PromptLayout

Scale: TypeAlias = float | Literal["std", "within_prompt_std"]
"""What a gold difference is divided by: see `gold_scale`."""


def check_scale(scale: Any) -> None:
    """Refuse what is neither a known name nor a number > 0."""
    if isinstance(scale, str):
        if scale not in ("std", "within_prompt_std"):
            raise invalid_input(
                "scale 'std', 'within_prompt_std' or a number > 0",
                repr(scale)[:60],
                "use 'std' to divide gold by its standard deviation over the pool",
            )
        return
    check_positive(scale, "scale")


def gold_scale(pool: CandidatePool, scale: Scale) -> float:
    r"""Compute the number that gold differences are divided by.

    Parameters
    ----------
    pool : CandidatePool
        With gold.
    scale : {"std", "within_prompt_std"} or float > 0
        "std" is the standard deviation of gold over all items (:math:`1 / n`).
        "within_prompt_std" is the pooled one around the mean of each prompt,
        :math:`\sqrt{\sum_i (g_i - \bar g_{x(i)})^2 / (n - P)}` for n items and P
        prompts: one number, so that cross-prompt pairs have a scale too. A float is
        taken as it is, in units of gold.

    Returns
    -------
    float > 0, in units of gold

    Raises
    ------
    InvalidInputError
        If the pool has no gold, or gold does not vary (within prompts).

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(4), ["a", "a", "b", "b"], gold=[0, 2, 10, 12])
    >>> round(gold_scale(pool, "std"), 3)
    5.099
    >>> round(gold_scale(pool, "within_prompt_std"), 3)
    1.414
    >>> gold_scale(pool, 6.0)
    6.0
    """
    check_scale(scale)
    if not isinstance(scale, str):
        return float(scale)
    gold = require_gold(pool, f"scale={scale!r}")
    spread = float(np.std(gold)) if scale == "std" else _within_prompt_std(pool, gold)
    # A mean is rounded: equal scores may leave a spread of that order.
    if not spread > 1e-12 * float(np.abs(gold).max(initial=0.0)):
        where = "" if scale == "std" else " within prompts"
        raise invalid_input(
            f"gold that varies{where}, to be scaled by {scale!r}",
            "equal scores",
            "check the gold scores, or pass scale as a number",
        )
    return spread


def _within_prompt_std(pool: CandidatePool, gold: FloatArray) -> float:
    codes = PromptLayout.of(pool).codes
    means = np.bincount(codes, weights=gold) / pool.sizes
    freedom = len(pool) - len(pool.sizes)
    squares = float(np.square(gold - means[codes]).sum())
    return float(np.sqrt(squares / freedom)) if freedom else 0.0
