"""simulate_loop: the loop with a simulated annotator, and its budget curve."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, FloatArray, IntArray, RandomState
from embrm._validation import check_count, check_positive, check_random_state
from embrm.active.loop import LabelLoop
from embrm.active.posterior import RewardPosterior
from embrm.active.registry import DEFAULT_STRATEGY, make_strategy
from embrm.active.strategy import Strategy
from embrm.evaluate.best_of_n import best_of_n_curve
from embrm.exceptions import invalid_input
from embrm.heads.base import order_consistency
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.annotation import Annotator, as_annotator, gold_scale
from embrm.simulate.design import Ends, PairingDesign, as_design
from embrm.simulate.pairing import SamePrompt
from embrm.simulate.simulation import gold_error

if TYPE_CHECKING:
    import pandas as pd


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
    1       100               0.92
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


@dataclass(frozen=True)
class StrategyDesign(PairingDesign):
    """Pairs that a strategy chooses by the labels so far, as a design of experiments.

    With it a strategy is a level of the factor `designs` of an `Experiment`, beside
    designs that draw at random: the same annotators, budgets, heads and seeds. The
    strategy goes by a linear head of its own, whatever head is then fitted on the
    pairs.

    Parameters
    ----------
    strategy : str or Strategy, default="v-optimal"
    pairing : PairingDesign, default=SamePrompt()
        Of the candidates, of the warm start and of the random share. An annotator's
        `AtErrorRate` is met on its pairs: chosen pairs may be harder.
    batch : int >= 1, default=100
        Labels after which the strategy's head is fitted again.
    n_candidates, warm_start, random_share
        As for `LabelLoop`.

    Examples
    --------
    >>> from embrm.simulate import BradleyTerryAnnotator, simulate
    >>> items = np.random.default_rng(0).normal(size=(400, 4))
    >>> pool = CandidatePool(items, np.arange(400) // 4, items @ [1.0, 2, 0, 0])
    >>> design = StrategyDesign("d-optimal")
    >>> simulate(pool, design, BradleyTerryAnnotator(), 200, random_state=0)
    SimulatedPreferences(200 pairs, error rate 25.5% (expected 25.1%), 0% cross-prompt)
    """

    strategy: str | Strategy = DEFAULT_STRATEGY
    pairing: PairingDesign = field(default_factory=SamePrompt)
    batch: int = 100
    n_candidates: int = 20_000
    warm_start: int = 50
    random_share: float = 0.2

    # No pair is labelled twice; of copies that are drawn from, the pairing decides.
    replacement = False

    def __post_init__(self) -> None:
        make_strategy(self.strategy)
        as_design(self.pairing)
        check_count(self.batch, "batch")

    def max_pairs(self, pool: CandidatePool) -> int:
        """Count the pairs among which it can choose."""
        return self.pairing.max_pairs(pool)

    def _draw(
        self, pool: CandidatePool, n_pairs: int, rng: np.random.Generator
    ) -> Iterator[Ends]:
        """Draw of the pairing, where there are no labels to go by."""
        pairing = self.pairing.with_replacement(replacement=self.replacement)
        yield from pairing._draw(pool, n_pairs, rng)

    def draw_labelled(
        self,
        pool: CandidatePool,
        n_pairs: int,
        ask: Callable[[IntArray], FloatArray],
        random_state: RandomState = None,
    ) -> IntArray:
        """Propose, have labelled and fit, in batches; see `PairingDesign`."""
        n_pairs = check_count(n_pairs, "n_pairs")
        self._check_budget(n_pairs, self.max_pairs(pool))
        loop = LabelLoop(
            pool,
            self.strategy,
            pairing=self.pairing,
            n_candidates=self.n_candidates,
            warm_start=self.warm_start,
            random_share=self.random_share,
            held_out_share=0.0,
            random_state=random_state,
        )
        while loop.n_labels < n_pairs:
            until = _until(loop, min(n_pairs, loop.n_labels + self.batch))
            proposal = loop.propose(until - loop.n_labels)
            loop.add(proposal.ids, ask(proposal.ids), is_random=proposal.is_random)
            if loop.n_labels < n_pairs:
                loop.refit()
        return loop.ids


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
