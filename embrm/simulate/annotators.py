r"""Annotators: from gold differences to labels, with noise.

All of them see :math:`\Delta`, the gold of first minus the gold of second, divided by
their `scale`, and choose first with a probability that depends on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_positive, check_share
from embrm.exceptions import invalid_input
from embrm.simulate.annotation import (
    Annotation,
    Annotator,
    Noise,
    Outcomes,
    Scale,
    ScaledAnnotator,
    SingleAnnotator,
    WrappingAnnotator,
)
from embrm.simulate.biased import AnnotatorPanel, BiasedAnnotator

__all__ = [
    "Annotation",
    "Annotator",
    "AnnotatorPanel",
    "BiasedAnnotator",
    "BradleyTerryAnnotator",
    "CallableAnnotator",
    "FlipAnnotator",
    "LapseAnnotator",
    "PerfectAnnotator",
    "SingleAnnotator",
    "ThurstoneAnnotator",
    "TieAnnotator",
]


@dataclass(frozen=True)
class BradleyTerryAnnotator(ScaledAnnotator):
    r"""Logistic choice: :math:`P(first) = \sigma(\beta \Delta)`.

    What an annotator does who adds independent Gumbel noise to each gold score.

    Parameters
    ----------
    beta : float > 0, default=1.0
        Nats per unit of scaled gold; larger is less noisy.
    scale : {"std", "within_prompt_std"} or float > 0, default="std"
        What gold is divided by: see `gold_scale`.

    Examples
    --------
    >>> BradleyTerryAnnotator(beta=2.0).probabilities([0.0, 1.0, 1e4]).round(3)
    array([0.5  , 0.881, 1.   ])
    """

    beta: float = 1.0
    scale: Scale = "std"
    noise: ClassVar = Noise("beta", 1e-6, 1e6, logarithmic=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self.beta, "beta")

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Compute the logistic choice probability."""
        del ids
        return _logistic(self.beta, delta), None


@dataclass(frozen=True)
class ThurstoneAnnotator(ScaledAnnotator):
    r"""Gaussian choice: :math:`P(first) = \Phi(\Delta / (s \sqrt 2))`, s = `sigma`.

    What an annotator does who adds independent noise N(0, s²) to each gold score.

    Parameters
    ----------
    sigma : float > 0, default=1.0
        Standard deviation of the noise on one item, in units of scaled gold.
    scale : {"std", "within_prompt_std"} or float > 0, default="std"
        What gold is divided by: see `gold_scale`.

    Notes
    -----
    Close to Bradley-Terry with :math:`s \sqrt 2 \approx 1.702 / \beta`.

    Examples
    --------
    >>> ThurstoneAnnotator(sigma=1.0).probabilities([0.0, 1.0, -1e4]).round(3)
    array([0.5 , 0.76, 0.  ])
    """

    sigma: float = 1.0
    scale: Scale = "std"
    noise: ClassVar = Noise("sigma", 1e-6, 1e6, logarithmic=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self.sigma, "sigma")

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Compute the Gaussian choice probability."""
        del ids
        with np.errstate(over="ignore"):
            first: FloatArray = ndtr(delta / (self.sigma * np.sqrt(2)))
        return first, None


@dataclass(frozen=True)
class PerfectAnnotator(ScaledAnnotator):
    """Always prefer the higher gold; equal gold is a tie, label 0.5.

    Parameters
    ----------
    scale : {"std", "within_prompt_std"} or float > 0, default="std"
        What gold is divided by: of no effect on the labels, only on reported deltas.

    Examples
    --------
    >>> PerfectAnnotator().annotate([-1.0, 0.0, 1e-9]).y
    array([0. , 0.5, 1. ])
    """

    scale: Scale = "std"

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Compute 1 or 0, and ties where gold is equal."""
        del ids
        return _flipped(delta, 0.0)


