"""LapseAnnotator: sometimes not looking at all."""

from dataclasses import dataclass, replace
from typing import ClassVar

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_share
from embrm.pool import CandidatePool
from embrm.simulate.annotation import Noise, Outcomes, SingleAnnotator, as_single
from embrm.simulate.scale import Scale


@dataclass(frozen=True)
class LapseAnnotator(SingleAnnotator):
    r"""Toss a coin on a share of pairs, else do as another annotator.

    :math:`P(first) = (1 - \epsilon) p + \epsilon / 2`.

    Parameters
    ----------
    base : annotator
        Gives p; its scale is the scale of this one. No panel.
    rate : float in [0, 1]
        :math:`\epsilon`, the share of lapses. A lapse is never a tie.

    Examples
    --------
    >>> from embrm.simulate import PerfectAnnotator
    >>> LapseAnnotator(PerfectAnnotator(), 0.1).probabilities([-1.0, 0.0, 1.0])
    array([0.05, 0.5 , 0.95])
    """

    base: SingleAnnotator
    rate: float
    noise: ClassVar = Noise("rate", 0.0, 1.0, logarithmic=False)

    def __post_init__(self) -> None:
        as_single(self.base, "LapseAnnotator")
        check_share(self.rate, "rate of lapses")

    @property
    def scale(self) -> Scale:
        """What gold is divided by: the base's scale."""
        return self.base.scale

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Mix the base's outcomes with a fair coin."""
        first, tie = self.base.outcomes(delta, ids)
        attentive = 1 - self.rate
        mixed = attentive * first + self.rate / 2
        return mixed, None if tie is None else attentive * tie

    def rescaled(self, scale: float) -> "LapseAnnotator":
        """Copy this annotator with another scale of its base."""
        return replace(self, base=self.base.rescaled(scale))

    def for_pool(self, pool: CandidatePool) -> "LapseAnnotator":
        """Check the base against a pool."""
        return replace(self, base=self.base.for_pool(pool))
