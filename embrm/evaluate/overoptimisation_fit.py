"""Over-optimisation in numbers: published forms, their peak, accurate reach."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlogy

from embrm._typing import FloatArray
from embrm._validation import check_choice, check_inner_share
from embrm.evaluate.inputs import check_scores
from embrm.evaluate.overoptimisation import OveroptimisationCurve
from embrm.evaluate.resampling import Interval
from embrm.exceptions import invalid_input


@dataclass(frozen=True)
class OveroptimisationFit:
    r"""A published form of gold against divergence, fitted.

    Attributes
    ----------
    form : str
        "best_of_n", :math:`R(d) = d (\alpha - \beta d)`, or "rl",
        :math:`R(d) = d (\alpha - \beta \log d)`, with d the square root of the
        divergence in nats and R the gain in gold over the reference.
    alpha, beta : Interval
        In units of gold per root nat, and, of "best_of_n", per nat.
    peak_kl : Interval, in nats
        Where the fitted form is highest; infinite where it rises for ever.
    peak_gain : Interval, in units of gold
        Its height there.
    rmse : float, in units of gold
        Root mean squared residual over the points of the curve.
    largest_kl : float, in nats
        Where the curve ends: a peak beyond it is an extrapolation.
    """

    form: str
    alpha: Interval
    beta: Interval
    peak_kl: Interval
    peak_gain: Interval
    rmse: float
    largest_kl: float

    def predict(self, kl: ArrayLike) -> FloatArray:
        """Return the fitted gain in gold at divergences in nats, of any shape."""
        coefficients = np.array([self.alpha.estimate, self.beta.estimate])
        gain: FloatArray = _features(np.asarray(kl, float), self.form) @ coefficients
        return gain


def fit_form(kl: ArrayLike, gain: ArrayLike, form: str) -> tuple[float, float]:
    r"""Fit a form of Gao et al. by least squares.

    Parameters
    ----------
    kl : array-like of shape (m,), >= 0, in nats
    gain : array-like of shape (m,)
        Gold less that of the reference.
    form : {"best_of_n", "rl"}
        :math:`d (\alpha - \beta d)` or :math:`d (\alpha - \beta \log d)`, where
        :math:`d = \sqrt{kl}`; at zero both are zero.

    Returns
    -------
    alpha, beta : float

    Raises
    ------
    InvalidInputError
        On a wrong shape, a negative divergence, an unknown form, or fewer than two
        different divergences above zero.

    References
    ----------
    Gao et al. (2023), arXiv:2210.10760, equations 1 and 2.

    Examples
    --------
    >>> alpha, beta = fit_form([0, 1, 4], [0, 1.5, 2], "best_of_n")
    >>> round(alpha, 6), round(beta, 6)
    (2.0, 0.5)
    """
    check_choice(form, "form", tuple(_SHAPES))
    divergence = check_scores(kl, "kl")
    values = check_scores(gain, "gain", len(divergence))
    _check_divergence(divergence)
    alpha, beta = _least_squares(divergence[None], values[None], form)[0]
    return float(alpha), float(beta)


def fit_overoptimisation(
    curve: OveroptimisationCurve, form: str | None = None
) -> OveroptimisationFit:
    """Fit a published form to the gold of a curve, with intervals over prompts.

    Parameters
    ----------
    curve : OveroptimisationCurve
    form : {"best_of_n", "rl"}, optional
        None means that of the curve's policy: "rl" for "tilt".

    Returns
    -------
    OveroptimisationFit
        Intervals are percentiles of the fits to the resampled curves.

    Raises
    ------
    InvalidInputError
        If the form is unknown, or the curve has fewer than two different divergences
        above zero.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.evaluate.overoptimisation import overoptimisation_curve
    >>> rng = np.random.default_rng(0)
    >>> gold, prompts = rng.normal(size=2000), np.repeat(range(40), 50)
    >>> curve = overoptimisation_curve(gold, gold + rng.normal(size=2000), prompts)
    >>> print(fit_overoptimisation(curve).alpha)
    0.803 [0.697, 0.911]
    """
    if form is None:
        form = {"best_of_n": "best_of_n", "tilt": "rl"}[curve.policy]
    check_choice(form, "form", tuple(_SHAPES))
    _check_divergence(curve.kl)
    kl, gold = curve.resampled["kl"], curve.resampled["gold"]
    fitted = _least_squares(curve.kl[None], curve.gold.mean[None], form)
    replicates = _least_squares(kl, gold, form)
    peak, peaks = _peak(fitted, form), _peak(replicates, form)
    residuals = curve.gold.mean - _features(curve.kl, form) @ fitted[0]
    return OveroptimisationFit(
        form=form,
        alpha=curve.interval(fitted[0, 0], replicates[:, 0]),
        beta=curve.interval(fitted[0, 1], replicates[:, 1]),
        peak_kl=curve.interval(peak[0][0], peaks[0]),
        peak_gain=curve.interval(peak[1][0], peaks[1]),
        rmse=float(np.sqrt(np.mean(residuals**2))),
        largest_kl=float(curve.kl.max()),
    )


def _features(kl: FloatArray, form: str) -> FloatArray:
    """Compute what alpha and beta are multiplied by, shape (..., 2)."""
    d = np.sqrt(kl)
    return np.stack([d, -_SHAPES[form](d)], axis=-1)


def _least_squares(kl: FloatArray, gain: FloatArray, form: str) -> FloatArray:
    """Fit curves (B, m), NaN where undefined: alpha and beta of each, shape (B, 2)."""
    defined = np.isfinite(kl) & np.isfinite(gain)
    features = _features(np.where(defined, kl, 0.0), form)
    inverse = np.linalg.pinv(features)
    coefficients: FloatArray = np.matmul(
        inverse, np.where(defined, gain, 0.0)[:, :, None]
    )[:, :, 0]
    return coefficients


def _peak(coefficients: FloatArray, form: str) -> tuple[FloatArray, FloatArray]:
    r"""Find the highest point of fitted forms: divergence and gain, each (B,).

    Of the first form :math:`d = \alpha / 2 \beta`, of the second
    :math:`d = e^{\alpha / \beta - 1}`; with beta <= 0 there is none.
    """
    alpha, beta = coefficients.T
    falls = beta > 0
    safe = np.where(falls, beta, 1.0)
    with np.errstate(over="ignore"):
        if form == "best_of_n":
            d = np.maximum(alpha, 0.0) / (2 * safe)
            gain = safe * d**2
        else:
            d = np.exp(alpha / safe - 1)
            gain = safe * d
        kl = d**2
    return np.where(falls, kl, np.inf), np.where(falls, gain, np.inf)


def _check_divergence(kl: FloatArray) -> None:
    if (kl < 0).any() or len(np.unique(kl[kl > 0])) < 2:
        raise invalid_input(
            expected="kl >= 0 with at least two different values above zero",
            got=f"{len(kl)} values, {len(np.unique(kl[kl > 0]))} of them different "
            f"and positive, {int((kl < 0).sum())} negative",
            fix="follow the policy to more strengths",
        )


_SHAPES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "best_of_n": np.square,
    "rl": lambda d: xlogy(d, d),
}


@dataclass(frozen=True)
class MeasuredPeak:
    """The measured maximum of the gold curve, without a parametric form.

    Attributes
    ----------
    strength : float
        n, or the inverse temperature.
    kl : Interval, in nats
        One of the points of the curve; its interval is where resampled curves are
        highest.
    gain : Interval, in units of gold
        Gain over the reference at `strength`. A highest value is a little too high:
        it was chosen for being so.
    at_end : bool
        Whether it is the last point: then gold has not begun to fall.
    """

    strength: float
    kl: Interval
    gain: Interval
    at_end: bool


@dataclass(frozen=True)
class FarthestAccurate:
    """The farthest divergence at which a reward still orders responses well.

    Attributes
    ----------
    kl : Interval, in nats
        0 where accuracy is below the threshold from the start.
    threshold : float
    reaches_end : bool
        Whether the reward is that accurate at the last point where accuracy is
        defined: then `kl` is a lower bound.
    """

    kl: Interval
    threshold: float
    reaches_end: bool


def measured_peak(curve: OveroptimisationCurve) -> MeasuredPeak:
    """Find the point of the curve where gold is highest.

    Parameters
    ----------
    curve : OveroptimisationCurve

    Returns
    -------
    MeasuredPeak

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.evaluate.overoptimisation import overoptimisation_curve
    >>> gold, prompts = np.tile([0.0, 1, 2, 3, -9], 2), np.repeat([0, 1], 5)
    >>> proxy = np.tile([0.0, 1, 2, 3, 4], 2)
    >>> measured_peak(overoptimisation_curve(gold, proxy, prompts)).strength
    1.0
    """
    at = int(np.argmax(curve.gold.mean))
    gold, kl = curve.resampled["gold"], curve.resampled["kl"]
    highest = np.argmax(np.where(np.isnan(gold), -np.inf, gold), axis=1)
    return MeasuredPeak(
        strength=float(curve.strength[at]),
        kl=curve.interval(float(curve.kl[at]), kl[np.arange(len(kl)), highest]),
        gain=curve.interval(float(curve.gold.mean[at]), gold[:, at]),
        at_end=at == len(curve.kl) - 1,
    )


def farthest_accurate_kl(
    curve: OveroptimisationCurve, threshold: float = 0.75
) -> FarthestAccurate:
    """Find the largest divergence at which the reward's accuracy is high enough.

    Parameters
    ----------
    curve : OveroptimisationCurve
    threshold : float in (0, 1), default=0.75
        A little above the 70% or so on which two people agree.

    Returns
    -------
    FarthestAccurate
        Accuracy is joined by straight lines between the points of the curve; where it
        crosses the threshold several times, the last crossing counts.

    Raises
    ------
    InvalidInputError
        If the threshold is not strictly between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.evaluate.overoptimisation import overoptimisation_curve
    >>> rng = np.random.default_rng(0)
    >>> gold, prompts = rng.normal(size=2000), np.repeat(range(40), 50)
    >>> proxy = gold + rng.normal(scale=0.5, size=2000)
    >>> found = farthest_accurate_kl(overoptimisation_curve(gold, proxy, prompts))
    >>> print(found.kl, found.reaches_end)
    1.331 [0.999, 2.761] False
    """
    threshold = check_inner_share(threshold, "threshold", "0.75 for 3 pairs of 4")
    accuracy = curve.accuracy.mean
    estimate = _last_crossing(curve.kl[None], accuracy[None], threshold)[0]
    replicates = _last_crossing(
        curve.resampled["kl"], curve.resampled["accuracy"], threshold
    )
    defined = accuracy[np.isfinite(accuracy)]
    return FarthestAccurate(
        kl=curve.interval(float(estimate), replicates),
        threshold=threshold,
        reaches_end=bool(len(defined) and defined[-1] >= threshold),
    )


def _last_crossing(
    kl: FloatArray, accuracy: FloatArray, threshold: float
) -> FloatArray:
    """Find where curves (B, m) are last at the threshold; 0 where they never are."""
    above = np.nan_to_num(accuracy, nan=-1.0) >= threshold
    last = accuracy.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
    curves = np.arange(len(kl))
    after = np.minimum(last + 1, accuracy.shape[1] - 1)
    here, there = accuracy[curves, last], accuracy[curves, after]
    crosses = there < threshold
    share = np.zeros(len(kl))
    np.divide(here - threshold, here - there, out=share, where=crosses & (here > there))
    step = np.where(crosses, kl[curves, after] - kl[curves, last], 0.0)
    return np.where(above.any(axis=1), kl[curves, last] + share * step, 0.0)