@dataclass(frozen=True)
class FlipAnnotator(ScaledAnnotator):
    """Prefer the higher gold, but err on a given share of pairs, however clear.

    Equal gold is a tie, label 0.5.

    Parameters
    ----------
    rate : float in [0, 1]
        P(label wrong) where gold differs.
    scale : {"std", "within_prompt_std"} or float > 0, default="std"
        What gold is divided by: of no effect on the labels, only on reported deltas.

    Examples
    --------
    >>> FlipAnnotator(0.1).probabilities([-5.0, 0.0, 0.01])
    array([0.1, 0.5, 0.9])
    """

    rate: float
    scale: Scale = "std"
    noise: ClassVar = Noise("rate", 0.0, 0.5, logarithmic=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.rate, "rate of flipped labels")

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Compute 1 - rate or rate, and ties where gold is equal."""
        del ids
        return _flipped(delta, self.rate)


@dataclass(frozen=True)
class TieAnnotator(ScaledAnnotator):
    r"""Bradley-Terry with ties, label 0.5 (Rao and Kupper 1967).

    :math:`P(first) = \sigma(\beta \Delta - t)`,
    :math:`P(second) = \sigma(-\beta \Delta - t)`, a tie otherwise.

    Parameters
    ----------
    beta : float > 0, default=1.0
        Nats per unit of scaled gold; larger is less noisy.
    threshold : float >= 0, default=0.5
        t, the log of Rao and Kupper's theta, in nats: by how much a response must be
        perceived as better to be preferred. 0 is Bradley-Terry.
    scale : {"std", "within_prompt_std"} or float > 0, default="std"
        What gold is divided by: see `gold_scale`.

    Examples
    --------
    >>> annotator = TieAnnotator(beta=1.0, threshold=1.0)
    >>> first, tie = annotator.outcomes(np.array([0.0, 3.0]), None)
    >>> tie.round(3)
    array([0.462, 0.101])
    >>> annotator.probabilities([0.0, 3.0]).round(3)
    array([0.5  , 0.931])
    """

    beta: float = 1.0
    threshold: float = 0.5
    scale: Scale = "std"
    noise: ClassVar = Noise("beta", 1e-6, 1e6, logarithmic=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self.beta, "beta")
        check_positive(self.threshold, "threshold", zero=True)

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Compute the probabilities of Rao and Kupper's model."""
        del ids
        with np.errstate(over="ignore"):
            felt = self.beta * delta
        # The difference of the two smaller terms: no cancellation for large |delta|.
        far = np.abs(felt)
        tie = expit(self.threshold - far) - expit(-self.threshold - far)
        return expit(felt - self.threshold), tie


@dataclass(frozen=True)
class CallableAnnotator(ScaledAnnotator):
    r"""Any :math:`P(correct) = \xi(|\Delta|)`: monotone, with :math:`\xi(0) = 1/2`.

    Parameters
    ----------
    xi : callable
        Takes an array of :math:`|\Delta| \ge 0` and returns P(correct) in [1/2, 1] for
        each. Checked on a grid up to 1e4 when the annotator is made.
    scale : {"std", "within_prompt_std"} or float > 0, default="std"
        What gold is divided by: see `gold_scale`. It is what `calibrate` sets.

    Examples
    --------
    >>> annotator = CallableAnnotator(lambda distance: 1 - 0.5 / (1 + distance))
    >>> annotator.probabilities([-1.0, 0.0, 1.0])
    array([0.25, 0.5 , 0.75])
    """

    xi: Callable[[FloatArray], ArrayLike]
    scale: Scale = "std"
    noise: ClassVar = Noise("scale", 1e-4, 1e4, logarithmic=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.xi):
            raise invalid_input(
                "a callable xi",
                type(self.xi).__name__,
                "pass a function of an array of |delta|",
            )
        grid = np.concatenate([[0.0], np.geomspace(1e-6, 1e4, 201)])
        correct = self._correct(grid)
        if abs(correct[0] - 0.5) > 1e-9:
            raise invalid_input(
                "xi(0) = 1/2, as equal responses are ordered by chance",
                f"{correct[0]:g}",
                "e.g. 1 - 0.5 * exp(-distance)",
            )
        falls = np.diff(correct) < -1e-12
        if falls.any():
            raise invalid_input(
                "a xi that does not decrease",
                f"a fall beyond |delta| = {grid[np.argmax(falls)]:.3g}",
                "a larger difference must not be harder to see",
            )

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Evaluate xi, mirrored for negative deltas."""
        del ids
        correct = self._correct(np.abs(delta))
        return np.where(delta < 0, 1 - correct, correct), None

    def _correct(self, distance: FloatArray) -> FloatArray:
        correct = np.asarray(self.xi(distance), dtype=np.float64)
        if correct.shape != distance.shape:
            raise invalid_input(
                f"xi to return an array of the shape it is given, {distance.shape}",
                f"shape {correct.shape}",
                "write xi with numpy functions, or wrap it in numpy.vectorize",
            )
        within = (correct >= 0.5 - 1e-9) & (correct <= 1 + 1e-9)
        if not within.all():
            at = np.argmin(within)
            raise invalid_input(
                "xi in [1/2, 1]",
                f"{correct.flat[at]:g} at |delta| = {distance.flat[at]:.3g}",
                "xi is P(correct), which is never below chance",
            )
        return np.clip(correct, 0.5, 1.0)


def _logistic(beta: float, delta: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        first: FloatArray = expit(beta * delta)
    return first


def _flipped(delta: FloatArray, rate: float) -> Outcomes:
    equal = delta == 0
    first = np.where(delta > 0, 1 - rate, np.where(equal, 0.0, rate))
    return first, (equal.astype(np.float64) if equal.any() else None)


@dataclass(frozen=True)
class LapseAnnotator(WrappingAnnotator):
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
        super().__post_init__()
        check_share(self.rate, "rate of lapses")

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Mix the base's outcomes with a fair coin."""
        first, tie = self.base.outcomes(delta, ids)
        attentive = 1 - self.rate
        mixed = attentive * first + self.rate / 2
        return mixed, None if tie is None else attentive * tie
