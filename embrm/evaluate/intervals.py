"""Intervals of a weighted mean, or of any statistic of pairs, by resampling prompts."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, RandomState
from embrm._validation import check_sample_weight
from embrm.evaluate.inputs import check_scores
from embrm.evaluate.resampling import Interval, PromptResampler

__all__ = ["Interval", "prompt_bootstrap", "prompt_bootstrap_statistic"]


def prompt_bootstrap(
    values: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> Interval:
    """Estimate a weighted mean over pairs, with its interval from resampled prompts.

    Parameters
    ----------
    values : array-like of shape (n_pairs,)
        One value per pair: right or wrong, squared error, loss.
    groups : array-like of shape (n_pairs,) or (n_pairs, 2), optional
        Prompt id of each pair, or of both its ends (`Pairs.groups`). If None, or if
        there is only one prompt, pairs are resampled and `method` says so.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    Interval
        Of the percentile bootstrap. If all values are equal the interval is a point:
        no resampling can tell what was never seen.

    Raises
    ------
    InvalidInputError
        On a wrong shape or range.

    References
    ----------
    Owen (2007), The pigeonhole bootstrap, doi:10.1214/07-AOAS122, for pairs across
    prompts.

    Examples
    --------
    >>> interval = prompt_bootstrap([1, 1, 0, 1, 0, 1], ["a", "a", "b", "b", "c", "c"])
    >>> print(interval, interval.method)
    0.667 [0.500, 1.000] prompt bootstrap
    """
    checked = check_scores(values, "values")
    weights = check_sample_weight(sample_weight, n_pairs=len(checked))
    resampler = PromptResampler(
        groups,
        len(checked),
        n_resamples=n_resamples,
        level=level,
        random_state=random_state,
    )
    features = np.column_stack([weights * checked, weights])
    estimate = float(np.average(checked, weights=weights))
    return resampler.interval(estimate, ratio_from_totals(resampler.totals(features)))


def prompt_bootstrap_statistic(
    statistic: Callable[[FloatArray], float],
    groups: ArrayLike | None = None,
    *,
    n_pairs: int | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    random_state: RandomState = 0,
) -> Interval:
    """Estimate any statistic of weighted pairs, with its interval.

    Parameters
    ----------
    statistic : callable
        Takes weights of shape (n_pairs,), how often each pair counts, and returns a
        float. Weight k must act as k copies of the pair.
    groups : array-like of shape (n_pairs,) or (n_pairs, 2), optional
        As in `prompt_bootstrap`.
    n_pairs : int, optional
        Needed if `groups` is None.
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=2000
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    Interval

    Raises
    ------
    InvalidInputError
        On a wrong shape or range.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([1.0, 4.0, 2.0, 8.0])
    >>> def largest(weights):
    ...     return values[weights > 0].max()
    >>> prompt_bootstrap_statistic(largest, ["a", "a", "b", "b"]).low
    4.0
    """
    resampler = PromptResampler(
        groups,
        n_pairs,
        n_resamples=n_resamples,
        level=level,
        random_state=random_state,
    )
    # Two prompts joined by pairs across them alone can leave a resample empty.
    replicates = np.array(
        [statistic(w) if w.any() else np.nan for w in resampler.pair_weights()]
    )
    estimate = float(statistic(np.ones(resampler.n_pairs)))
    return resampler.interval(estimate, replicates)


def ratio_from_totals(totals: FloatArray) -> FloatArray:
    """Divide sums of weighted values by sums of weights, row by row of (n, 2)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        means: FloatArray = totals[:, 0] / totals[:, 1]
    return means
