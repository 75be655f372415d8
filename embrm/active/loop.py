"""LabelLoop: propose, label, refit, again."""

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from embrm._typing import BoolArray, FloatArray, IntArray, RandomState
from embrm._validation import (
    as_numbers,
    check_choice,
    check_count,
    check_labels,
    check_pair_ids,
    check_positive,
    check_random_state,
    check_share,
)
from embrm.active.candidates import (
    Candidates,
    Pairing,
    as_pairing,
    draw_candidates,
    draw_on_policy,
)
from embrm.active.posterior import RewardPosterior
from embrm.active.registry import DEFAULT_STRATEGY, make_strategy
from embrm.active.strategy import Strategy
from embrm.active.values import RandomPairs
from embrm.exceptions import invalid_input
from embrm.heads import LinearBradleyTerry
from embrm.pool import CandidatePool
from embrm.simulate.design import PairingDesign


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
        Chance, before candidates were drawn, of being among the random pairs of this
        proposal. NaN where the strategy chose, as others had no chance then, and where
        candidates were not drawn evenly: on policy, or by a design of one's own.
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
        Most pairs of one prompt in a proposal: the strategy takes no more. Random pairs
        count for it, and are drawn without regard to it.
    item_cost : array-like of shape (n_items,), optional
        Cost of reading each item.
    warm_start : int >= 0, default=50
        Labels that are drawn at random before the strategy has its say.
    random_share : float in [0, 1], default=0.2
        Of the later pairs that are fitted on: drawn at random. Parameters of the head
        are selected on such pairs.
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

    @cached_property
    def n_pairs(self) -> int:
        """Pairs of the pool that its pairing may form, labelled ones too."""
        return as_pairing(self.pairing).max_pairs(self.pool)

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
        # Counted without those held out, which are drawn and not fitted on.
        fitted = place - np.floor(place * self.held_out_share).astype(int)
        is_random |= _every(self.random_share, fitted)
        is_random |= isinstance(self.strategy, RandomPairs)
        n_random = int(is_random.sum())
        drawn = self._rng.permutation(len(candidates))[:n_random]
        rest = candidates.take(np.setdiff1d(np.arange(len(candidates)), drawn))
        rest = replace(rest, beside=candidates.ids[drawn])
        ids = np.empty((n, 2), dtype=np.intp)
        ids[is_random] = candidates.ids[drawn]
        if n_random < n:
            ids[~is_random] = make_strategy(self.strategy).propose(
                rest, self.posterior, n - n_random, self._rng
            )
        chance = np.full(n, np.nan)
        if candidates.inclusion is not None and n_random:
            share = n_random / len(candidates)
            chance[is_random] = share * candidates.inclusion[drawn]
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
        pool, n = self.pool, self.n_candidates
        given: Any = {
            "past": past,
            "item_cost": self.item_cost,
            "per_prompt": self.per_prompt,
            "random_state": self._rng,
        }
        if self.on_policy is not None:
            reward = self.posterior.reward
            return draw_on_policy(pool, reward, n, eta=self.on_policy, **given)
        return draw_candidates(pool, n, pairing=self.pairing, **given)


def inverse_propensity(propensity: ArrayLike) -> FloatArray:
    """Weigh labelled pairs by 1 / (their chance of being chosen), with mean 1.

    Parameters
    ----------
    propensity : array-like of shape (n_pairs,), in (0, 1]
        As the column `propensity` of labels: NaN where a strategy chose greedily.

    Returns
    -------
    ndarray of shape (n_pairs,), > 0
        The `sample_weight` of `fit`.

    Raises
    ------
    InvalidInputError
        If some pair was chosen greedily: others like it had no chance, and no weight
        can stand for them.

    Examples
    --------
    >>> inverse_propensity([0.1, 0.1, 0.2]).round(2)
    array([1.2, 1.2, 0.6])
    """
    chance = as_numbers(propensity, "propensity")
    bad = ~((chance > 0) & (chance <= 1))
    if bad.any():
        raise invalid_input(
            "pairs that were chosen by chance, with propensities in (0, 1]",
            f"{int(bad.sum())} of {len(chance)} chosen greedily or without a record",
            "keep the rows whose strategy is 'random', or fit without these weights",
        )
    weight = 1 / chance
    return np.asarray(weight / weight.mean()) if len(weight) else weight


def _every(share: float, place: IntArray) -> BoolArray:
    """Mark places evenly, so that of any first n about share * n are marked."""
    return np.asarray(np.floor((place + 1) * share) > np.floor(place * share))
