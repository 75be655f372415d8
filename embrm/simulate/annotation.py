"""The contract of annotators: gold differences in, probabilities and labels out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_deltas, check_random_state, invalid_input, type_name
from embrm.pool import CandidatePool
from embrm.simulate.scale import Scale, check_scale

Outcomes: TypeAlias = tuple[FloatArray, FloatArray | None]
"""P(first preferred) and P(tie), each (n_pairs,); None where there are no ties."""


class Noise(NamedTuple):
    """The parameter that says how noisy an annotator is, and where to look for it.

    The bounds of "scale" are in standard deviations of gold, all others as they are.
    """

    name: str
    low: float
    high: float
    logarithmic: bool


@dataclass(frozen=True, eq=False)
class Annotation:
    """Labels of some pairs, and what is known about how they came about.

    Attributes
    ----------
    y : ndarray of shape (n_pairs,), float64 in [0, 1]
        1 where first is preferred, 0 where second is, 0.5 for a tie; the mean of
        several votes where a panel gives soft labels.
    probabilities : ndarray of shape (n_pairs,)
        Expected value of y: P(first preferred), a tie counting one half.
    annotator_ids : ndarray of int of shape (n_pairs,) or (n_pairs, votes), or None
        Which member of a panel gave each vote.
    votes : ndarray of shape (n_pairs, votes) or None
        The votes, where y sums up several.
    """

    y: FloatArray
    probabilities: FloatArray
    annotator_ids: IntArray | None = None
    votes: FloatArray | None = None


class Annotator(ABC):
    """Turns gold differences into labels, with its noise.

    Attributes
    ----------
    scale : {"std", "within_prompt_std"} or float > 0
        What gold is divided by before this annotator sees it: see `gold_scale`. The
        deltas handed to the methods are already divided.
    """

    noise: ClassVar[Noise | None] = None

    @property
    @abstractmethod
    def scale(self) -> Scale:
        """What gold is divided by."""

    @abstractmethod
    def probabilities(
        self, delta: ArrayLike, ids: ArrayLike | None = None
    ) -> FloatArray:
        """Compute P(first preferred), a tie counting one half.

        Parameters
        ----------
        delta : array-like of shape (n_pairs,)
            Gold of first minus gold of second, divided by the scale; any size.
        ids : array-like of int of shape (n_pairs, 2), optional
            The pairs, for annotators that look at the items' covariates.

        Returns
        -------
        ndarray of shape (n_pairs,), float64 in [0, 1]
        """

    @abstractmethod
    def annotate(
        self,
        delta: ArrayLike,
        ids: ArrayLike | None = None,
        random_state: RandomState = None,
    ) -> Annotation:
        """Draw labels.

        Parameters
        ----------
        delta : array-like of shape (n_pairs,)
            Gold of first minus gold of second, divided by the scale.
        ids : array-like of int of shape (n_pairs, 2), optional
            The pairs, for annotators that look at the items' covariates.
        random_state : int, Generator, RandomState or None, default=None

        Returns
        -------
        Annotation
        """

    @abstractmethod
    def rescaled(self, scale: float) -> "Annotator":
        """Copy this annotator with another scale."""

    @abstractmethod
    def for_pool(self, pool: CandidatePool) -> "Annotator":
        """Check this annotator against a pool; look up what it names there."""

    def noise_parameter(self) -> Noise | None:
        """Say which parameter `calibrate` sets; None if there is none."""
        return self.noise

    def with_noise(self, value: float) -> "Annotator":
        """Copy this annotator with another value of its noise parameter."""
        changed: Any = {self.noise.name: value} if self.noise else {}
        return replace(self, **changed)  # type: ignore[type-var]


class SingleAnnotator(Annotator):
    """An annotator whose labels are independent draws of first, second or tie."""

    @abstractmethod
    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Compute P(first preferred) and P(tie) of checked, scaled deltas."""

    def probabilities(
        self, delta: ArrayLike, ids: ArrayLike | None = None
    ) -> FloatArray:
        """Compute P(first preferred), a tie counting one half.

        Parameters
        ----------
        delta : array-like of shape (n_pairs,)
            Gold of first minus gold of second, divided by the scale; any size.
        ids : array-like of int of shape (n_pairs, 2), optional
            The pairs, for annotators that look at the items' covariates.

        Returns
        -------
        ndarray of shape (n_pairs,), float64 in [0, 1]
        """
        return expected_label(*self.outcomes(check_deltas(delta), _as_ids(ids)))

    def annotate(
        self,
        delta: ArrayLike,
        ids: ArrayLike | None = None,
        random_state: RandomState = None,
    ) -> Annotation:
        """Draw labels.

        Parameters
        ----------
        delta : array-like of shape (n_pairs,)
            Gold of first minus gold of second, divided by the scale.
        ids : array-like of int of shape (n_pairs, 2), optional
            The pairs, for annotators that look at the items' covariates.
        random_state : int, Generator, RandomState or None, default=None

        Returns
        -------
        Annotation
        """
        rng = check_random_state(random_state)
        first, tie = self.outcomes(check_deltas(delta), _as_ids(ids))
        return Annotation(draw_labels(first, tie, rng), expected_label(first, tie))

    def rescaled(self, scale: float) -> "SingleAnnotator":
        """Copy this annotator with another scale."""
        changed: Any = {"scale": scale}
        return replace(self, **changed)  # type: ignore[type-var]

    def for_pool(self, pool: CandidatePool) -> "SingleAnnotator":
        """Check this annotator against a pool; look up what it names there."""
        del pool
        return self


class ScaledAnnotator(SingleAnnotator):
    """A single annotator that has a scale of its own, checked when it is made."""

    scale: Scale = "std"

    def __post_init__(self) -> None:
        check_scale(self.scale)


def expected_label(first: FloatArray, tie: FloatArray | None) -> FloatArray:
    """Compute E[y] from the outcomes, shape (n_pairs,)."""
    return first if tie is None else first + tie / 2


def draw_labels(
    first: FloatArray, tie: FloatArray | None, rng: np.random.Generator
) -> FloatArray:
    """Draw labels 1, 0.5 or 0 by one uniform number per pair.

    The numbers do not depend on the annotator: with the same seed, a less noisy one
    errs on fewer of the same pairs.
    """
    uniform = rng.random(first.shape)
    labels = (uniform < first).astype(np.float64)
    if tie is not None:
        labels[(uniform >= first) & (uniform < first + tie)] = 0.5
    return labels


def as_annotator(annotator: Any) -> Annotator:
    """Refuse what is no annotator, such as its class or a pairing design."""
    if not isinstance(annotator, Annotator):
        raise invalid_input(
            "an annotator",
            type_name(annotator),
            "e.g. BradleyTerryAnnotator(); the order is simulate(pool, design, "
            "annotator, n_pairs)",
        )
    return annotator


def as_single(base: Any, whose: str) -> SingleAnnotator:
    """Refuse to wrap what is no single annotator."""
    if not isinstance(base, SingleAnnotator):
        raise invalid_input(
            f"an annotator for {whose}",
            type_name(base),
            "e.g. BradleyTerryAnnotator(); wrap the members of a panel, not the panel",
        )
    return base


def _as_ids(ids: ArrayLike | None) -> IntArray | None:
    return None if ids is None else np.asarray(ids)
