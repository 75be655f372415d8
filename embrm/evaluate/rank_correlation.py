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

from embrm._typing import AnyArray, FloatArray
from embrm.evaluate.inputs import check_choice, check_scores, item_codes


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
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(1, len(prompts)))
    correlate = _CORRELATIONS[kind]
    per_prompt = np.array(
        [correlate(first[rows], second[rows]) for rows in np.split(order, bounds)]
    )
    defined = per_prompt[np.isfinite(per_prompt)]
    return PromptCorrelation(
        mean=float(defined.mean()) if len(defined) else float("nan"),
        per_prompt=per_prompt,
        prompts=prompts,
        n_prompts=len(prompts),
        n_undefined=len(prompts) - len(defined),
        kind=kind,
    )


def kendall_tau_b(one: FloatArray, other: FloatArray) -> float:
    """Compute Kendall's tau-b of two arrays of shape (n,); NaN if one is constant."""
    agreement = untied_one = untied_other = 0
    for start in range(0, len(one), _BLOCK):
        rows = slice(start, start + _BLOCK)
        sign_one, sign_other = _signs(one, rows), _signs(other, rows)
        agreement += int(np.sum(sign_one * sign_other, dtype=np.int64))
        untied_one += int(np.count_nonzero(sign_one))
        untied_other += int(np.count_nonzero(sign_other))
    if not (untied_one and untied_other):
        return float("nan")
    return float(agreement / np.sqrt(float(untied_one) * float(untied_other)))


def spearman(one: FloatArray, other: FloatArray) -> float:
    """Compute Spearman's rho of two arrays of shape (n,); NaN if one is constant."""
    return pearson(rankdata(one), rankdata(other))


def pearson(one: FloatArray, other: FloatArray) -> float:
    """Compute Pearson's r of two arrays of shape (n,); NaN if one is constant."""
    first, second = _standardised(one), _standardised(other)
    return float(np.clip(np.mean(first * second), -1, 1))


def _standardised(values: FloatArray) -> FloatArray:
    """Scale to mean 0 and variance 1, or to NaN where all values are equal."""
    if values.min() == values.max():
        return np.full(len(values), np.nan)
    # Mapped to [0, 1] first: no square overflows, no small spread is rounded away.
    unit = values / np.abs(values).max()
    unit = (unit - unit.min()) / (unit.max() - unit.min())
    centred = unit - unit.mean()
    standardised: FloatArray = centred / np.sqrt(np.mean(centred**2))
    return standardised


def _signs(values: FloatArray, rows: slice) -> AnyArray:
    """Compare some values with all: 1 larger, -1 smaller, 0 equal, as int8."""
    block = values[rows, None]
    return (block > values).astype(np.int8) - (block < values).astype(np.int8)


# Rows of the comparison matrix held at once: 512 x 12,600 items are 6 MB.
_BLOCK = 512

_CORRELATIONS: dict[str, Callable[[FloatArray, FloatArray], float]] = {
    "kendall": kendall_tau_b,
    "spearman": spearman,
    "pearson": pearson,
}
