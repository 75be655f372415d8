"""Means over prompts of one curve for each, with bands from resampled prompts."""

from typing import NamedTuple

import numpy as np

from embrm._typing import FloatArray, IntArray
from embrm.evaluate.resampling import PromptResampler


class Band(NamedTuple):
    """Mean curve and its pointwise percentile band, each of shape (m,).

    `n_prompts` counts the prompts that are defined at each point.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    n_prompts: IntArray


def band_of_curves(curves: FloatArray, resampler: PromptResampler) -> Band:
    """Average curves (n_prompts, m) over prompts, NaN where undefined.

    The band is NaN where fewer than two prompts are defined.
    """
    defined = np.isfinite(curves)
    n_prompts = defined.sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.where(defined, curves, 0.0).sum(axis=0) / n_prompts
    lows, highs = [], []
    # Some points at a time, so that memory stays small.
    for start in range(0, curves.shape[1], _POINTS_AT_ONCE):
        points = slice(start, start + _POINTS_AT_ONCE)
        low, high = resampler.percentiles(resampled_means(curves[:, points], resampler))
        lows.append(low)
        highs.append(high)
    enough = n_prompts > 1
    return Band(
        mean,
        np.where(enough, np.concatenate(lows), np.nan),
        np.where(enough, np.concatenate(highs), np.nan),
        n_prompts,
    )


def resampled_means(curves: FloatArray, resampler: PromptResampler) -> FloatArray:
    """Average curves (n_prompts, m) over each resample, shape (n_resamples, m)."""
    defined = np.isfinite(curves)
    # Neighbouring points mostly have the same prompts: count those once.
    new = np.ones(curves.shape[1], dtype=bool)
    new[1:] = (defined[:, 1:] != defined[:, :-1]).any(axis=0)
    features = np.hstack([np.where(defined, curves, 0.0), defined[:, new]])
    totals = resampler.totals(features)
    counts = totals[:, curves.shape[1] :][:, np.cumsum(new) - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        means: FloatArray = totals[:, : curves.shape[1]] / counts
    return means


_POINTS_AT_ONCE = 512
