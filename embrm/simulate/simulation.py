"""simulate: draw pairs by a design, have an annotator label them."""

from dataclasses import dataclass

import numpy as np

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_random_state
from embrm.pairs import Pairs
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.annotation import Annotation, Annotator, as_annotator, gold_scale
from embrm.simulate.calibration import gold_error
from embrm.simulate.design import PairingDesign, PromptLayout, as_design


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
