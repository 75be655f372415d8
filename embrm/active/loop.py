"""LabelLoop: propose, label, refit, again; and the same in simulation, with a curve."""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from embrm._typing import AnyArray, BoolArray, FloatArray, IntArray, RandomState
from embrm._validation import (
    check_choice,
    check_count,
    check_labels,
    check_pair_ids,
    check_positive,
    check_random_state,
    check_share,
    invalid_input,
)
from embrm.active.candidates import (
    Candidates,
    Pairing,
    draw_candidates,
    draw_on_policy,
)
from embrm.active.posterior import RewardPosterior
from embrm.active.registry import DEFAULT_STRATEGY, make_strategy
from embrm.active.strategy import Strategy
from embrm.active.values import RandomPairs
from embrm.evaluate.best_of_n import best_of_n_curve
from embrm.heads import LinearBradleyTerry
from embrm.heads.base import order_consistency
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.annotation import Annotator, as_annotator, gold_scale
from embrm.simulate.calibration import gold_error
from embrm.simulate.design import PairingDesign

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Proposal:
    """Pairs to label, and how each was chosen.

    Attributes
    ----------
    ids : ndarray of int of shape (n, 2)
        Rows of the pool.
    is_random : ndarray of bool of shape (n,)
        Drawn at random from the candidates; the others are the strategy's.
    held_out : ndarray of bool of shape (n,)
        To be evaluated on and never fitted on; all of them are random.
    propensity : ndarray of shape (n,)
        Chance of being among the random pairs of this proposal; NaN where the strategy
        chose, as others had no chance then.
    """

    ids: IntArray
    is_random: BoolArray
    held_out: BoolArray
    propensity: FloatArray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class LabelLoop:
    """What is labelled so far, what is believed by it, and what to label next.

    Parameters
    ----------
    pool : CandidatePool
    strategy : str or Strategy, default="v-optimal"
    head : LinearBradleyTerry, optional
        Unfitted; None means one with all at its defaults.
    pairing : {"same", "cross", "mixed"} or PairingDesign, default="same"
    n_candidates : int >= 1, default=20_000
        Drawn anew for each proposal.
    per_prompt : int, optional
        Most pairs of one prompt in a proposal.
    item_cost : array-like of shape (n_items,), optional
        Cost of reading each item.
    warm_start : int >= 0, default=50
        Labels that are drawn at random before the strategy has its say.
    random_share : float in [0, 1], default=0.2
        Of the later pairs: drawn at random, and fitted on. Parameters of the head are
        selected on such pairs.
    held_out_share : float in [0, 1), default=0.1
        Of all pairs: drawn at random, and only evaluated on. Figures from chosen pairs
        would be biased.
    refit : {"scratch", "partial"}, default="scratch"
        Whether `refit` fits on all labels, or updates the posterior by the new ones.
    on_policy : float > 0, optional
        Draw candidates in proportion to exp(reward / this), by the current reward.
    random_state : int, Generator, RandomState or None, default=None

    Attributes
    ----------
    ids, y, is_random, held_out : ndarrays
        What was labelled: rows of the pool, labels, and how they were chosen.
    head_ : LinearBradleyTerry or None
        Fitted by the last `refit`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> items = rng.normal(size=(40, 3))
    >>> loop = LabelLoop(CandidatePool(items, np.arange(40) // 4), random_state=0)
    >>> proposal = loop.propose(20)
    >>> int(proposal.held_out.sum())
    2
    >>> loop.add(proposal.ids, np.ones(20), is_random=proposal.is_random)
    >>> loop.refit().n_labels
    20
    """

    pool: CandidatePool
    strategy: str | Strategy = DEFAULT_STRATEGY
    head: Any = None
    pairing: Pairing | PairingDesign = "same"
    n_candidates: int = 20_000
    per_prompt: int | None = None
    item_cost: ArrayLike | None = None
    warm_start: int = 50
    random_share: float = 0.2
    held_out_share: float = 0.1
    refit_by: Literal["scratch", "partial"] = "scratch"
    on_policy: float | None = None
    random_state: RandomState = None
    ids: IntArray = field(init=False)
    y: FloatArray = field(init=False)
    held_out: BoolArray = field(init=False)
    is_random: BoolArray = field(init=False)
    head_: Any = field(init=False, default=None)
    posterior: RewardPosterior = field(init=False)

    def __post_init__(self) -> None:
        self.strategy = make_strategy(self.strategy)
        check_count(self.n_candidates, "n_candidates")
        check_count(self.warm_start, "warm_start", 0)
        check_share(self.random_share, "random_share")
        check_share(self.held_out_share, "held_out_share", high=0.9)
        check_choice(self.refit_by, "refit_by", ("scratch", "partial"))
        if self.on_policy is not None:
            check_positive(self.on_policy, "on_policy")
        self._rng = check_random_state(self.random_state)
        self.forget_labels()
        self.posterior = RewardPosterior.from_prior(self.pool.items)

    @property
    def n_labels(self) -> int:
        """Labels so far, held-out ones too."""
        return len(self.y)

    def propose(self, n: int, pending: ArrayLike | None = None) -> Proposal:
        """Propose pairs to label next.

        Parameters
        ----------
        n : int >= 1
        pending : array-like of int of shape (n_pending, 2), optional
            Pairs that were proposed and have no label yet: they are not proposed again.

        Returns
        -------
        Proposal
            Fewer than n only where the candidates run out.
        """
        n = check_count(n, "n")
        waiting = np.empty((0, 2), dtype=np.intp) if pending is None else pending
        waiting = check_pair_ids(waiting, n_items=len(self.pool))
        candidates = self._candidates(np.concatenate([self.ids, waiting]))
        n = min(n, len(candidates))
        place = self.n_labels + len(waiting) + np.arange(n)
        held_out = _every(self.held_out_share, place)
        is_random = held_out | (place < self.warm_start)
        is_random |= _every(self.random_share, place)
        is_random |= isinstance(self.strategy, RandomPairs)
        n_random = int(is_random.sum())
        drawn = self._rng.permutation(len(candidates))[:n_random]
        rest = candidates.take(np.setdiff1d(np.arange(len(candidates)), drawn))
        ids = np.empty((n, 2), dtype=np.intp)
        ids[is_random] = candidates.ids[drawn]
        if n_random < n:
            ids[~is_random] = make_strategy(self.strategy).propose(
                rest, self.posterior, n - n_random, self._rng
            )
        chance = np.where(is_random, n_random / max(1, len(candidates)), np.nan)
        return Proposal(ids, is_random, held_out, chance)

    def add(
        self,
        ids: ArrayLike,
        y: ArrayLike,
        *,
        is_random: ArrayLike,
        held_out: ArrayLike | None = None,
    ) -> None:
        """Take labels of pairs.

        Parameters
        ----------
        ids : array-like of int of shape (n_pairs, 2)
            Rows of the pool.
        y : array-like of shape (n_pairs,)
            P(first preferred).
        is_random, held_out : array-like of bool of shape (n_pairs,)
            As the `Proposal` of the pairs says; None means that none is held out.
        """
        checked = check_pair_ids(ids, n_items=len(self.pool))
        labels = check_labels(y, n_pairs=len(checked))
        kept = np.zeros(len(checked), bool) if held_out is None else held_out
        self.ids = np.concatenate([self.ids, checked])
        self.y = np.concatenate([self.y, labels])
        for name, marks in (("is_random", is_random), ("held_out", kept)):
            new = np.broadcast_to(np.asarray(marks, dtype=bool), len(checked))
            setattr(self, name, np.concatenate([getattr(self, name), new]))

    def forget_labels(self) -> None:
        """Drop all labels, as when some were taken back; what is believed stays."""
        self.ids = np.empty((0, 2), dtype=np.intp)
        self.y = np.empty(0)
        self.held_out, self.is_random = np.empty((2, 0), dtype=bool)
        self._n_learnt = 0

    def refit(self) -> "LabelLoop":
        """Fit the head on the labels that are not held out; return self.

        What the head selects by itself ("auto") is selected on the random pairs alone:
        chosen pairs are no sample of those that rewards are for, and cross-validation
        on them goes for a wrong penalty.
        """
        rows = np.flatnonzero(~self.held_out)
        partial = self.refit_by == "partial" and self.head_ is not None
        if partial:
            rows = rows[rows >= self._n_learnt]
        self._n_learnt = self.n_labels
        if not len(rows):
            return self
        if partial:
            head = copy.deepcopy(self.head_)
            head.partial_fit(self.pool.pairs(self.ids[rows]), self.y[rows])
        else:
            head = self._selected(rows)
            head.fit(self.pool.pairs(self.ids[rows]), self.y[rows])
        self.head_ = head
        self.posterior = RewardPosterior.from_head(head, self.pool.items)
        return self

    def _selected(self, rows: IntArray) -> Any:
        """Make an unfitted head, with parameters selected on random pairs."""
        head = clone(self.head or LinearBradleyTerry())
        random = rows[self.is_random[rows]]
        automatic = "auto" in list(head.get_params(deep=False).values())
        if not automatic or len(random) in (0, len(rows)):
            return head
        head.fit(self.pool.pairs(self.ids[random]), self.y[random])
        # What a strong penalty leaves too small grows with the number of labels.
        scale = max(1.0, head.reward_scale_ * len(random) / len(rows))
        return head.with_selected_params(reward_scale=scale)

    def _candidates(self, past: IntArray) -> Candidates:
        if self.on_policy is not None:
            return draw_on_policy(
                self.pool,
                self.posterior.reward,
                self.n_candidates,
                eta=self.on_policy,
                past=past,
                per_prompt=self.per_prompt,
                random_state=self._rng,
            )
        return draw_candidates(
            self.pool,
            self.n_candidates,
            pairing=self.pairing,
            past=past,
            item_cost=self.item_cost,
            per_prompt=self.per_prompt,
            random_state=self._rng,
        )


