"""simulate: have an annotator label pairs that a design draws; calibrate its noise.

A noise parameter alone is not comparable: the effect of beta = 1 depends on the
distribution of gold and on the pairs. An error rate is comparable: `calibrate` sets an
annotator's noise by the error rate it should have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy.optimize import brentq

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_count, check_random_state, check_share
from embrm.exceptions import invalid_input
from embrm.pairs import Pairs
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.annotation import (
    Annotation,
    Annotator,
    Noise,
    as_annotator,
    gold_scale,
)
from embrm.simulate.design import PairingDesign, PromptLayout, as_design

AnyAnnotator = TypeVar("AnyAnnotator", bound=Annotator)
_N_BETWEEN = 49
# A hundredth of a percentage point; the promise is a tenth.
_TOLERANCE = 1e-4


def gold_error(labels: FloatArray, gold_delta: FloatArray) -> float:
    r"""Compute the share of labels that disagree with gold.

    Parameters
    ----------
    labels : ndarray of shape (n_pairs,) in [0, 1]
        Drawn labels, or probabilities: then the result is the expected share.
    gold_delta : ndarray of shape (n_pairs,)
        In any unit; only its sign matters.

    Returns
    -------
    float in [0, 1]
        Mean of :math:`|y - 1[\Delta > 0]|` over the pairs with different gold: a tie
        is half an error, a soft label as much of one as it gives to the wrong side.
        NaN where no pair has different gold.

    Examples
    --------
    >>> gold_error(np.array([1.0, 1.0, 0.5, 0.0]), np.array([2.0, -1.0, 3.0, 0.0]))
    0.5
    """
    differ = gold_delta != 0
    n_differ = int(np.count_nonzero(differ))
    if not n_differ:
        return float("nan")
    disagreement = np.abs(labels - (gold_delta > 0))
    return float(np.sum(disagreement, where=differ)) / n_differ


def calibrate(
    annotator: AnyAnnotator,
    pool: CandidatePool,
    design: PairingDesign,
    error_rate: float = 0.3,
    *,
    n_pairs: int = 1_000_000,
    random_state: RandomState = None,
) -> AnyAnnotator:
    """Set an annotator's noise so that its labels err at a given rate.

    Parameters
    ----------
    annotator : Annotator
        Its noise parameter is set: `beta`, `sigma` or `rate`; the base's, for a biased
        annotator; `scale`, for a panel and for a callable.
    pool : CandidatePool
        With gold.
    design : PairingDesign
        Decides on which pairs the rate should be met.
    error_rate : float in [0, 0.5], default=0.3
        Wanted share of labels that disagree with gold, among pairs of different gold: a
        tie counts one half.
    n_pairs : int >= 1, default=1_000_000
        Pairs over which the rate is computed, from probabilities and not from drawn
        labels. Where the design can draw no more in this pool, the rate is exact; else
        its standard error is at most 0.05 percentage points, and mostly half of that.
    random_state : int, Generator, RandomState or None, default=None
        For the draw of the pairs.

    Returns
    -------
    Annotator
        A copy, of the same kind.

    Raises
    ------
    InvalidInputError
        If the rate cannot be reached, or the annotator has no noise parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.simulate import BradleyTerryAnnotator, SamePrompt, simulate
    >>> rng = np.random.default_rng(0)
    >>> pool = CandidatePool(
    ...     np.ones((400, 1)), np.repeat(np.arange(100), 4), rng.normal(size=400)
    ... )
    >>> design = SamePrompt()
    >>> annotator = calibrate(BradleyTerryAnnotator(), pool, design, error_rate=0.2)
    >>> round(annotator.beta, 2)
    1.67
    >>> round(simulate(pool, design, annotator, 600, 0).expected_error_rate, 6)
    0.2
    """
    check_share(error_rate, "error_rate", high=0.5)
    noise = as_annotator(annotator).noise_parameter()
    if noise is None:
        raise invalid_input(
            "an annotator with a noise parameter",
            type(annotator).__name__,
            "wrap it in LapseAnnotator, or use FlipAnnotator",
        )
    expected = _expected_error(annotator, pool, design, n_pairs, random_state)
    low, high = _bounds(annotator, pool, noise)

    def excess(at: float) -> float:
        value = float(np.exp(at)) if noise.logarithmic else at
        return expected(value) - error_rate

    found = _root(excess, low, high, error_rate)
    value = float(np.exp(found)) if noise.logarithmic else found
    calibrated: Any = annotator.with_noise(value)
    return calibrated  # type: ignore[no-any-return]


def _expected_error(
    annotator: Annotator,
    pool: CandidatePool,
    design: PairingDesign,
    n_pairs: int,
    random_state: RandomState,
) -> Callable[[float], float]:
    """Draw the pairs once; return the error rate as a function of the noise."""
    gold = require_gold(pool, "calibrate")
    n_pairs = check_count(n_pairs, "n_pairs")
    bound = annotator.for_pool(pool)
    ids = _typical_pairs(pool, as_design(design), n_pairs, random_state)
    delta = gold[ids[:, 0]] - gold[ids[:, 1]]
    ids, delta = ids[delta != 0], delta[delta != 0]
    if not len(ids):
        raise invalid_input(
            "pairs of different gold, to err on",
            "pairs of equal gold alone",
            "check the gold scores, or choose another design",
        )

    def expected(value: float) -> float:
        tried = bound.with_noise(value)
        scaled = delta / gold_scale(pool, tried.scale)
        return gold_error(tried.probabilities(scaled, ids), delta)

    return expected


def _typical_pairs(
    pool: CandidatePool,
    design: PairingDesign,
    n_pairs: int,
    random_state: RandomState,
) -> IntArray:
    """Take all pairs of a design, both ways round, or draw many."""
    n_possible = design.max_pairs(pool)
    if not (design.enumerates and 0 < n_possible <= n_pairs):
        return design.with_replacement().draw(pool, n_pairs, random_state)
    ids = design.with_replacement(replacement=False).draw(
        pool, n_possible, random_state
    )
    return np.concatenate([ids, ids[:, ::-1]])


def _bounds(
    annotator: Annotator, pool: CandidatePool, noise: Noise
) -> tuple[float, float]:
    low, high = noise.low, noise.high
    if noise.name == "scale":
        unit = gold_scale(pool, annotator.scale)
        low, high = low * unit, high * unit
    if noise.logarithmic:
        return float(np.log(low)), float(np.log(high))
    return low, high


def _root(
    excess: Callable[[float], float], low: float, high: float, target: float
) -> float:
    """Find the noise at which the excess is zero; the error names the range."""
    at = np.array([low, high])
    values = np.array([excess(low), excess(high)])
    if values[0] * values[1] > 0:
        # With a bias the rate need not be monotone in the noise: look in between.
        at = np.linspace(low, high, _N_BETWEEN)
        values = np.array([excess(each) for each in at.tolist()])
    closest = int(np.argmin(np.abs(values)))
    if abs(values[closest]) <= _TOLERANCE:
        return float(at[closest])
    crossing = np.flatnonzero(values[:-1] * values[1:] < 0)
    if not len(crossing):
        raise invalid_input(
            "an error_rate that this annotator can have on these pairs, "
            f"{values.min() + target:.2%} to {values.max() + target:.2%}",
            f"{target:.2%}",
            "choose a rate in that range, or another annotator or design",
        )
    left, right = at[crossing[0] : crossing[0] + 2].tolist()
    found = float(brentq(excess, left, right, xtol=1e-12, rtol=1e-12))
    missed = excess(found)
    if abs(missed) > _TOLERANCE:
        raise invalid_input(
            f"an error_rate that is not jumped over, such as {missed + target:.2%}",
            f"{target:.2%}, where the rate is not continuous in the noise",
            "use a continuous xi, or another error_rate",
        )
    return found


@dataclass(frozen=True)
class Diversity:
    """How diverse the drawn pairs are.

    Attributes
    ----------
    cross_prompt_share : float in [0, 1]
        Share of pairs whose items answer different prompts.
    mean_abs_delta : float >= 0
        Mean absolute gold difference, in units of scaled gold.
    n_items, n_prompts : int
        How many distinct items and prompts occur.
    """

    cross_prompt_share: float
    mean_abs_delta: float
    n_items: int
    n_prompts: int


@dataclass(frozen=True, eq=False)
class SimulatedPreferences:
    """Pairs with simulated labels, and the truth behind them.

    Attributes
    ----------
    pairs : Pairs
        Over the pool's items, which are shared.
    y : ndarray of shape (n_pairs,), float64 in [0, 1]
        Labels: 1 where first is preferred, 0 where second is, 0.5 for a tie.
    probabilities : ndarray of shape (n_pairs,)
        Expected value of y.
    gold_delta : ndarray of shape (n_pairs,)
        Gold of first minus gold of second, in units of gold.
    scale : float > 0
        What the annotator's gold was divided by.
    error_rate : float
        Share of labels that disagree with gold, among pairs of different gold: see
        `gold_error`.
    expected_error_rate : float
        The same of the probabilities.
    diversity : Diversity
    annotator_ids : ndarray of int of shape (n_pairs,) or (n_pairs, votes), or None
        Which member of a panel gave each vote.
    votes : ndarray of shape (n_pairs, votes) or None
        The votes of a panel, where there are several on a pair.
    """

    pairs: Pairs
    y: FloatArray
    probabilities: FloatArray
    gold_delta: FloatArray
    scale: float
    error_rate: float
    expected_error_rate: float
    diversity: Diversity
    annotator_ids: IntArray | None = None
    votes: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return (
            f"SimulatedPreferences({len(self)} pairs, "
            f"error rate {self.error_rate:.1%} "
            f"(expected {self.expected_error_rate:.1%}), "
            f"{self.diversity.cross_prompt_share:.0%} cross-prompt)"
        )

    def summary(self) -> dict[str, float]:
        """Return every scalar by name: one row of a table."""
        return {
            "n_pairs": len(self),
            "error_rate": self.error_rate,
            "expected_error_rate": self.expected_error_rate,
            "scale": self.scale,
            "cross_prompt_share": self.diversity.cross_prompt_share,
            "mean_abs_delta": self.diversity.mean_abs_delta,
            "n_items": self.diversity.n_items,
            "n_prompts": self.diversity.n_prompts,
        }


def simulate(
    pool: CandidatePool,
    design: PairingDesign,
    annotator: Annotator,
    n_pairs: int,
    random_state: RandomState = None,
) -> SimulatedPreferences:
    """Draw pairs by a design, and have an annotator label them.

    Parameters
    ----------
    pool : CandidatePool
        With gold. Its vectors are shared, and not read (except by designs that go by
        embedding distance).
    design : PairingDesign
        Decides which pairs.
    annotator : Annotator
        Labels them.
    n_pairs : int >= 1
    random_state : int, Generator, RandomState or None, default=None
        The same seed draws the same pairs whatever the annotator, those that
        `design.draw(pool, n_pairs, random_state)` draws.

    Returns
    -------
    SimulatedPreferences

    Raises
    ------
    InvalidInputError
        If the pool has no gold or too few pairs, or the annotator does not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.simulate import BradleyTerryAnnotator, SamePrompt
    >>> rng = np.random.default_rng(0)
    >>> pool = CandidatePool(
    ...     rng.normal(size=(200, 4)), np.repeat(np.arange(50), 4), rng.normal(size=200)
    ... )
    >>> preferences = simulate(pool, SamePrompt(), BradleyTerryAnnotator(), 150, 0)
    >>> preferences.pairs
    Pairs(150 pairs, 200 items, d=4, float64, 0% cross-prompt)
    >>> preferences
    SimulatedPreferences(150 pairs, error rate 30.7% (expected 29.4%), 0% cross-prompt)
    """
    gold = require_gold(pool, "a simulation")
    rng = check_random_state(random_state)
    bound = as_annotator(annotator).for_pool(pool)
    scale = gold_scale(pool, annotator.scale)
    told: list[Annotation] = []

    def ask(ids: IntArray) -> FloatArray:
        delta = (gold[ids[:, 0]] - gold[ids[:, 1]]) / scale
        told.append(bound.annotate(delta, ids, rng))
        return told[-1].y

    ids = as_design(design).draw_labelled(pool, n_pairs, ask, rng)
    gold_delta = gold[ids[:, 0]] - gold[ids[:, 1]]
    annotation = Annotation.joined(told)
    return SimulatedPreferences(
        pairs=pool.pairs(ids),
        y=annotation.y,
        probabilities=annotation.probabilities,
        gold_delta=gold_delta,
        scale=scale,
        error_rate=gold_error(annotation.y, gold_delta),
        expected_error_rate=gold_error(annotation.probabilities, gold_delta),
        diversity=_diversity(pool, ids, float(np.abs(gold_delta).mean()) / scale),
        annotator_ids=annotation.annotator_ids,
        votes=annotation.votes,
    )


def _diversity(pool: CandidatePool, ids: IntArray, mean_abs_delta: float) -> Diversity:
    codes = PromptLayout.of(pool).codes
    item_occurs = np.zeros(len(pool), dtype=bool)
    item_occurs[ids] = True
    prompt_occurs = np.zeros(len(pool.sizes), dtype=bool)
    prompt_occurs[codes[item_occurs]] = True
    crosses = codes[ids[:, 0]] != codes[ids[:, 1]]
    return Diversity(
        cross_prompt_share=float(crosses.mean()),
        mean_abs_delta=mean_abs_delta,
        n_items=int(item_occurs.sum()),
        n_prompts=int(prompt_occurs.sum()),
    )
