r"""Alignment as it is run: on- or off-policy, offline or online, in rounds.

The alignment guidebook (section 1.3) tells seven ways apart. On a pool each is a loop
of draws, labels and fits without a language model, and what comes out is known exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from embrm._typing import BoolArray, FloatArray, IntArray, RandomState
from embrm._validation import (
    check_choice,
    check_count,
    check_positive,
    check_random_state,
    check_share,
)
from embrm.exceptions import invalid_input
from embrm.heads import LinearBradleyTerry
from embrm.policy._prompts import Prompts
from embrm.policy.direct import DirectAlignment, SoftmaxPolicy
from embrm.policy.policies import best_of_n_policy, winning_shares
from embrm.pool import CandidatePool, require_gold
from embrm.simulate.annotation import Annotator, gold_scale

_MOST_REDRAWS = 20
_RIDGE = 1.0
_LOWEST = -50.0


@dataclass(frozen=True)
class AlignmentCase:
    r"""One way to align a policy.

    Parameters
    ----------
    learner : {"reward", "direct", "imitation"}
        A reward that the policy is tilted by (RLHF), the policy itself (DPO and kin),
        or one's own best of n by a reward (rejection-sampling fine-tuning).
    online : bool
        Whether labels are asked for of responses drawn in each round; else all are of
        the behaviour policy, before the first.
    rounds : int >= 1
        How often policy and data change; labels are divided among them.
    proximal : bool, default=False
        Whether a round takes one step of PPO idealised, not the optimum.
    restart : bool, default=True
        Whether each round trains from the base policy on all labels so far; else it
        trains on from the last policy, on the new ones.
    trust : float >= 0, default=0
        When training on: how much the last policy weighs against the new labels, in
        units of what these say at the base policy.
    opponent : {"policy", "base", "farthest"}, default="policy"
        Where the second response of a pair comes from: the policy too, the base policy,
        or the one whose difference in features is least known (guidebook, 4.3).
    offline_share : float in [0, 1], default=0
        Share of the labels spent before the first round, on the behaviour policy, and
        kept beside those of the rounds: hybrid data.

    Examples
    --------
    >>> from embrm.simulate import BradleyTerryAnnotator
    >>> rng = np.random.default_rng(0)
    >>> items = rng.normal(size=(400, 4))
    >>> pool = CandidatePool(items, np.arange(400) % 50, gold=items[:, 0])
    >>> exploring = AlignmentCase("reward", online=True, rounds=3, opponent="farthest")
    >>> done = run_case(pool, exploring, BradleyTerryAnnotator(), 300)
    >>> [each["n_labels"] for each in done.rounds]
    [100, 200, 300]
    """

    learner: str
    online: bool
    rounds: int
    proximal: bool = False
    restart: bool = True
    trust: float = 0.0
    opponent: str = "policy"
    offline_share: float = 0.0

    def __post_init__(self) -> None:
        check_choice(self.learner, "learner", ("reward", "direct", "imitation"))
        check_choice(self.opponent, "opponent", ("policy", "base", "farthest"))
        check_count(self.rounds, "rounds")
        check_share(self.offline_share, "offline_share")
        check_positive(self.trust, "trust", zero=True)


CASES: Mapping[str, AlignmentCase] = {
    "ppo-fixed-reward": AlignmentCase("reward", online=False, rounds=8, proximal=True),
    "ppo-online-reward": AlignmentCase("reward", online=True, rounds=8, proximal=True),
    "offline-dpo": AlignmentCase("direct", online=False, rounds=1),
    "rejection-sampling": AlignmentCase("imitation", online=False, rounds=4),
    "online-rlhf": AlignmentCase(
        "reward", online=True, rounds=4, opponent="base", offline_share=0.25
    ),
    "iterative-dpo": AlignmentCase(
        "direct", online=True, rounds=4, opponent="base", offline_share=0.25
    ),
    "online-dpo": AlignmentCase(
        "direct", online=True, rounds=16, restart=False, trust=4.0
    ),
}
"""The guidebook's cases 1 to 7, in its order."""