def _every(share: float, place: IntArray) -> BoolArray:
    """Mark places evenly, so that of any first n about share * n are marked."""
    return np.asarray(np.floor((place + 1) * share) > np.floor(place * share))


@dataclass(frozen=True)
class StoppingRule:
    """When another round is not worth its labels.

    Parameters
    ----------
    change : float >= 0, default=0.0
        Stop when the rewards' deltas changed by less since the last round: root mean
        square over test pairs, in units of their own root mean square.
    gain : float >= 0, default=0.0
        Stop when the best candidate of a round is predicted to tell less for its cost:
        half of log(1 + v var(delta)), in nats.
    """

    change: float = 0.0
    gain: float = 0.0

    def __post_init__(self) -> None:
        check_positive(self.change, "change", zero=True)
        check_positive(self.gain, "gain", zero=True)

    def reason(self, change: float, gain: float) -> str | None:
        """Say why to stop, None to go on; NaN is no reason."""
        if change < self.change:
            return f"deltas changed by {change:.3f} < {self.change:g}"
        if gain < self.gain:
            return f"predicted gain {gain:.2g} < {self.gain:g}"
        return None


@dataclass(frozen=True, eq=False)
class LoopResult:
    """A budget curve, and what was labelled.

    Attributes
    ----------
    curve : DataFrame
        One row for each round: `round`, `n_labels`, `cost`, `order_consistency` (with
        gold, on every two responses to a prompt of the test pool), `best_of_n` (gold of
        the best response of each test prompt by reward), `error_rate` of all labels so
        far, `change` and `gain` as in `StoppingRule`, `seconds`.
    ids, y : ndarrays of shape (n_labels, 2) and (n_labels,)
    head : LinearBradleyTerry
        The last one.
    stopped : str or None
        Why it ended before its last round.
    """

    curve: "pd.DataFrame"
    ids: IntArray
    y: FloatArray
    head: Any
    stopped: str | None


