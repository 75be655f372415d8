"""Over-optimisation: what gold does while a reward is pushed ever harder."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_choice
from embrm.evaluate._picks import ranked_prompts
from embrm.evaluate.divergence import (
    PolicyMoments,
    best_of_n_kl,
    check_counts,
    default_strengths,
    empty_moments,
    policies_on,
    policy_moments,
)
from embrm.evaluate.inputs import check_scores, item_codes
from embrm.evaluate.rank_correlation import within_prompt_std
from embrm.evaluate.resampling import (
    Band,
    Interval,
    PromptResampler,
    band_of_curves,
    resampled_means,
    resampled_prompts,
)
from embrm.exceptions import invalid_input


@dataclass(frozen=True, eq=False)
class OveroptimisationCurve:
    """Gold, proxy and accuracy of a reward against divergence from the reference.

    Attributes
    ----------
    policy : str
        "best_of_n" or "tilt".
    strength : ndarray of shape (m,)
        n, or the inverse temperature in units of one over `reward_std`; ascending.
    kl : ndarray of shape (m,), in nats
        Divergence from a uniform draw of the pool, mean over prompts.
    gold, proxy : Band
        Expected gold and reward less those of a uniform draw, each in its own unit.
    accuracy : Band, in [0, 1]
        Share of pairs of responses that reward orders as gold, at this strength.
    gold_std, reward_std : float
        Standard deviations within prompts: dividing by them makes the two comparable.
    level : float
        Confidence level of the bands.
    n_prompts : int
    method : str
        How the bands were resampled.
    resampled : dict of str to ndarray of shape (n_resamples, m)
        "kl", "gold" and "accuracy" of each resample of prompts, for what is computed
        from the curve.
    """

    policy: str
    strength: FloatArray | IntArray
    kl: FloatArray
    gold: Band
    proxy: Band
    accuracy: Band
    gold_std: float
    reward_std: float
    level: float
    n_prompts: int
    method: str
    resampled: dict[str, FloatArray]

    def interval(self, estimate: float, replicates: FloatArray) -> Interval:
        """Make the interval of what each resample gave, which may be infinite.

        Percentiles are of the inverse distribution function: between a finite
        replicate and an infinite one nothing can be interpolated.
        """
        low = high = np.nan
        defined = replicates[~np.isnan(replicates)]
        if self.n_prompts > 1 and len(defined):
            tail = (1 - self.level) / 2
            low, high = np.quantile(defined, [tail, 1 - tail], method="inverted_cdf")
        values = float(estimate), float(low), float(high)
        return Interval(*values, self.level, self.n_prompts, self.method)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per strength: kl, and gold, proxy, accuracy with bands."""
        columns: dict[str, FloatArray | IntArray] = {
            "strength": self.strength,
            "kl": self.kl,
        }
        for name in ("gold", "proxy", "accuracy"):
            band: Band = getattr(self, name)
            columns[name] = band.mean
            columns[f"{name}_low"], columns[f"{name}_high"] = band.low, band.high
        return pd.DataFrame({**columns, "n_prompts": self.gold.n_prompts})


