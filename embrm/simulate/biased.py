"""BiasedAnnotator: preferring long, or first, or anything but good responses."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray
from embrm._validation import as_numbers, check_number
from embrm.exceptions import invalid_input
from embrm.pool import CandidatePool
from embrm.simulate.annotation import Noise, Outcomes, Scale, SingleAnnotator, as_single


@dataclass(frozen=True, eq=False)
class BiasedAnnotator(SingleAnnotator):
    r"""See gold shifted by a covariate of the items, and by position.

    The base annotator is shown :math:`\Delta + b (c_1 - c_2) / s_c + a` instead of
    :math:`\Delta`, with :math:`s_c` the standard deviation of the covariate c over all
    items of the pool.

    Parameters
    ----------
    base : annotator
        Decides on what it is shown; its scale is the scale of this one. No panel.
    covariate : "length" or array-like of shape (n_items,), optional
        Any number about each item of the pool; "length" is the length of the response
        in characters, for pools with texts.
    strength : float, default=0.0
        b: the effect of one standard deviation of the covariate, in scaled gold.
    position : float, default=0.0
        a: the effect of being first, in scaled gold.

    Notes
    -----
    `calibrate` sets the noise of the base, with the bias held where it is. A bias can
    by itself make more errors than the target.

    Examples
    --------
    >>> from embrm.simulate import PerfectAnnotator
    >>> annotator = BiasedAnnotator(PerfectAnnotator(), [10, 30, 20, 20], strength=1.0)
    >>> annotator.probabilities([0.5, 0.5], ids=[[0, 1], [2, 3]])
    array([0., 1.])
    >>> first_is_better = BiasedAnnotator(PerfectAnnotator(), position=0.2)
    >>> first_is_better.probabilities([0.1, -0.1, -0.3])
    array([1., 1., 0.])
    """

    base: SingleAnnotator
    covariate: ArrayLike | Literal["length"] | None = None
    strength: float = 0.0
    position: float = 0.0

    def __post_init__(self) -> None:
        as_single(self.base, "BiasedAnnotator")
        check_number(self.strength, "strength")
        check_number(self.position, "position")
        if self.covariate is None:
            if self.strength:
                raise invalid_input(
                    "a covariate for a bias of non-zero strength",
                    "None",
                    "pass covariate='length', or one number per item",
                )
        elif isinstance(self.covariate, str):
            if self.covariate != "length":
                raise invalid_input(
                    "the covariate 'length', or one number per item",
                    repr(self.covariate)[:60],
                    "pass the covariate as an array",
                )
        else:
            _in_standard_deviations(self.covariate)

    @property
    def scale(self) -> Scale:
        """What gold is divided by: the base's scale."""
        return self.base.scale

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Ask the base about the shifted deltas."""
        shifted = delta + self.position
        if self.covariate is not None:
            worth = self._covariate_of(ids)
            shifted += self.strength * (worth[:, 0] - worth[:, 1])
        return self.base.outcomes(shifted, ids)

    def rescaled(self, scale: float) -> "BiasedAnnotator":
        """Copy this annotator with another scale of its base."""
        return replace(self, base=self.base.rescaled(scale))

    def for_pool(self, pool: CandidatePool) -> "BiasedAnnotator":
        """Look up the length of the pool's responses; check the covariate's length."""
        base = self.base.for_pool(pool)
        if self.covariate is None:
            return replace(self, base=base)
        if isinstance(self.covariate, str):
            return replace(self, base=base, covariate=_lengths(pool))
        shape = np.shape(self.covariate)
        if shape != (len(pool),):
            raise invalid_input(
                f"a covariate of shape ({len(pool)},), one number per item",
                f"shape {shape}",
                "pass the covariate of the pool that is annotated",
            )
        return replace(self, base=base)

    def noise_parameter(self) -> Noise | None:
        """Name the noise parameter of the base."""
        return self.base.noise_parameter()

    def with_noise(self, value: float) -> "BiasedAnnotator":
        """Copy this annotator with another noise of its base."""
        return replace(self, base=as_single(self.base.with_noise(value), "a bias"))

    def _covariate_of(self, ids: IntArray | None) -> FloatArray:
        if isinstance(self.covariate, str) or self.covariate is None:
            raise invalid_input(
                "an annotator that knows the pool's lengths",
                "covariate='length' alone",
                "use simulate(pool, ...), or annotator.for_pool(pool) first",
            )
        if ids is None:
            raise invalid_input(
                "ids of the pairs, to look up the covariate",
                "None",
                "pass ids of shape (n_pairs, 2)",
            )
        return _in_standard_deviations(self.covariate)[ids]


def _in_standard_deviations(covariate: Any) -> FloatArray:
    values = as_numbers(covariate, "covariate")
    if values.ndim != 1 or not np.isfinite(values).all():
        raise invalid_input(
            "a covariate of shape (n_items,), finite",
            f"shape {values.shape}, {int((~np.isfinite(values)).sum())} not finite",
            "pass one number per item of the pool",
        )
    spread = float(np.std(values)) if len(values) else 0.0
    # A constant covariate tells no items apart.
    return values / spread if spread > 0 else np.zeros_like(values)


def _lengths(pool: CandidatePool) -> FloatArray:
    if pool.texts is None:
        raise invalid_input(
            "a pool with texts for covariate='length'",
            "a pool without",
            "pass the lengths themselves as covariate, one number per item",
        )
    return np.array([float(len(response)) for _, response in pool.texts])
