"""Rank correlation of reward with gold, prompt by prompt.

Correlation over all items mixes prompts, whose gold levels differ; within a prompt it
says how well a head ranks the responses one has to choose among. Scores are compared
with scores: an argsort permutation is not a score.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import check_choice
from embrm.evaluate.inputs import check_scores, item_codes, prompts_by_size


@dataclass(frozen=True, eq=False)
class PromptCorrelation:
    """Correlation within each prompt.

    Attributes
    ----------
    mean : float in [-1, 1]
        Mean over the prompts where it is defined; NaN if there is none.
    per_prompt : ndarray of shape (n_prompts,)
        NaN where it is undefined: a single item, or a constant side.
    prompts : ndarray of shape (n_prompts,)
        Prompt ids, sorted: the order of `per_prompt`.
    n_prompts, n_undefined : int
        Number of prompts, and of those without a value.
    kind : str
        "kendall", "spearman" or "pearson".
    """

    mean: float
    per_prompt: FloatArray
    prompts: AnyArray
    n_prompts: int
    n_undefined: int
    kind: str

    def __str__(self) -> str:
        defined = self.n_prompts - self.n_undefined
        return (
            f"{self.mean:.3f} ({self.kind}, mean of {defined} prompts, "
            f"{self.n_undefined} undefined)"
        )


def prompt_rank_correlation(
    gold: ArrayLike, reward: ArrayLike, prompt_ids: ArrayLike, kind: str = "kendall"
) -> PromptCorrelation:
    r"""Compute the correlation of gold and reward within each prompt.

    Parameters
    ----------
    gold : array-like of shape (n_items,)
        The score treated as truth.
    reward : array-like of shape (n_items,)
        The head's reward, in any unit.
    prompt_ids : array-like of shape (n_items,)
        Which prompt each item answers; items of a prompt need not be adjacent.
    kind : {"kendall", "spearman"}, default="kendall"

    Returns
    -------
    PromptCorrelation
        Its `str` counts the undefined prompts; its `mean` leaves them out.

    Raises
    ------
    InvalidInputError
        On a wrong shape, a score that is not finite, or an unknown kind.

    Notes
    -----
    Kendall's tau-b, :math:`(C - D) / \sqrt{(N - T_g)(N - T_r)}` with C concordant and D
    discordant of N pairs, of which T are tied on each side: Kendall (1945), Biometrika
    33(3). Spearman's rho is the Pearson correlation of average ranks.

    Examples
    --------
    >>> result = prompt_rank_correlation(
    ...     [1, 2, 3, 1, 2, 5], [0.1, 0.3, 0.2, 7, 8, 0], list("aaabbc")
    ... )
    >>> result.per_prompt.round(3), result.n_undefined
    (array([0.333, 1.   ,   nan]), 1)
    """
    check_choice(kind, "kind", ("kendall", "spearman"))
    return correlate_by_prompt(gold, reward, prompt_ids, kind)


def correlate_by_prompt(
    one: ArrayLike, other: ArrayLike, prompt_ids: ArrayLike, kind: str
) -> PromptCorrelation:
    """Correlate two scores of items within each prompt; `kind` is already checked."""
    first = check_scores(one, "score")
    second = check_scores(other, "score", len(first))
    codes, prompts = item_codes(prompt_ids, len(first))
    correlate = _CORRELATIONS[kind]
    per_prompt = np.empty(len(prompts))
    for at, rows in prompts_by_size(codes):
        per_prompt[at] = correlate(first[rows], second[rows])
    defined = per_prompt[np.isfinite(per_prompt)]
    return PromptCorrelation(
        mean=float(defined.mean()) if len(defined) else float("nan"),
        per_prompt=per_prompt,
        prompts=prompts,
        n_prompts=len(prompts),
        n_undefined=len(prompts) - len(defined),
        kind=kind,
    )


def kendall_tau_b(one: FloatArray, other: FloatArray) -> FloatArray:
    """Compute Kendall's tau-b along the last axis; NaN where one is constant."""
    size = one.shape[-1]
    step = max(1, _COMPARISONS // max(1, one.size))
    agreement, untied_one, untied_other = np.zeros((3, *one.shape[:-1]))
    for start in range(0, size, step):
        rows = slice(start, start + step)
        sign_one, sign_other = _signs(one, rows), _signs(other, rows)
        agreement += np.sum(sign_one * sign_other, axis=(-2, -1), dtype=np.int64)
        untied_one += np.count_nonzero(sign_one, axis=(-2, -1))
        untied_other += np.count_nonzero(sign_other, axis=(-2, -1))
    with np.errstate(invalid="ignore"):
        return np.asarray(agreement / np.sqrt(untied_one * untied_other))


def spearman(one: FloatArray, other: FloatArray) -> FloatArray:
    """Compute Spearman's rho along the last axis; NaN where one is constant."""
    return pearson(rankdata(one, axis=-1), rankdata(other, axis=-1))


def pearson(one: FloatArray, other: FloatArray) -> FloatArray:
    """Compute Pearson's r along the last axis; NaN where one is constant."""
    product = _standardised(one) * _standardised(other)
    return np.asarray(np.clip(product.mean(axis=-1), -1, 1))


def _standardised(values: FloatArray) -> FloatArray:
    """Scale to mean 0 and variance 1, or to NaN where all values are equal."""
    # Mapped to [0, 1] first: no square overflows, no small spread is rounded away.
    with np.errstate(invalid="ignore"):
        unit = values / np.abs(values).max(axis=-1, keepdims=True)
        low, high = (end(axis=-1, keepdims=True) for end in (unit.min, unit.max))
        unit = (unit - low) / (high - low)
        centred = unit - unit.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True))
        standardised: FloatArray = centred / deviation
    return standardised


def _signs(values: FloatArray, rows: slice) -> AnyArray:
    """Compare some values with all: 1 larger, -1 smaller, 0 equal, as int8."""
    block, others = values[..., rows, None], values[..., None, :]
    return (block > others).astype(np.int8) - (block < others).astype(np.int8)


# Comparisons held at once: 6 million take 6 MB.
_COMPARISONS = 6_000_000

_CORRELATIONS: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "kendall": kendall_tau_b,
    "spearman": spearman,
    "pearson": pearson,
}


def centred_on_prompt(values: FloatArray, codes: IntArray) -> FloatArray:
    """Subtract from values (n_items,) the mean of each item's prompt.

    Examples
    --------
    >>> import numpy as np
    >>> centred_on_prompt(np.array([1.0, 3.0, 10.0]), np.array([0, 0, 1]))
    array([-1.,  1.,  0.])
    """
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    return np.asarray(values - means[codes])


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
