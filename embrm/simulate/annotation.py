"""The contract of annotators: gold differences in, probabilities and labels out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import lgamma
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtrc, xlog1py, xlogy

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import (
    check_deltas,
    check_positive,
    check_random_state,
    type_name,
)
from embrm.exceptions import invalid_input
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.design import PromptLayout

Scale: TypeAlias = float | Literal["std", "within_prompt_std"]
"""What a gold difference is divided by: see `gold_scale`."""


def check_scale(scale: Any) -> None:
    """Refuse what is neither a known name nor a number > 0."""
    if isinstance(scale, str):
        if scale not in ("std", "within_prompt_std"):
            raise invalid_input(
                "scale 'std', 'within_prompt_std' or a number > 0",
                repr(scale)[:60],
                "use 'std' to divide gold by its standard deviation over the pool",
            )
        return
    check_positive(scale, "scale")


def gold_scale(pool: CandidatePool, scale: Scale) -> float:
    r"""Compute the number that gold differences are divided by.

    Parameters
    ----------
    pool : CandidatePool
        With gold.
    scale : {"std", "within_prompt_std"} or float > 0
        "std" is the standard deviation of gold over all items (:math:`1 / n`).
        "within_prompt_std" is the pooled one around the mean of each prompt,
        :math:`\sqrt{\sum_i (g_i - \bar g_{x(i)})^2 / (n - P)}` for n items and P
        prompts: one number, so that cross-prompt pairs have a scale too. A float is
        taken as it is, in units of gold.

    Returns
    -------
    float > 0, in units of gold

    Raises
    ------
    InvalidInputError
        If the pool has no gold, or gold does not vary (within prompts).

    Examples
    --------
    >>> import numpy as np
    >>> pool = CandidatePool(np.eye(4), ["a", "a", "b", "b"], gold=[0, 2, 10, 12])
    >>> round(gold_scale(pool, "std"), 3)
    5.099
    >>> round(gold_scale(pool, "within_prompt_std"), 3)
    1.414
    >>> gold_scale(pool, 6.0)
    6.0
    """
    check_scale(scale)
    if not isinstance(scale, str):
        return float(scale)
    gold = require_gold(pool, f"scale={scale!r}")
    spread = float(np.std(gold)) if scale == "std" else _within_prompt_std(pool, gold)
    # A mean is rounded: equal scores may leave a spread of that order.
    if not spread > 1e-12 * float(np.abs(gold).max(initial=0.0)):
        where = "" if scale == "std" else " within prompts"
        raise invalid_input(
            f"gold that varies{where}, to be scaled by {scale!r}",
            "equal scores",
            "check the gold scores, or pass scale as a number",
        )
    return spread


def _within_prompt_std(pool: CandidatePool, gold: FloatArray) -> float:
    codes = PromptLayout.of(pool).codes
    means = np.bincount(codes, weights=gold) / pool.sizes
    freedom = len(pool) - len(pool.sizes)
    squares = float(np.square(gold - means[codes]).sum())
    return float(np.sqrt(squares / freedom)) if freedom else 0.0


Outcomes: TypeAlias = tuple[FloatArray, FloatArray | None]
"""P(first preferred) and P(tie), each (n_pairs,); None where there are no ties."""


class Noise(NamedTuple):
    """The noise parameter of an annotator, and its range.

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

    @classmethod
    def joined(cls, parts: Sequence["Annotation"]) -> "Annotation":
        """Put the labels that one annotator gave one after another in one piece."""
        if len(parts) == 1:
            return parts[0]
        values = ([getattr(part, f.name) for part in parts] for f in fields(cls))
        whole: list[Any] = [None if v[0] is None else np.concatenate(v) for v in values]
        return cls(*whole)


class Annotator(ABC):
    """Turns gold differences into labels, with its noise.

    Attributes
    ----------
    scale : {"std", "within_prompt_std"} or float > 0
        The scale that gold is divided by for this annotator: see `gold_scale`. The
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


class WrappingAnnotator(SingleAnnotator):
    """A single annotator that acts on what another one, its `base`, does."""

    base: SingleAnnotator

    def __post_init__(self) -> None:
        as_single(self.base, type(self).__name__)

    @property
    def scale(self) -> Scale:
        """What gold is divided by: the base's scale."""
        return self.base.scale

    def rescaled(self, scale: float) -> "SingleAnnotator":
        """Copy this annotator with another scale of its base."""
        return self._around(self.base.rescaled(scale))

    def for_pool(self, pool: CandidatePool) -> "SingleAnnotator":
        """Check the base against a pool."""
        return self._around(self.base.for_pool(pool))

    def _around(self, base: SingleAnnotator) -> "SingleAnnotator":
        own: Any = self
        made: SingleAnnotator = replace(own, base=base)
        return made


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


def majority_outcomes(
    first: FloatArray, tie: FloatArray | None, n_votes: int
) -> Outcomes:
    r"""Compute the outcome of the majority from the outcome of one vote.

    With j of V votes tied, the m = V - j others are binomial with probability
    :math:`q = p_1 / (1 - p_0)`; more than m / 2 for first are needed.

    Parameters
    ----------
    first : ndarray of shape (n_pairs,)
        P(one vote is for first).
    tie : ndarray of shape (n_pairs,) or None
        P(one vote is a tie).
    n_votes : int >= 1
        V.

    Returns
    -------
    first : ndarray of shape (n_pairs,)
        P(more votes for first than for second).
    tie : ndarray of shape (n_pairs,) or None
        P(as many for either).

    Examples
    --------
    >>> majority_outcomes(np.array([0.5, 0.7]), None, 3)[0].round(3)
    array([0.5  , 0.784])
    """
    if n_votes == 1:
        return first, tie
    tied = np.zeros_like(first) if tie is None else tie
    decided = 1 - tied
    share = np.divide(first, decided, out=np.zeros_like(first), where=decided > 0)
    share = np.clip(share, 0.0, 1.0)
    win, draw = np.zeros_like(first), np.zeros_like(first)
    for n_tied in range(n_votes + 1 if tie is not None else 1):
        n_decided = n_votes - n_tied
        weight = _binomial(n_votes, n_tied, tied)
        if n_decided:
            win += weight * bdtrc(n_decided // 2, n_decided, share)
        if n_decided % 2 == 0:
            draw += weight * _binomial(n_decided, n_decided // 2, share)
    return win, draw if draw.any() else None


def _binomial(n: int, k: int, p: FloatArray) -> FloatArray:
    """Compute P(k of n), by logarithms: no overflow for any n."""
    log_coefficient = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return np.asarray(np.exp(log_coefficient + xlogy(k, p) + xlog1py(n - k, -p)))
