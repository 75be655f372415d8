"""Best of n: what one gets by taking the response with the highest reward among n."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_count
from embrm.evaluate._picks import RankedPrompts, expected_picks, ranked_prompts
from embrm.evaluate.divergence import best_of_n_kl
from embrm.evaluate.inputs import check_scores, item_codes
from embrm.evaluate.resampling import PromptResampler, band_of_curves, resampled_prompts


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

    def to_frame(self) -> pd.DataFrame:
        """Return one row per n: n, kl, mean, low, high, n_prompts."""
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
    the best item down by ratios (`embrm.evaluate._picks`), so that nothing overflows.

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
    resampler = resampled_prompts(len(prompts), n_resamples, level, random_state)
    curves = expected_picks(true, ranked, len(prompts), n_max)
    return curve_of_prompts(curves, resampler)


def curve_of_prompts(curves: FloatArray, resampler: PromptResampler) -> BestOfNCurve:
    """Average one curve for each prompt, shape (n_prompts, K), NaN where undefined."""
    band = band_of_curves(curves, resampler)
    return BestOfNCurve(
        n=np.arange(1, curves.shape[1] + 1), level=resampler.level, **band._asdict()
    )


@dataclass(frozen=True, eq=False)
class PickQuality:
    """Quality of the best of n for n = 1..K, each an exact expectation with its band.

    Attributes
    ----------
    quantile : BestOfNCurve, in [0, 1]
        Share of the prompt's other responses that are worse in gold than the pick; a
        tie counts half. 0.5 for a random pick, 1 where it is always the best.
    regret : BestOfNCurve, >= 0
        Gold of the prompt's best response minus gold of the pick, in units of gold.
    recovery : BestOfNCurve, <= 1
        Share of the gain from a random pick to the best one: 0 at n = 1, negative
        where the pick is worse than a random one.
    n_prompts : int
    n_single : int
        Prompts with one item alone: quantile and recovery are undefined, and those
        prompts left out of their means.
    n_constant : int
        Prompts with several items of one gold: recovery is undefined and left out.
    """

    quantile: BestOfNCurve
    regret: BestOfNCurve
    recovery: BestOfNCurve
    n_prompts: int
    n_single: int
    n_constant: int

    def to_frame(self) -> pd.DataFrame:
        """Return one row per measure and n, in long form."""
        frames = {
            name: getattr(self, name).to_frame()
            for name in ("quantile", "regret", "recovery")
        }
        joined: pd.DataFrame = pd.concat(frames, names=["measure"])
        return joined.reset_index(level="measure")

    def __str__(self) -> str:
        last = len(self.regret.n) - 1
        return (
            f"best of {last + 1}: quantile {self.quantile.mean[last]:.3f}, "
            f"regret {self.regret.mean[last]:.3f}, "
            f"recovery {self.recovery.mean[last]:.3f} ({self.n_prompts} prompts, "
            f"recovery undefined in {self.n_single + self.n_constant})"
        )


def pick_quality(
    gold: ArrayLike,
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    n_max: int | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> PickQuality:
    r"""Compute quantile, regret and recovery of the best of n, without sampling.

    Parameters
    ----------
    gold : array-like of shape (n_items,)
        The score treated as truth, in any unit.
    reward : array-like of shape (n_items,)
        The head's reward, by which the best of n is picked; ties share the pick.
    prompt_ids : array-like of shape (n_items,)
        Which prompt each item answers; items of a prompt need not be adjacent.
    n_max : int >= 1, optional
        Largest n; None (or more than there is) means the size K of the largest prompt.
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
        Resamples of prompts, for the bands alone.
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    PickQuality
        Means at n are over the prompts with at least n items where they are defined.

    Raises
    ------
    InvalidInputError
        On a wrong shape, a score that is not finite, or n_max < 1.

    Notes
    -----
    With :math:`g_n` the expected gold of the best of n of a prompt (see
    `best_of_n_curve`), :math:`\bar g = g_1` its mean and :math:`g^*` its largest gold,
    regret is :math:`g^* - g_n` and recovery :math:`(g_n - \bar g) / (g^* - \bar g)`.
    Both compare with the best of all K, at every n. What perfect knowledge of gold
    would do with the same n is ``best_of_n_curve(gold, gold, prompt_ids)``. The
    quantile is :math:`(\text{rank} - 1) / (K - 1)`, of average ranks among ties.

    Examples
    --------
    >>> quality = pick_quality([1.0, 2.0, 6.0], [0.1, 0.3, 0.2], ["a", "a", "a"])
    >>> quality.quantile.mean.round(3), quality.regret.mean.round(3)
    (array([0.5  , 0.667, 0.5  ]), array([3.   , 2.667, 4.   ]))
    >>> quality.recovery.mean.round(3)
    array([ 0.   ,  0.111, -0.333])
    """
    true = check_scores(gold, "gold")
    picked_by = check_scores(reward, "reward", len(true))
    codes, prompts = item_codes(prompt_ids, len(true))
    ranked = ranked_prompts(picked_by, codes)
    longest = ranked[-1].size
    n_max = longest if n_max is None else min(check_count(n_max, "n_max", 1), longest)
    quantiles = _quantiles(true, ranked)
    expected = expected_picks(true, ranked, len(prompts), n_max)
    best, mean = _best_and_mean(true, ranked, len(prompts))
    gain = np.where(best > mean, best - mean, np.nan)
    # One item is picked whatever n is: there is nothing to know about it.
    single = np.bincount(codes) == 1
    resampler = resampled_prompts(len(prompts), n_resamples, level, random_state)
    return PickQuality(
        quantile=curve_of_prompts(
            expected_picks(quantiles, ranked, len(prompts), n_max), resampler
        ),
        regret=curve_of_prompts(np.maximum(best[:, None] - expected, 0), resampler),
        recovery=curve_of_prompts(
            (expected - mean[:, None]) / gain[:, None], resampler
        ),
        n_prompts=len(prompts),
        n_single=int(single.sum()),
        n_constant=int((np.isnan(gain) & ~single).sum()),
    )


def _quantiles(gold: FloatArray, ranked: list[RankedPrompts]) -> FloatArray:
    """Compute for each item the share of its prompt's others that are worse."""
    quantiles = np.full(len(gold), np.nan)
    for same in ranked:
        if same.size > 1:
            ranks = rankdata(gold[same.rows], axis=1)
            quantiles[same.rows] = (ranks - 1) / (same.size - 1)
    return quantiles


def _best_and_mean(
    gold: FloatArray, ranked: list[RankedPrompts], n_prompts: int
) -> tuple[FloatArray, FloatArray]:
    """Compute the largest and the mean gold of each prompt.

    Where all gold is equal the mean is that value, which a rounded sum would miss.
    """
    best, mean = np.empty(n_prompts), np.empty(n_prompts)
    for same in ranked:
        values = gold[same.rows]
        best[same.prompts] = values.max(axis=1)
        constant = values.min(axis=1) == best[same.prompts]
        mean[same.prompts] = np.where(constant, best[same.prompts], values.mean(axis=1))
    return best, mean
