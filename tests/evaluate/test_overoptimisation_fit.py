"""The published forms are recovered, and their peak is where calculus puts it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit, minimize_scalar

from embrm.evaluate import (
    farthest_accurate_kl,
    fit_form,
    fit_overoptimisation,
    measured_peak,
    overoptimisation_curve,
)
from embrm.exceptions import InvalidInputError

FORMS = {
    "best_of_n": lambda kl, a, b: np.sqrt(kl) * (a - b * np.sqrt(kl)),
    "rl": lambda kl, a, b: np.sqrt(kl) * (a - b * np.log(np.sqrt(kl))),
}
KL = np.array([0.1, 0.4, 1.0, 2.0, 3.5, 6.0])


def pool_with_peak():
    """Two per cent of responses please the proxy and not gold."""
    rng = np.random.default_rng(0)
    gold = rng.normal(size=6000)
    hacked = rng.random(6000) < 0.02
    proxy = np.where(hacked, 3 - gold, gold) + 0.8 * rng.normal(size=6000)
    return gold, proxy, np.repeat(np.arange(60), 100)


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize(("alpha", "beta"), [(1.3, 0.4), (0.2, -0.1), (-1.0, 0.5)])
def test_noise_free_forms_are_recovered(form, alpha, beta):
    """Also with the point at zero divergence, where both forms are zero."""
    kl = np.concatenate([[0.0], KL])
    gain = np.concatenate([[0.0], FORMS[form](KL, alpha, beta)])
    assert fit_form(kl, gain, form) == pytest.approx((alpha, beta))


@pytest.mark.parametrize("form", list(FORMS))
def test_noisy_forms_agree_with_scipy(form):
    """Least squares has one answer."""
    gain = FORMS[form](KL, 1.0, 0.3) + np.random.default_rng(1).normal(size=6) / 10
    expected, _ = curve_fit(FORMS[form], KL, gain, p0=(1, 0))
    assert fit_form(KL, gain, form) == pytest.approx(tuple(expected), rel=1e-5)


@pytest.mark.parametrize("form", list(FORMS))
def test_the_peak_is_the_highest_point_of_the_form(form):
    """As a search along the fitted line finds it."""
    fit = fit_overoptimisation(
        overoptimisation_curve(*pool_with_peak(), n_resamples=50), form
    )
    found = minimize_scalar(
        lambda kl: -float(fit.predict(kl)), bounds=(1e-6, 50), method="bounded"
    )
    assert fit.peak_kl.estimate == pytest.approx(found.x, rel=1e-3)
    assert fit.peak_gain.estimate == pytest.approx(-found.fun, rel=1e-6)


def test_intervals_hold_their_estimates():
    """They come from fits to resampled prompts."""
    fit = fit_overoptimisation(overoptimisation_curve(*pool_with_peak()))
    for interval in (fit.alpha, fit.beta, fit.peak_kl, fit.peak_gain):
        assert interval.low < interval.estimate < interval.high
    assert fit.alpha.method == "prompt bootstrap"
    assert fit.alpha.n_groups == 60


def test_a_form_that_rises_for_ever_has_no_peak():
    """A gold that the proxy is equal to never falls."""
    rng = np.random.default_rng(2)
    gold = rng.exponential(size=2000)
    curve = overoptimisation_curve(gold, gold, np.repeat(range(20), 100))
    fit = fit_overoptimisation(curve)
    assert fit.beta.high < 0
    assert fit.peak_kl.estimate == np.inf
    assert fit.peak_kl.high == np.inf


def test_the_form_is_that_of_the_policy():
    """And may be chosen."""
    curve = overoptimisation_curve(*pool_with_peak(), policy="tilt", n_resamples=5)
    assert fit_overoptimisation(curve).form == "rl"
    assert fit_overoptimisation(curve, "best_of_n").form == "best_of_n"


def test_the_residual_is_what_the_form_misses():
    """Root mean square over the points."""
    curve = overoptimisation_curve(*pool_with_peak(), n_resamples=5)
    fit = fit_overoptimisation(curve)
    residuals = curve.gold.mean - fit.predict(curve.kl)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean(residuals**2)))


def test_one_prompt_gives_no_interval():
    """There is nothing to resample."""
    gold = np.random.default_rng(3).normal(size=50)
    fit = fit_overoptimisation(overoptimisation_curve(gold, gold, ["a"] * 50))
    assert np.isfinite(fit.alpha.estimate)
    assert np.isnan(fit.alpha.low)


@pytest.mark.parametrize("kl", [[0.0, 1.0], [1.0, 1.0], [-1.0, 2.0]])
def test_two_divergences_are_needed(kl):
    """Two coefficients cannot be had from one point."""
    with pytest.raises(InvalidInputError, match="two different values above zero"):
        fit_form(kl, [0.0, 1.0], "rl")


def test_an_unknown_form_is_refused():
    """The error lists the choices."""
    with pytest.raises(InvalidInputError, match="form one of best_of_n, rl"):
        fit_form(KL, KL, "dpo")


@pytest.fixture(scope="module")
def curve():
    """A proxy that a few responses fool, of 60 prompts."""
    rng = np.random.default_rng(0)
    gold = rng.normal(size=6000)
    fooled = rng.random(6000) < 0.02
    proxy = np.where(fooled, 3 - gold, gold) + 0.5 * rng.normal(size=6000)
    prompts = np.repeat(np.arange(60), 100)
    return overoptimisation_curve(gold, proxy, prompts, n_resamples=300)


def with_accuracy(curve, values):
    """The same curve, four points long, with accuracies as given."""
    values = np.array(values)
    band = curve.accuracy._replace(mean=values)
    kl = np.arange(4.0)
    resampled = {"kl": kl[None], "accuracy": values[None]}
    return replace(curve, kl=kl, accuracy=band, resampled=resampled)


def test_the_peak_is_the_highest_measured_point(curve):
    """With intervals for its place and its height."""
    peak = measured_peak(curve)
    assert peak.gain.estimate == curve.gold.mean.max()
    assert peak.kl.low <= peak.kl.estimate <= peak.kl.high
    assert peak.gain.low < peak.gain.estimate < peak.gain.high
    assert not peak.at_end


def test_a_curve_that_still_rises_says_so():
    """Its peak is its last point."""
    gold = np.random.default_rng(1).normal(size=400)
    peak = measured_peak(overoptimisation_curve(gold, gold, np.repeat(range(8), 50)))
    assert peak.at_end
    assert peak.strength == 50


def test_the_farthest_accurate_divergence_is_interpolated(curve):
    """Halfway between 0.8 and 0.7 lies 0.75."""
    found = farthest_accurate_kl(with_accuracy(curve, [0.9, 0.8, 0.7, 0.6]))
    assert found.kl.estimate == pytest.approx(1.5)
    assert not found.reaches_end


def test_the_last_crossing_counts(curve):
    """The farthest, as its name says."""
    found = farthest_accurate_kl(with_accuracy(curve, [0.9, 0.7, 0.8, 0.6]))
    assert found.kl.estimate == pytest.approx(2.25)


def test_a_reward_that_is_never_accurate_gets_zero(curve):
    """Not even on the reference's own responses."""
    found = farthest_accurate_kl(with_accuracy(curve, [0.7, 0.7, 0.6, 0.5]))
    assert found.kl.estimate == 0
    assert not found.reaches_end