class Labelled(NamedTuple):
    """Pairs with their labels.

    Attributes
    ----------
    ids : ndarray of int of shape (n_pairs, 2)
    y : ndarray of shape (n_pairs,)
    """

    ids: IntArray
    y: FloatArray

    def joined(self, other: "Labelled") -> "Labelled":
        """Append others."""
        return Labelled(
            np.concatenate([self.ids, other.ids]), np.concatenate([self.y, other.y])
        )


@dataclass(frozen=True, eq=False)
class AlignmentRun:
    """What a case came to.

    Attributes
    ----------
    case : AlignmentCase
    logprob : ndarray of shape (n_items,)
        Of the last policy, on the whole pool.
    labelled : Labelled
        All that was asked.
    rounds : list of dict
        One for each round: `round`, `n_labels`, `kl` (nats), `gold`, `win_rate`, on the
        prompts that were held out; `chosen` and `rejected`, the mean of log pi / pi0 of
        the responses in the data, each at least -50.
    """

    case: AlignmentCase
    logprob: FloatArray
    labelled: Labelled
    rounds: list[dict[str, float]]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per round."""
        return pd.DataFrame(self.rounds)


def run_case(
    pool: CandidatePool,
    case: str | AlignmentCase,
    annotator: Annotator,
    n_pairs: int,
    *,
    eta: float = 0.5,
    direct: DirectAlignment | None = None,
    head: Any = None,
    n: int = 4,
    step: float = 0.5,
    train: BoolArray | None = None,
    base_logprob: ArrayLike | None = None,
    behaviour_logprob: ArrayLike | None = None,
    random_state: RandomState = 0,
) -> AlignmentRun:
    r"""Run a case on a pool: draw pairs, have them labelled, fit, round by round.

    Parameters
    ----------
    pool : CandidatePool with gold
    case : str or AlignmentCase
        A name of `CASES`, or one of your own.
    annotator : Annotator
        Answers the queries; see `embrm.simulate`.
    n_pairs : int >= 1
        Labels in all, the same for every case.
    eta : float > 0, default=0.5
        Price of divergence, in nats of the learned reward; beta of direct alignment.
    direct : DirectAlignment, optional
        How direct learners train; its beta is eta.
    head : RewardHead, optional
        The reward of the others; `LinearBradleyTerry()` by default.
    n : int >= 1, default=4
        Of the best of n that is imitated.
    step : float in (0, 1], default=0.5
        Of a proximal round, in units of 1 / eta.
    train : ndarray of bool of shape (n_items,), optional
        Items of the prompts that pairs are drawn of; figures are of the others. Without
        it every prompt is both.
    base_logprob, behaviour_logprob : array-like of shape (n_items,), optional
        Of the base policy, and of the one that offline responses come from (the base
        policy by default; pass another for off-policy data).
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    AlignmentRun

    Raises
    ------
    InvalidInputError
        If the pool has no gold, the case is unknown, or no prompt can be drawn.

    Examples
    --------
    >>> from embrm.simulate import BradleyTerryAnnotator
    >>> rng = np.random.default_rng(0)
    >>> items = rng.normal(size=(400, 4))
    >>> pool = CandidatePool(items, np.arange(400) % 50, gold=items[:, 0])
    >>> done = run_case(pool, "iterative-dpo", BradleyTerryAnnotator(), 400)
    >>> done.to_frame()["gold"].round(1).tolist()
    [0.9, 1.0, 1.1, 1.0]
    """
    if isinstance(case, str):
        check_choice(case, "case", tuple(CASES))
        case = CASES[case]
    check_positive(eta, "eta")
    if not 0 < step <= 1:
        raise invalid_input("step in (0, 1]", f"{step:g}", "take smaller steps")
    world = _World.of(pool, annotator, train, base_logprob, random_state)
    learner = _Learner(
        case,
        world,
        eta,
        replace(direct or DirectAlignment(), beta=eta),
        LinearBradleyTerry(posterior=False) if head is None else head,
        check_count(n, "n"),
        step,
        world.base,
    )
    behaviour = (
        world.base
        if behaviour_logprob is None
        else world.prompts.base(behaviour_logprob)
    )
    return _rounds(world, learner, behaviour, check_count(n_pairs, "n_pairs"))


def _rounds(
    world: "_World", learner: "_Learner", behaviour: FloatArray, n_pairs: int
) -> AlignmentRun:
    case = learner.case
    share = case.offline_share if case.online else 1.0
    n_before = min(n_pairs, round(share * n_pairs))
    labelled = world.ask(behaviour, behaviour, n_before, "policy", None)
    batches = np.diff(np.linspace(n_before, n_pairs, case.rounds + 1).astype(int))
    rounds = []
    for number, size in enumerate(batches, start=1):
        new = labelled if number == 1 else world.none()
        if size:
            fresh = world.ask(
                learner.logprob, world.base, int(size), case.opponent, labelled
            )
            labelled, new = labelled.joined(fresh), new.joined(fresh)
        learner.update(labelled, new)
        rounds.append(
            {"round": number, "n_labels": len(labelled.y)}
            | world.figures(learner.logprob, labelled)
        )
    return AlignmentRun(case, learner.logprob, labelled, rounds)


@dataclass(eq=False)
class _World:
    """A pool, who labels it, and what is measured."""

    pool: CandidatePool
    prompts: Prompts
    base: FloatArray
    gold: FloatArray
    wins: FloatArray
    annotator: Annotator
    scale: float
    drawn: IntArray
    judged: IntArray
    generator: np.random.Generator

    @classmethod
    def of(
        cls,
        pool: CandidatePool,
        annotator: Annotator,
        train: BoolArray | None,
        base_logprob: ArrayLike | None,
        random_state: RandomState,
    ) -> "_World":
        gold = require_gold(pool, "run_case")
        prompts = Prompts.of(pool.prompt_ids, len(pool))
        base = prompts.base(base_logprob)
        inside = np.ones(len(pool), dtype=bool) if train is None else np.asarray(train)
        trained = np.zeros(len(prompts), dtype=bool)
        trained[prompts.codes[inside]] = True
        drawn = np.flatnonzero(trained & (prompts.sizes > 1))
        judged = (
            np.flatnonzero(~trained) if train is not None else np.arange(len(prompts))
        )
        if not len(drawn) or not len(judged):
            raise invalid_input(
                "prompts of several responses to draw, and prompts to judge by",
                f"{len(drawn)} and {len(judged)}",
                "pass train with some prompts left out",
            )
        return cls(
            pool,
            prompts,
            base,
            gold,
            winning_shares(gold, pool.prompt_ids, base_logprob=base),
            annotator.for_pool(pool),
            gold_scale(pool, annotator.scale),
            drawn,
            judged,
            check_random_state(random_state),
        )

    def none(self) -> Labelled:
        return Labelled(np.empty((0, 2), dtype=np.intp), np.empty(0))

    def ask(
        self,
        first: FloatArray,
        base: FloatArray,
        n_pairs: int,
        opponent: str,
        known: Labelled | None,
    ) -> Labelled:
        """Draw pairs of responses to random prompts and have them labelled."""
        if not n_pairs:
            return self.none()
        prompts = self.generator.choice(self.drawn, n_pairs)
        one = self.prompts.draw(first, prompts, self.generator)
        if opponent == "farthest":
            other = self._farthest(one, known)
        else:
            policy = first if opponent == "policy" else base
            other = self._another(policy, one, prompts)
        ids = np.stack([one, other], axis=1)
        delta = (self.gold[one] - self.gold[other]) / self.scale
        labels = self.annotator.annotate(delta, ids, self.generator).y
        return Labelled(ids, np.asarray(labels, dtype=np.float64))

    def _another(
        self, policy: FloatArray, one: IntArray, prompts: IntArray
    ) -> IntArray:
        """Draw other responses; a policy that has but one left gets a uniform one."""
        other = self.prompts.draw(policy, prompts, self.generator)
        for attempt in range(_MOST_REDRAWS):
            same = np.flatnonzero(other == one)
            if not len(same):
                break
            spread = policy if attempt < _MOST_REDRAWS // 2 else np.zeros_like(policy)
            other[same] = self.prompts.draw(spread, prompts[same], self.generator)
        return other

    def _farthest(self, one: IntArray, known: Labelled | None) -> IntArray:
        items = np.asarray(self.pool.items, dtype=np.float64)
        sigma = _RIDGE * np.eye(items.shape[1])
        if known is not None and len(known.ids):
            delta = items[known.ids[:, 0]] - items[known.ids[:, 1]]
            sigma += delta.T @ delta
        white = np.linalg.solve(np.linalg.cholesky(sigma), items.T).T
        other = np.empty(len(one), dtype=np.intp)
        for at, item in enumerate(one):
            start = self.prompts.starts[self.prompts.codes[item]]
            size = self.prompts.sizes[self.prompts.codes[item]]
            rows = self.prompts.order[start : start + size]
            distance = ((white[rows] - white[item]) ** 2).sum(axis=1)
            distance[rows == item] = -1.0
            other[at] = rows[distance.argmax()]
        return other

    def figures(self, logprob: FloatArray, labelled: Labelled) -> dict[str, float]:
        """Measure a policy on the prompts that are judged."""
        shares = np.exp(logprob)
        _, kl = self.prompts.expected_log_ratio(logprob, self.base)

        def mean(values: FloatArray) -> float:
            return float(self.prompts.sum(shares * values)[self.judged].mean())

        # Of what is never said: a floor, so that means stay finite.
        ratio = np.maximum(logprob - self.base, _LOWEST)
        better = np.where(
            labelled.y[:, None] < 0.5, labelled.ids[:, ::-1], labelled.ids
        )
        return {
            "kl": float(kl[self.judged].mean()),
            "gold": mean(self.gold),
            "win_rate": mean(self.wins),
            "chosen": float(ratio[better[:, 0]].mean()),
            "rejected": float(ratio[better[:, 1]].mean()),
        }


@dataclass(eq=False)
class _Learner:
    """A policy, and how a round changes it."""

    case: AlignmentCase
    world: _World
    eta: float
    direct: DirectAlignment
    head: Any
    n: int
    step: float
    logprob: FloatArray
    policy: SoftmaxPolicy | None = None
    reward: FloatArray | None = field(default=None)

    def update(self, labelled: Labelled, new: Labelled) -> None:
        """Learn from labels, all or the new ones, and set the policy."""
        world = self.world
        if self.case.learner == "direct":
            start = None if self.case.restart else self.policy
            data = labelled if start is None else new
            settings = self.direct
            if start is not None and self.case.trust:
                alpha = self.case.trust * self._information(data.ids)
                settings = replace(settings, alpha=max(alpha, settings.alpha))
            self.policy = settings.fit(
                world.pool, data.ids, data.y, base_logprob=world.base, start=start
            )
            self.logprob = self.policy.logprob(world.pool, world.base)
            return
        if self.reward is None or self.case.online:
            head = clone(self.head)
            head.fit(world.pool.pairs(labelled.ids), labelled.y)
            self.reward = np.asarray(head.reward(world.pool.items), dtype=np.float64)
        if self.case.learner == "imitation":
            before = self.logprob
            self.logprob = best_of_n_policy(
                self.reward, world.pool.prompt_ids, self.n, base_logprob=before
            )
        elif self.case.proximal:
            ratio = self.logprob - world.base
            towards = self.logprob + self.step * (self.reward / self.eta - ratio)
            self.logprob = world.prompts.log_softmax(towards)
        else:
            self.logprob = world.prompts.log_softmax(
                world.base + self.reward / self.eta
            )

    def _information(self, ids: IntArray) -> float:
        """Compute the mean curvature of the logistic loss in a weight of the reward."""
        items = self.world.pool.items
        delta = np.asarray(items[ids[:, 0]], float) - np.asarray(
            items[ids[:, 1]], float
        )
        return float(np.square(delta).mean() / 4)
