"""Means over prompts are over the prompts that are defined, and so are their bands."""

import numpy as np
import pytest

from embrm.evaluate.bands import band_of_curves, resampled_means
from embrm.evaluate.resampling import PromptResampler


@pytest.fixture
def curves() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(12, 5))
    values[3, 2:] = np.nan
    values[7] = np.nan
    return values


def test_undefined_prompts_are_left_out_of_the_mean(curves):
    """As numpy's nanmean does."""
    band = band_of_curves(curves, PromptResampler(np.arange(12), n_resamples=5))
    np.testing.assert_allclose(band.mean, np.nanmean(curves, axis=0))
    assert band.n_prompts.tolist() == [11, 11, 10, 10, 10]


def test_resamples_agree_with_weighing_each_prompt(curves):
    """Each resample is a weighted mean over its defined prompts."""
    resampler = PromptResampler(np.arange(12), n_resamples=20)
    found = resampled_means(curves, resampler)
    for weights, means in zip(resampler.pair_weights(), found, strict=True):
        for point in range(5):
            known = np.isfinite(curves[:, point])
            expected = np.average(curves[known, point], weights=weights[known])
            assert means[point] == pytest.approx(expected)


def test_the_band_covers_the_percentiles_of_resamples(curves):
    """Pointwise."""
    resampler = PromptResampler(np.arange(12), n_resamples=200)
    band = band_of_curves(curves, resampler)
    low = np.quantile(resampled_means(curves, resampler), 0.025, axis=0)
    np.testing.assert_allclose(band.low, low)


def test_a_point_of_one_prompt_has_no_band():
    """There is nothing to resample."""
    curves = np.array([[1.0, 2.0], [3.0, np.nan]])
    band = band_of_curves(curves, PromptResampler(np.arange(2)))
    assert np.isfinite(band.high).tolist() == [True, False]
    assert band.mean.tolist() == [2.0, 2.0]


def test_a_point_of_no_prompt_is_nan():
    """And no warning."""
    curves = np.array([[1.0, np.nan], [3.0, np.nan]])
    band = band_of_curves(curves, PromptResampler(np.arange(2)))
    assert np.isnan(band.mean[1])


def test_many_points_are_the_same_as_few():
    """Blocks of points see the same resamples."""
    curves = np.random.default_rng(1).normal(size=(6, 700))
    resampler = PromptResampler(np.arange(6), n_resamples=30)
    whole = band_of_curves(curves, resampler)
    part = band_of_curves(curves[:, 600:], resampler)
    np.testing.assert_allclose(whole.low[600:], part.low)
