"""Heads and policies that teach themselves: pseudo-labels, self-rewarding, SPIN."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import (
    check_count,
    check_labels,
    check_pair_ids,
    check_positive,
    check_random_state,
)
from embrm.exceptions import invalid_input
from embrm.pairs import Pairs
from embrm.policy._prompts import Prompts
from embrm.policy.direct import DirectAlignment, SoftmaxPolicy
from embrm.policy.policies import tilted_policy
from embrm.pool import CandidatePool


@dataclass(frozen=True, eq=False)
class SelfTrained:
    """A head that was fitted on its own labels, too.

    Attributes
    ----------
    head : RewardHead
    n_labelled : list of int
        Pairs that it labelled itself, round by round.
    """

    head: Any
    n_labelled: list[int]


def pseudo_label(
    head: Any,
    pairs: Pairs,
    y: ArrayLike | None,
    unlabelled: Pairs,
    *,
    confidence: float = 0.9,
    rounds: int = 3,
) -> SelfTrained:
    r"""Label more pairs above a confidence, and refit (SSRM, arXiv:2409.06903).

    Parameters
    ----------
    head : RewardHead
        With probabilities; it is cloned.
    pairs, unlabelled : Pairs
    y : array-like of shape (n_pairs,) or None
    confidence : float in (1/2, 1), default=0.9
        Of the likelier side, at which a pair is labelled by it.
    rounds : int >= 1, default=3

    Returns
    -------
    SelfTrained

    Notes
    -----
    It helps where pairs fall into two clusters with few between: confident labels are
    right, and show where the clusters are. It hurts where the first labels are
    biased: the bias is confirmed, and weighs ever more.

    Examples
    --------
    >>> from embrm.heads import LinearBradleyTerry
    >>> items = np.random.default_rng(0).normal(size=(400, 2)) * 3
    >>> pairs = Pairs(items, np.arange(400).reshape(-1, 2))
    >>> y = (items[::2, 0] > items[1::2, 0]).astype(float)
    >>> head = LinearBradleyTerry(alpha=1.0)
    >>> trained = pseudo_label(head, pairs[:40], y[:40], pairs[40:], rounds=1)
    >>> trained.n_labelled[0] > 100
    True
    """
    labels = check_labels(y, n_pairs=len(pairs))
    check_count(rounds, "rounds")
    if not 0.5 < confidence < 1:
        raise invalid_input(
            "confidence in (1/2, 1)", f"{confidence:g}", "pass e.g. 0.9"
        )
    fitted = clone(head).fit(pairs, labels)
    counts = []
    for _ in range(rounds):
        chance = np.asarray(fitted.predict_proba(unlabelled))[:, 1]
        sure = np.maximum(chance, 1 - chance) >= confidence
        counts.append(int(sure.sum()))
        if not counts[-1]:
            break
        both, targets = _joined(pairs, labels, unlabelled, chance, sure)
        fitted = clone(head).fit(both, targets)
    return SelfTrained(fitted, counts)


def _joined(
    pairs: Pairs,
    labels: FloatArray,
    unlabelled: Pairs,
    chance: FloatArray,
    sure: "np.ndarray[Any, np.dtype[np.bool_]]",
) -> tuple[Pairs, FloatArray]:
    items = np.concatenate([np.asarray(pairs.items), np.asarray(unlabelled.items)])
    more = np.asarray(unlabelled.ids)[sure] + len(pairs.items)
    ids = np.concatenate([np.asarray(pairs.ids), more])
    own = (chance[sure] > 0.5).astype(float)
    return Pairs(items, ids, blocks=pairs.blocks), np.concatenate([labels, own])


def self_rewarding(
    head: Any,
    pool: CandidatePool,
    ids: ArrayLike,
    y: ArrayLike | None = None,
    *,
    rounds: int = 5,
    n_pairs: int = 1000,
    eta: float = 0.5,
    anchored: bool = True,
    random_state: RandomState = 0,
) -> list[Any]:
    """Let a head label pairs of its own policy's responses, and fit it on them.

    Self-rewarding language models (Yuan et al. 2024, arXiv:2401.10020), on a pool. A
    head's verdicts on its own pool hold no news: rewards grow, so that the policy gets
    ever surer, while their order gets no better. Without an anchor, it drifts.

    Parameters
    ----------
    head : RewardHead
        It is cloned.
    pool : CandidatePool
    ids : array-like of int of shape (n_labelled, 2)
        Pairs that others labelled.
    y : array-like of shape (n_labelled,), optional
    rounds : int >= 1, default=5
    n_pairs : int >= 1, default=1000
        Pairs that the head labels in each round.
    eta : float > 0, default=0.5
        Of the policy that responses are drawn from.
    anchored : bool, default=True
        Whether the labels of others are kept beside its own.
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    list of RewardHead
        The head that others taught, then that of each round.

    Examples
    --------
    >>> from embrm.heads import LinearBradleyTerry
    >>> items = np.random.default_rng(0).normal(size=(200, 3))
    >>> pool = CandidatePool(items, np.arange(200) % 20)
    >>> ids = pool.same_prompt_ids()[:50]
    >>> y = (items[ids[:, 0], 0] + 0.5 * items[ids[:, 0], 1] > 0).astype(float)
    >>> head = LinearBradleyTerry(alpha=1.0, posterior=False)
    >>> heads = self_rewarding(head, pool, ids, y, rounds=2, anchored=False)
    >>> [bool(np.ptp(h.reward(items)) > np.ptp(heads[0].reward(items))) for h in heads]
    [False, True, True]
    """
    known = check_pair_ids(ids, n_items=len(pool))
    labels = check_labels(y, n_pairs=len(known))
    check_count(rounds, "rounds")
    check_count(n_pairs, "n_pairs")
    generator = check_random_state(random_state)
    prompts = Prompts.of(pool.prompt_ids, len(pool))
    several = np.flatnonzero(prompts.sizes > 1)
    heads = [clone(head).fit(pool.pairs(known), labels)]
    for _ in range(rounds):
        reward = np.asarray(heads[-1].reward(pool.items), dtype=np.float64)
        policy = tilted_policy(reward, pool.prompt_ids, eta)
        drawn = _draw_two(
            prompts, policy, generator.choice(several, n_pairs), generator
        )
        own = (reward[drawn[:, 0]] > reward[drawn[:, 1]]).astype(float)
        if anchored:
            drawn, own = np.concatenate([known, drawn]), np.concatenate([labels, own])
        heads.append(clone(head).fit(pool.pairs(drawn), own))
    return heads


def _draw_two(
    prompts: Prompts,
    policy: FloatArray,
    of: IntArray,
    generator: np.random.Generator,
) -> IntArray:
    """Draw pairs of a policy; the second of equal ones is a uniform other one."""
    one, other = (prompts.draw(policy, of, generator) for _ in range(2))
    while (same := np.flatnonzero(one == other)).size:
        other[same] = prompts.draw(np.zeros_like(policy), of[same], generator)
    return np.stack([one, other], axis=1)


def spin(
    pool: CandidatePool,
    demonstrations: ArrayLike,
    *,
    rounds: int = 3,
    n_pairs: int = 2000,
    settings: DirectAlignment | None = None,
    base_logprob: ArrayLike | None = None,
    random_state: RandomState = 0,
) -> list[FloatArray]:
    r"""Play against oneself until one's responses look like demonstrations (SPIN).

    In each round demonstrations are preferred to responses of the last policy, which is
    the base policy of the next (Chen et al. 2024, arXiv:2401.01335). The game ends
    where the policy is the demonstrations': then nothing tells the two apart.

    Parameters
    ----------
    pool : CandidatePool
    demonstrations : array-like of int of shape (n_demonstrations,)
        Items that were written by others; of a prompt there may be several, and one
        may be there more than once.
    rounds : int >= 1, default=3
    n_pairs : int >= 1, default=2000
    settings : DirectAlignment, optional
        A tabular policy at beta = 1 by default.
    base_logprob : array-like of shape (n_items,), optional
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    list of ndarray of shape (n_items,)
        Log-probabilities: the base policy, then the policy of each round.

    Examples
    --------
    >>> pool = CandidatePool(np.eye(3), ["a"] * 3)
    >>> policies = spin(pool, [0, 0, 1], rounds=2)
    >>> np.exp(policies[-1]).round(1)
    array([0.6, 0.4, 0. ])
    """
    rows = np.atleast_1d(np.asarray(demonstrations))
    check_pair_ids(np.stack([rows, rows], axis=1), n_items=len(pool))
    check_count(rounds, "rounds")
    check_count(n_pairs, "n_pairs")
    settings = settings or DirectAlignment(policy="tabular", beta=1.0, alpha=1e-3)
    check_positive(settings.beta, "beta")
    generator = check_random_state(random_state)
    prompts = Prompts.of(pool.prompt_ids, len(pool))
    policies = [prompts.base(base_logprob)]
    for _ in range(rounds):
        own = generator.choice(rows, n_pairs)
        drawn = prompts.draw(policies[-1], prompts.codes[own], generator)
        ids = np.stack([own, drawn], axis=1)
        fitted: SoftmaxPolicy = settings.fit(pool, ids, base_logprob=policies[-1])
        policies.append(fitted.logprob(pool, policies[-1]))
    return policies