def simulate_loop(
    pool: CandidatePool,
    test_pool: CandidatePool,
    annotator: Annotator,
    *,
    budgets: ArrayLike,
    stop: StoppingRule | None = None,
    random_state: RandomState = None,
    **options: Any,
) -> LoopResult:
    """Run a loop of proposing, labelling and fitting with a simulated annotator.

    Parameters
    ----------
    pool, test_pool : CandidatePool
        With gold; the first is labelled, on the second every round is evaluated.
    annotator : Annotator
        Labels the proposed pairs.
    budgets : array-like of int, ascending
        Labels after each round: the head is refitted and evaluated there.
    stop : StoppingRule, optional
    random_state : int, Generator, RandomState or None, default=None
    **options
        As for `LabelLoop`: strategy, head, pairing, warm_start, refit_by, on_policy,
        ... `held_out_share` is 0 by default here: test labels are gold.

    Returns
    -------
    LoopResult

    Raises
    ------
    InvalidInputError
        If a pool has no gold, or budgets do not ascend.

    Examples
    --------
    >>> from embrm.simulate import BradleyTerryAnnotator
    >>> rng = np.random.default_rng(0)
    >>> items = rng.normal(size=(400, 4))
    >>> pool = CandidatePool(items, np.arange(400) // 4, items @ [1.0, 2, 0, 0])
    >>> train, test = pool[np.arange(60)], pool[np.arange(60, 100)]
    >>> annotator = BradleyTerryAnnotator()
    >>> options = {"strategy": "d-optimal", "random_state": 0}
    >>> result = simulate_loop(train, test, annotator, budgets=[50, 100], **options)
    >>> result.curve[["n_labels", "order_consistency"]].round(2)
       n_labels  order_consistency
    0        50               0.80
    1       100               0.83
    """
    import pandas as pd

    steps = _check_budgets(budgets)
    rng = check_random_state(random_state)
    ask = _Annotations(pool, annotator, rng)
    test = _Test(test_pool)
    loop = LabelLoop(pool, **{"held_out_share": 0.0} | options, random_state=rng)
    rows: list[dict[str, Any]] = []
    reason = None
    for row in _rounds(loop, steps, ask, test):
        rows.append(row)
        reason = None if stop is None else stop.reason(row["change"], row["gain"])
        if reason is not None:
            break
    ended = reason if rows and rows[-1]["n_labels"] < steps[-1] else None
    return LoopResult(pd.DataFrame(rows), loop.ids, loop.y, loop.head_, ended)