@pytest.mark.parametrize("last", [0.8, np.nan])
def test_a_reward_that_stays_accurate_reaches_the_end(curve, last):
    """The last point where accuracy is defined."""
    found = farthest_accurate_kl(with_accuracy(curve, [0.9, 0.9, 0.8, last]))
    assert found.kl.estimate == (3 if last == 0.8 else 2)
    assert found.reaches_end


def test_the_interval_is_over_prompts(curve):
    """And holds the estimate."""
    found = farthest_accurate_kl(curve, 0.7)
    assert 0 < found.kl.low <= found.kl.estimate <= found.kl.high
    assert found.kl.n_groups == 60


def test_a_better_reward_goes_farther():
    """Less noise, more divergence at the same accuracy."""
    rng = np.random.default_rng(2)
    gold, noise = rng.normal(size=(2, 2000))
    prompts = np.repeat(range(40), 50)
    near, far = (
        farthest_accurate_kl(
            overoptimisation_curve(gold, gold + scale * noise, prompts, n_resamples=5)
        ).kl.estimate
        for scale in (0.8, 0.4)
    )
    assert near < far


@pytest.mark.parametrize("threshold", [0.0, 1.0, 75.0])
def test_the_threshold_is_a_share(curve, threshold):
    """Strictly between 0 and 1."""
    with pytest.raises(InvalidInputError, match=r"threshold in \(0, 1\)"):
        farthest_accurate_kl(curve, threshold)
