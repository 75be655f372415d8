"""How far a reward can be pushed: to the peak of gold, and while it orders well."""

from dataclasses import dataclass

import numpy as np

from embrm._typing import FloatArray
from embrm._validation import (
    check_inner_share,
)
from embrm.evaluate.overoptimisation import OveroptimisationCurve
from embrm.evaluate.resampling import Interval


@dataclass(frozen=True)
class MeasuredPeak:
    """Where the curve of gold is highest, whatever its form.

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
