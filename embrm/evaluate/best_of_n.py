"""Best of n: what one gets by taking the response with the highest reward among n."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray, RandomState
from embrm.evaluate.inputs import check_count, check_scores, item_codes
from embrm.evaluate.resampling import PromptResampler

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class BestOfNCurve:
    """Expected gold of the best of n, for n = 1..K.

    Attributes
    ----------
    n : ndarray of int of shape (K,)
    mean : ndarray of shape (K,)
        Expected gold of the pick, in units of gold, averaged over the prompts that
        have at least n items. `mean[0]` is the mean gold of a random pick.
    low, high : ndarray of shape (K,)
        Pointwise percentile band from resampled prompts; NaN where fewer than two
        prompts have n items.
    n_prompts : ndarray of int of shape (K,)
        How many prompts have at least n items.
    level : float
        Confidence level of the band.
    """

    n: IntArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    n_prompts: IntArray
    level: float

    @property
    def kl(self) -> FloatArray:
        r"""Upper bound of the pick's divergence from one draw, in nats.

        :math:`\log n - (n - 1) / n`, the usual horizontal axis: Gao et al. (2023),
        arXiv:2210.10760.
        """
        bound: FloatArray = np.log(self.n) - (self.n - 1) / self.n
        return bound

    def to_frame(self) -> "pd.DataFrame":
        """Return one row per n: n, kl, mean, low, high, n_prompts."""
        import pandas as pd

        names = ["n", "kl", "mean", "low", "high", "n_prompts"]
        return pd.DataFrame({name: getattr(self, name) for name in names})


def best_of_n_curve(
    gold: ArrayLike,
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    n_max: int | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> BestOfNCurve:
    r"""Compute the exact expected gold of the best of n, without resampling responses.

    Parameters
    ----------
    gold : array-like of shape (n_items,)
        The score treated as truth, in any unit.
    reward : array-like of shape (n_items,)
        The head's reward, by which the best of n is picked.
    prompt_ids : array-like of shape (n_items,)
        Which prompt each item answers; items of a prompt need not be adjacent.
    n_max : int >= 1, optional
        Largest n; None (or more than there is) means the size K of the largest prompt.
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
        Resamples of prompts, for the band alone.
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    BestOfNCurve
        Where prompts differ in size, the mean at n is over those with at least n
        items: it may jump where a prompt drops out (`n_prompts` says where).

    Raises
    ------
    InvalidInputError
        On a wrong shape, a score that is not finite, or n_max < 1.

    Notes
    -----
    Of the subsets of n of a prompt's K items, the item with the i-th smallest reward is
    best in :math:`\binom{i-1}{n-1}` of :math:`\binom{K}{n}`; items tied in reward share
    equally what they win together. This is the unbiased estimator of Nakano et al.
    (2021, arXiv:2112.09332) and Gao et al. (2023, arXiv:2210.10760); shuffling the
    responses a hundred times adds noise to it and nothing else. The share is carried
    from n to n + 1 by a ratio, so that nothing overflows.

    Examples
    --------
    >>> curve = best_of_n_curve([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], ["a", "a", "a"])
    >>> curve.mean.round(3)
    array([2.   , 2.667, 3.   ])
    """
    true = check_scores(gold, "gold")
    picked_by = check_scores(reward, "reward", len(true))
    codes, prompts = item_codes(prompt_ids, len(true))
    sizes = np.bincount(codes)
    longest = int(sizes.max())
    n_max = longest if n_max is None else min(check_count(n_max, "n_max", 1), longest)
    curves = _curves(_by_rank(true, picked_by, codes), sizes, n_max)
    resampler = PromptResampler(
        np.arange(len(prompts)),
        n_resamples=n_resamples,
        level=level,
        random_state=random_state,
    )
    n_prompts = np.isfinite(curves).sum(axis=0)
    low, high = _band(curves, resampler)
    return BestOfNCurve(
        n=np.arange(1, n_max + 1),
        mean=np.nansum(curves, axis=0) / n_prompts,
        low=np.where(n_prompts > 1, low, np.nan),
        high=np.where(n_prompts > 1, high, np.nan),
        n_prompts=n_prompts,
        level=resampler.level,
    )


def _by_rank(gold: FloatArray, reward: FloatArray, codes: IntArray) -> FloatArray:
    """Sort gold by prompt and ascending reward; tied items get their mean gold."""
    order = np.lexsort((reward, codes))
    sorted_codes, sorted_reward = codes[order], reward[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(sorted_codes) != 0) | (sorted_reward[1:] != sorted_reward[:-1])
    tie = np.cumsum(new) - 1
    mean = np.bincount(tie, weights=gold[order]) / np.bincount(tie)
    ranked: FloatArray = mean[tie]
    return ranked


def _curves(ranked_gold: FloatArray, sizes: IntArray, n_max: int) -> FloatArray:
    """Compute the curve of each prompt, shape (n_prompts, n_max), NaN beyond its K."""
    curves = np.full((len(sizes), n_max), np.nan)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for size in np.unique(sizes):
        # All prompts with the same K at once: no Python loop over prompts.
        prompts = np.flatnonzero(sizes == size)
        gold = ranked_gold[starts[prompts, None] + np.arange(size)]
        share = np.full(size, 1 / size)
        curves[prompts, 0] = gold @ share
        for n in range(2, min(int(size), n_max) + 1):
            # C(i-1, n-1) / C(K, n) over the same at n - 1.
            share = share[1:] * (np.arange(1, size - n + 2) / (n - 1))
            share *= n / (size - n + 1)
            curves[prompts, n - 1] = gold[:, n - 1 :] @ share
    return curves


def _band(
    curves: FloatArray, resampler: PromptResampler
) -> tuple[FloatArray, FloatArray]:
    """Compute pointwise percentiles, some n at a time so that memory stays small."""
    lows, highs = [], []
    for start in range(0, curves.shape[1], _N_AT_ONCE):
        block = curves[:, start : start + _N_AT_ONCE]
        defined = np.isfinite(block)
        totals = resampler.totals(np.hstack([np.where(defined, block, 0.0), defined]))
        with np.errstate(divide="ignore", invalid="ignore"):
            means = totals[:, : block.shape[1]] / totals[:, block.shape[1] :]
        low, high = resampler.percentiles(means)
        lows.append(low)
        highs.append(high)
    return np.concatenate(lows), np.concatenate(highs)


_N_AT_ONCE = 512
