"""Annotators with a bias to length or place; panels that share the work, or vote."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import (
    as_numbers,
    check_choice,
    check_count,
    check_deltas,
    check_number,
    check_random_state,
    type_name,
)
from embrm.exceptions import invalid_input
from embrm.pool import CandidatePool
from embrm.simulate.annotation import (
    Annotation,
    Annotator,
    Noise,
    Outcomes,
    Scale,
    SingleAnnotator,
    WrappingAnnotator,
    as_single,
    draw_labels,
    expected_label,
    majority_outcomes,
)


@dataclass(frozen=True, eq=False)
class BiasedAnnotator(WrappingAnnotator):
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
        super().__post_init__()
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

    def outcomes(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Ask the base about the shifted deltas."""
        shifted = delta + self.position
        if self.covariate is not None:
            worth = self._covariate_of(ids)
            shifted += self.strength * (worth[:, 0] - worth[:, 1])
        return self.base.outcomes(shifted, ids)

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


@dataclass(frozen=True)
class AnnotatorPanel(Annotator):
    """Annotators, each with its own noise and share of the work.

    Each vote on a pair is given by a member drawn by share, independently of the other
    votes: members are kinds of annotator ("a careful third, a hasty rest").

    Parameters
    ----------
    annotators : sequence of annotators
        All of the same scale.
    shares : sequence of float >= 0, optional
        Share of the work of each; made to add up to one. None means equal shares.
    votes : int >= 1, default=1
        Votes on each pair.
    aggregate : {"single", "majority", "soft"}, default="single"
        "single": one vote is the label. "majority": the side with more votes, 0.5 if
        there are as many for both (a tied vote counts for neither). "soft": the mean
        of the votes.

    Examples
    --------
    >>> from embrm.simulate import BradleyTerryAnnotator, FlipAnnotator
    >>> panel = AnnotatorPanel(
    ...     [BradleyTerryAnnotator(beta=3.0), FlipAnnotator(0.4)],
    ...     shares=[1, 2],
    ...     votes=3,
    ...     aggregate="majority",
    ... )
    >>> panel.probabilities([1.0, 3.0]).round(3)
    array([0.806, 0.825])
    >>> annotation = panel.annotate([1.0, 3.0], random_state=0)
    >>> annotation.y.shape, annotation.annotator_ids.shape, annotation.votes.shape
    ((2,), (2, 3), (2, 3))
    """

    annotators: Sequence[SingleAnnotator]
    shares: Sequence[float] | None = None
    votes: int = 1
    aggregate: Literal["single", "majority", "soft"] = "single"
    noise: ClassVar = Noise("scale", 1e-4, 1e4, logarithmic=True)

    def __post_init__(self) -> None:
        if not hasattr(self.annotators, "__len__") or not len(self.annotators):
            raise invalid_input(
                "a sequence of one annotator or more",
                type_name(self.annotators) if self.annotators else "none",
                "pass a list, e.g. [BradleyTerryAnnotator(), FlipAnnotator(0.1)]",
            )
        for member in self.annotators:
            as_single(member, "AnnotatorPanel")
        scales = {member.scale for member in self.annotators}
        if len(scales) > 1:
            raise invalid_input(
                "members of the same scale, which is the panel's",
                f"scales {sorted(map(str, scales))}",
                "give all members the same scale=...",
            )
        self._share_of_each()
        check_count(self.votes, "votes")
        check_choice(self.aggregate, "aggregate", ("single", "majority", "soft"))
        if self.aggregate == "single" and self.votes > 1:
            raise invalid_input(
                "one vote where aggregate is 'single'",
                f"votes={self.votes}",
                "use aggregate='majority' or 'soft'",
            )

    @property
    def scale(self) -> Scale:
        """What gold is divided by: the members' scale."""
        return self.annotators[0].scale

    def probabilities(
        self, delta: ArrayLike, ids: ArrayLike | None = None
    ) -> FloatArray:
        """Compute the expected label, over members and votes.

        Parameters
        ----------
        delta : array-like of shape (n_pairs,)
            Gold of first minus gold of second, divided by the scale; any size.
        ids : array-like of int of shape (n_pairs, 2), optional
            The pairs, for members that look at the items' covariates.

        Returns
        -------
        ndarray of shape (n_pairs,), float64 in [0, 1]
        """
        checked = check_deltas(delta)
        first, tie = self._one_vote(checked, None if ids is None else np.asarray(ids))
        if self.aggregate == "majority":
            first, tie = majority_outcomes(first, tie, self.votes)
        return expected_label(first, tie)

    def annotate(
        self,
        delta: ArrayLike,
        ids: ArrayLike | None = None,
        random_state: RandomState = None,
    ) -> Annotation:
        """Draw members, their votes, and sum these up to labels.

        Parameters
        ----------
        delta : array-like of shape (n_pairs,)
            Gold of first minus gold of second, divided by the scale.
        ids : array-like of int of shape (n_pairs, 2), optional
            The pairs, for members that look at the items' covariates.
        random_state : int, Generator, RandomState or None, default=None

        Returns
        -------
        Annotation
            With annotator ids, positions in `annotators`.
        """
        rng = check_random_state(random_state)
        checked = check_deltas(delta)
        pairs = None if ids is None else np.asarray(ids)
        expected = self.probabilities(checked, pairs)
        who = rng.choice(
            len(self.annotators),
            size=(len(checked), self.votes),
            p=self._share_of_each(),
        )
        votes = np.stack(
            [self._vote(column, checked, pairs, rng) for column in who.T], axis=1
        )
        if self.votes == 1:
            return Annotation(votes[:, 0], expected, who[:, 0])
        mean = votes.mean(axis=1)
        y = mean if self.aggregate == "soft" else (np.sign(mean - 0.5) + 1) / 2
        return Annotation(y, expected, who, votes)

    def rescaled(self, scale: float) -> "AnnotatorPanel":
        """Copy this panel with another scale of all members."""
        return replace(
            self, annotators=[member.rescaled(scale) for member in self.annotators]
        )

    def with_noise(self, value: float) -> "AnnotatorPanel":
        """Copy this panel with another scale of all members."""
        return self.rescaled(value)

    def for_pool(self, pool: CandidatePool) -> "AnnotatorPanel":
        """Check all members against a pool."""
        return replace(
            self, annotators=[member.for_pool(pool) for member in self.annotators]
        )

    def _share_of_each(self) -> FloatArray:
        n_members = len(self.annotators)
        if self.shares is None:
            return np.full(n_members, 1 / n_members)
        shares = as_numbers(self.shares, "shares")
        right = shares.shape == (n_members,) and np.isfinite(shares).all()
        if not right or (shares < 0).any() or shares.sum() == 0:
            raise invalid_input(
                f"{n_members} shares >= 0, one per annotator, not all zero",
                f"shape {shares.shape}"
                if shares.ndim != 1
                else f"{len(shares)} shares"
                f" from {shares.min(initial=0):g} to {shares.max(initial=0):g}",
                "pass the share of the work that each does",
            )
        return np.asarray(shares / shares.sum())

    def _one_vote(self, delta: FloatArray, ids: IntArray | None) -> Outcomes:
        """Compute the outcomes of a vote of an unknown member."""
        first, tie = np.zeros((2, *delta.shape))
        for member, share in zip(self.annotators, self._share_of_each(), strict=True):
            of_member, tie_of_member = member.outcomes(delta, ids)
            first += share * of_member
            if tie_of_member is not None:
                tie += share * tie_of_member
        return first, tie if tie.any() else None

    def _vote(
        self,
        who: IntArray,
        delta: FloatArray,
        ids: IntArray | None,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Draw one vote on every pair, each by its own member."""
        first, tie = np.zeros((2, len(delta)))
        for i, member in enumerate(self.annotators):
            at = np.flatnonzero(who == i)
            if len(at):
                of_member, tie_of_member = member.outcomes(
                    delta[at], None if ids is None else ids[at]
                )
                first[at] = of_member
                tie[at] = 0.0 if tie_of_member is None else tie_of_member
        return draw_labels(first, tie, rng)