def overoptimisation_curve(
    gold: ArrayLike,
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    *,
    policy: str = "best_of_n",
    strength: ArrayLike | None = None,
    divergence: str | None = None,
    against: str = "policy",
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> OveroptimisationCurve:
    r"""Follow gold and proxy while a policy on the pool optimises the reward.

    Parameters
    ----------
    gold : array-like of shape (n_items,)
        The score treated as truth, in any unit.
    reward : array-like of shape (n_items,)
        The proxy that is optimised.
    prompt_ids : array-like of shape (n_items,)
    policy : {"best_of_n", "tilt"}, default="best_of_n"
        "tilt" is :math:`\pi(y) \propto e^{b r(y)}`, the optimum of reward less
        :math:`1/b` times the divergence: what regularised reinforcement learning aims
        at.
    strength : array-like of shape (m,), optional
        n, or b in units of one over the reward's standard deviation within prompts.
        None means n of about 24 equal steps in log n, up to the median size of a
        prompt, or 0 and 0.1 to 30.
    divergence : {"published", "pool"}, optional
        The axis. "published", the default for best of n, is
        :math:`\log n - (n - 1) / n`, that of n independent draws from the language
        model; the curve is an unbiased estimate for those. "pool", the default and
        only choice for "tilt", is exact for the policy on the pool itself.
    against : {"policy", "reference"}, default="policy"
        Accuracy is over pairs of different gold, the first response drawn from the
        policy, the second from the same policy or from the pool at random. Of the same
        policy, it is what a preference label between two of its responses is worth.
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
        Resamples of prompts, for the bands.
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    OveroptimisationCurve
        Of best of n, each point is over the prompts with at least n items.

    Raises
    ------
    InvalidInputError
        On a wrong shape or option, a score that is not finite, strengths that do not
        ascend, or gold or reward that differ in no prompt.

    Notes
    -----
    Expectations are exact sums over each prompt's responses. Accuracy is a ratio of
    means over prompts: of the probability that two draws differ in gold and are
    ordered rightly, and that they differ. It is NaN where the policy always gives the
    same response, as the best of all K does.

    References
    ----------
    Gao et al. (2023), Scaling laws for reward model overoptimization, arXiv:2210.10760.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> gold = rng.normal(size=2000)
    >>> proxy = gold + rng.normal(size=2000)
    >>> curve = overoptimisation_curve(
    ...     gold, proxy, np.repeat(range(40), 50), strength=[2, 4, 16]
    ... )
    >>> curve.kl.round(2), curve.gold.mean.round(2), curve.accuracy.mean.round(2)
    (array([0.19, 0.64, 1.84]), array([0.39, 0.7 , 1.19]), array([0.71, 0.68, 0.69]))
    """
    check_choice(policy, "policy", ("best_of_n", "tilt"))
    check_choice(against, "against", ("policy", "reference"))
    published = _is_published(divergence, policy)
    true = check_scores(gold, "gold")
    proxy = check_scores(reward, "reward", len(true))
    codes, prompts = item_codes(prompt_ids, len(true))
    spreads = _spread(true, codes, "gold"), _spread(proxy, codes, "reward")
    grid = _check_grid(strength, policy, np.bincount(codes))
    moments = empty_moments(len(prompts), len(grid))
    for same in ranked_prompts(proxy, codes):
        for part, fits, shares in policies_on(same, proxy / spreads[1], grid, policy):
            found = policy_moments(true[part.rows], proxy[part.rows], shares, against)
            for table, values in zip(moments, found, strict=True):
                table[part.prompts[:, None], fits] = values
    if published:
        moments.kl[:] = np.where(np.isnan(moments.kl), np.nan, best_of_n_kl(grid))
    resampler = resampled_prompts(len(prompts), n_resamples, level, random_state)
    return _summarise(moments, resampler, policy, grid, spreads)


def _summarise(
    moments: PolicyMoments,
    resampler: PromptResampler,
    policy: str,
    grid: FloatArray | IntArray,
    spreads: tuple[float, float],
) -> OveroptimisationCurve:
    """Average the moments of prompts, shape (n_prompts, m), and of their resamples."""
    agree = band_of_curves(moments.agree, resampler)
    differ = band_of_curves(moments.differ, resampler)
    resampled = {
        name: resampled_means(getattr(moments, name), resampler)
        for name in ("kl", "gold", "agree", "differ")
    }
    accuracies = _ratio(resampled.pop("agree"), resampled.pop("differ"))
    resampled["accuracy"] = accuracies
    low, high = resampler.percentiles(accuracies)
    return OveroptimisationCurve(
        policy=policy,
        strength=grid,
        kl=band_of_curves(moments.kl, resampler).mean,
        gold=band_of_curves(moments.gold, resampler),
        proxy=band_of_curves(moments.proxy, resampler),
        accuracy=Band(_ratio(agree.mean, differ.mean), low, high, differ.n_prompts),
        gold_std=spreads[0],
        reward_std=spreads[1],
        level=resampler.level,
        n_prompts=len(moments.kl),
        method=resampler.method,
        resampled=resampled,
    )


def _ratio(agree: FloatArray, differ: FloatArray) -> FloatArray:
    """Divide, NaN where no two draws differ."""
    ratio = np.full_like(agree, np.nan)
    np.divide(agree, differ, out=ratio, where=differ > 0)
    return ratio


def _is_published(divergence: str | None, policy: str) -> bool:
    if divergence is None:
        return policy == "best_of_n"
    choices = ("published", "pool") if policy == "best_of_n" else ("pool",)
    check_choice(divergence, f"divergence of policy={policy!r}", choices)
    return divergence == "published"


def _spread(values: FloatArray, codes: IntArray, name: str) -> float:
    spread = within_prompt_std(values, codes)
    if spread == 0:
        raise invalid_input(
            expected=f"{name} that differs within some prompt",
            got="equal scores in every prompt",
            fix="pass several responses of a prompt, scored apart",
        )
    return spread


def _check_grid(
    strength: ArrayLike | None, policy: str, sizes: IntArray
) -> FloatArray | IntArray:
    if strength is None:
        return default_strengths(policy, sizes)
    grid: FloatArray | IntArray = (
        np.atleast_1d(check_counts(strength))
        if policy == "best_of_n"
        else check_scores(strength, "strength")
    )
    if grid.ndim != 1 or grid[0] < 0 or (np.diff(grid) <= 0).any():
        raise invalid_input(
            expected="strength of shape (m,), >= 0 and ascending",
            got=f"shape {grid.shape}, {len(np.unique(grid))} distinct values",
            fix="pass np.unique(strength)",
        )
    if policy == "best_of_n" and grid[-1] > sizes.max():
        raise invalid_input(
            expected=f"n up to {sizes.max()}, the size of the largest prompt",
            got=f"n = {grid[-1]}",
            fix="pass smaller n, or more responses of each prompt",
        )
    return grid
