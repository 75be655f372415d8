"""Best of n: what one gets by taking the response with the highest reward among n."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_count
from embrm.evaluate.bands import band_of_curves
from embrm.evaluate.divergence import best_of_n_kl
from embrm.evaluate.inputs import check_scores, item_codes
from embrm.evaluate.picks import expected_picks, ranked_prompts
from embrm.evaluate.resampling import PromptResampler

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class BestOfNCurve:
    """Expected gold of the best of n, or another measure of it, for n = 1..K.

    Attributes
    ----------
    n : ndarray of int of shape (K,)
    mean : ndarray of shape (K,)
        Expected gold of the pick, in units of gold, averaged over the prompts that
        have at least n items. `mean[0]` is that of a random pick.
    low, high : ndarray of shape (K,)
        Pointwise percentile band from resampled prompts; NaN where fewer than two
        prompts have n items.
    n_prompts : ndarray of int of shape (K,)
        How many prompts have at least n items (and a defined measure).
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
        """Divergence of the best of n independent draws from one, in nats.

        The usual horizontal axis, `best_of_n_kl`, which is an upper bound where rewards
        tie; `pool_best_of_n_kl` is exact for the responses at hand.
        """
        return best_of_n_kl(self.n)

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
    responses a hundred times adds noise to it and nothing else. Shares are carried from
    the best item down by ratios (`embrm.evaluate.picks`), so that nothing overflows.

    Examples
    --------
    >>> curve = best_of_n_curve([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], ["a", "a", "a"])
    >>> curve.mean.round(3)
    array([2.   , 2.667, 3.   ])
    """
    true = check_scores(gold, "gold")
    picked_by = check_scores(reward, "reward", len(true))
    codes, prompts = item_codes(prompt_ids, len(true))
    ranked = ranked_prompts(picked_by, codes)
    longest = ranked[-1].size
    n_max = longest if n_max is None else min(check_count(n_max, "n_max", 1), longest)
    resampler = PromptResampler(
        np.arange(len(prompts)),
        n_resamples=n_resamples,
        level=level,
        random_state=random_state,
    )
    curves = expected_picks(true, ranked, len(prompts), n_max)
    return curve_of_prompts(curves, resampler)


def curve_of_prompts(curves: FloatArray, resampler: PromptResampler) -> BestOfNCurve:
    """Average one curve for each prompt, shape (n_prompts, K), NaN where undefined."""
    band = band_of_curves(curves, resampler)
    return BestOfNCurve(
        n=np.arange(1, curves.shape[1] + 1), level=resampler.level, **band._asdict()
    )