def _rounds(
    loop: LabelLoop, steps: IntArray, ask: "_Annotations", test: "_Test"
) -> Iterator[dict[str, Any]]:
    """Label up to each budget, fit, and yield a row of the curve."""
    for number, budget in enumerate(steps.tolist()):
        started = time.perf_counter()
        while loop.n_labels < budget:
            proposal = loop.propose(_until(loop, budget) - loop.n_labels)
            if not len(proposal):
                return
            loop.add(
                proposal.ids,
                ask(proposal.ids),
                is_random=proposal.is_random,
                held_out=proposal.held_out,
            )
            if loop.n_labels == loop.warm_start < budget:
                loop.refit()
        gain = _best_gain(loop.posterior, proposal.ids, ask.cost(loop, proposal.ids))
        loop.refit()
        seconds = time.perf_counter() - started
        yield {
            "round": number,
            "n_labels": loop.n_labels,
            "cost": float(ask.cost(loop, loop.ids).sum()),
            **test.figures(loop.head_),
            "error_rate": gold_error(loop.y, ask.gold_delta(loop.ids)),
            "gain": gain,
            "seconds": seconds,
        }


def _until(loop: LabelLoop, budget: int) -> int:
    """End a proposal with the warm start, by which the strategy goes."""
    in_warm_start = loop.n_labels < loop.warm_start
    return min(budget, loop.warm_start) if in_warm_start else budget


def _best_gain(posterior: RewardPosterior, ids: IntArray, cost: FloatArray) -> float:
    told = np.log1p(posterior.curvature(ids) * posterior.std(ids) ** 2) / 2
    return float((told / cost).max())


class _Annotations:
    """Asks a simulated annotator."""

    def __init__(
        self, pool: CandidatePool, annotator: Annotator, rng: np.random.Generator
    ) -> None:
        self._gold = require_gold(pool, "simulate_loop")
        self._scale = gold_scale(pool, annotator.scale)
        self._annotator = as_annotator(annotator).for_pool(pool)
        # Of its own: labels do not depend on how many numbers a strategy draws.
        self._rng = np.random.default_rng(rng.integers(2**63))

    def __call__(self, ids: IntArray) -> FloatArray:
        delta = self.gold_delta(ids) / self._scale
        return self._annotator.annotate(delta, ids, self._rng).y

    def gold_delta(self, ids: IntArray) -> FloatArray:
        """Compute gold of first less gold of second."""
        return self._gold[ids[:, 0]] - self._gold[ids[:, 1]]

    def cost(self, loop: LabelLoop, ids: IntArray) -> FloatArray:
        """Compute the cost of labels, 1 each where reading costs nothing."""
        if loop.item_cost is None:
            return np.ones(len(ids))
        return np.asarray(np.asarray(loop.item_cost, dtype=float)[ids].sum(axis=1))


class _Test:
    """Evaluates heads with gold, and remembers the deltas of the last one."""

    def __init__(self, pool: CandidatePool) -> None:
        self._pool, self._gold = pool, require_gold(pool, "simulate_loop")
        self._ids = pool.same_prompt_ids()
        self._labels: AnyArray = pool.gold_labels(self._ids)
        self._before: FloatArray | None = None

    def figures(self, head: Any) -> dict[str, float]:
        """Compute order consistency, gold of the best of n, and change."""
        reward = head.reward(self._pool.items)
        delta = reward[self._ids[:, 0]] - reward[self._ids[:, 1]]
        change = np.nan
        if self._before is not None:
            size = float(np.sqrt(np.mean(delta**2)))
            change = float(np.sqrt(np.mean((delta - self._before) ** 2))) / (size or 1)
        self._before = delta
        curve = best_of_n_curve(
            self._gold, reward, self._pool.prompt_ids, n_resamples=1
        )
        return {
            "order_consistency": order_consistency(delta, self._labels),
            "best_of_n": float(curve.mean[int(self._pool.sizes.min()) - 1]),
            "change": change,
        }


def _check_budgets(budgets: ArrayLike) -> IntArray:
    steps = np.atleast_1d(np.asarray(budgets))
    ascend = steps.ndim == 1 and len(steps) > 0 and steps.dtype.kind in "iu"
    if not ascend or steps[0] < 1 or (np.diff(steps) <= 0).any():
        raise invalid_input(
            "budgets that ascend, integers >= 1",
            f"an array of shape {steps.shape} and dtype {steps.dtype}",
            "pass e.g. [100, 200, 500, 1000]",
        )
    return steps
