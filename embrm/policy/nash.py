r"""Nash learning from preferences: the game that two policies play on each prompt.

A general preference need not come from a reward: it may have cycles. Two policies each
give a response, and the payoff of the first is how far its response is preferred,
:math:`R(a, a')`, antisymmetric. In the symmetric game regularised to the base policy
(Munos et al. 2023, arXiv:2312.00886; guidebook, section 5.1) the only equilibrium is

.. math:: \pi \propto \pi_0 \exp(E_{a' \sim \pi} R(a, a') / \eta)

(the guidebook's sign :math:`-1/\eta` is a slip).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog
from scipy.special import log_softmax, logit, logsumexp

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import check_choice, check_count, check_positive
from embrm.evaluate.inputs import prompts_by_size
from embrm.exceptions import invalid_input
from embrm.policy._prompts import Prompts
from embrm.policy.policies import Preference
from embrm.pool import CandidatePool

PAYOFFS = ("log-odds", "probability")
"""R of the game: log P / (1 - P), or P - 1/2."""

_MAX_ENTRIES = 2_000_000
_LARGEST_LOG_ODDS = 30.0


def head_preference(head: Any, pool: CandidatePool) -> Preference:
    """Make the preference of a fitted head, general or of a reward, on a pool.

    Examples
    --------
    >>> from embrm.heads import LinearBradleyTerry
    >>> pool = CandidatePool(np.array([[1.0], [0.0]]), ["a", "a"])
    >>> head = LinearBradleyTerry(alpha=1.0).fit(pool.pairs([[0, 1]]))
    >>> bool(head_preference(head, pool)(np.array([[1, 0]]))[0] < 0.5)
    True
    """
    return lambda ids: np.asarray(head.predict_proba(pool.pairs(ids))[:, 1])


def preference_matrices(
    preference: Preference, prompt_ids: ArrayLike
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield the K x K preferences of prompts, those of one size together.

    Yields
    ------
    rows : ndarray of int of shape (m, K)
        Items of m prompts.
    probability : ndarray of shape (m, K, K)
        That the item of the row is preferred to that of the column; 1/2 on the
        diagonal, and of both orders the mean.
    """
    ids = np.asarray(prompt_ids)
    for _, rows in prompts_by_size(Prompts.of(ids, len(ids)).codes):
        size = rows.shape[1]
        at_once = max(1, _MAX_ENTRIES // size**2)
        first, second = np.triu_indices(size, k=1)
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            table = np.full((len(part), size, size), 0.5)
            pairs = np.stack([part[:, first], part[:, second]], axis=-1).reshape(-1, 2)
            if len(pairs):
                there = preference(pairs)
                back = preference(pairs[:, ::-1])
                mean = ((there + 1 - back) / 2).reshape(len(part), -1)
                table[:, first, second], table[:, second, first] = mean, 1 - mean
            yield part, table


def payoff_of(probability: FloatArray, payoff: str = "log-odds") -> FloatArray:
    """Turn preferences (..., K, K) into antisymmetric payoffs.

    Log-odds beyond 30, those of certain preferences, are 30.

    Examples
    --------
    >>> payoff_of(np.array([[0.5, 0.75], [0.25, 0.5]]), "probability")
    array([[ 0.  ,  0.25],
           [-0.25,  0.  ]])
    """
    check_choice(payoff, "payoff", PAYOFFS)
    if payoff == "probability":
        return np.asarray(probability - 0.5)
    odds = np.clip(logit(probability), -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
    return np.asarray((odds - np.swapaxes(odds, -1, -2)) / 2)


@dataclass(frozen=True, eq=False)
class NashPolicy:
    """The equilibrium of the game on each prompt.

    Attributes
    ----------
    logprob : ndarray of shape (n_items,)
    exploitability : ndarray of shape (n_prompts,), >= 0
        What the best answer to the policy gains over it, in units of the payoff, in
        order of the prompt ids; 0 at the equilibrium.
    n_iter : int
        Steps of the slowest prompt.
    converged : bool
        Whether every exploitability is below the tolerance.
    """

    logprob: FloatArray
    exploitability: FloatArray
    n_iter: int
    converged: bool


def nash_policy(
    preference: Preference,
    prompt_ids: ArrayLike,
    eta: float = 1.0,
    *,
    payoff: str = "log-odds",
    base_logprob: ArrayLike | None = None,
    tolerance: float = 1e-9,
    max_iter: int = 20_000,
) -> NashPolicy:
    r"""Find the KL-regularised Nash policy by mirror ascent.

    Each step looks ahead (mirror-prox), which converges where plain mirror ascent
    would circle around a cycle.

    Parameters
    ----------
    preference : callable
        Takes pairs of items (m, 2), returns the probabilities that the first wins:
        `head_preference(head, pool)`, or `bradley_terry(reward)`.
    prompt_ids : array-like of shape (n_items,)
    eta : float > 0, default=1
        Price of divergence, in the unit of the payoff.
    payoff : {"log-odds", "probability"}, default="log-odds"
    base_logprob : array-like of shape (n_items,), optional
    tolerance : float > 0, default=1e-9
        Exploitability at which a prompt is done.
    max_iter : int >= 1, default=20000

    Returns
    -------
    NashPolicy

    Notes
    -----
    Where preferences are those of a reward, log-odds are its differences, and the
    equilibrium is the policy tilted by it. Small eta takes many steps, about the
    largest payoff over eta; the limit of none is `nash_by_linear_program`.

    Examples
    --------
    >>> wins = np.array([[0.5, 0.9, 0.1], [0.1, 0.5, 0.9], [0.9, 0.1, 0.5]])
    >>> cycle = lambda ids: wins[ids[:, 0], ids[:, 1]]
    >>> np.exp(nash_policy(cycle, ["a"] * 3).logprob).round(3)
    array([0.333, 0.333, 0.333])
    """
    ids = np.asarray(prompt_ids)
    prompts = Prompts.of(ids, len(ids))
    check_positive(eta, "eta")
    check_positive(tolerance, "tolerance")
    check_count(max_iter, "max_iter")
    base = prompts.base(base_logprob)
    if not np.isfinite(base).all():
        raise invalid_input(
            "base probabilities above 0",
            "responses without",
            "drop the responses that the base policy never gives",
        )
    logprob, gaps, steps = np.empty(len(ids)), np.zeros(len(prompts)), 0
    for rows, probability in preference_matrices(preference, ids):
        payoffs = payoff_of(probability, payoff)
        solved, gap, n = _mirror_prox(payoffs, base[rows], eta, tolerance, max_iter)
        logprob[rows] = solved
        gaps[prompts.codes[rows[:, 0]]] = gap
        steps = max(steps, n)
    return NashPolicy(logprob, gaps, steps, bool((gaps <= tolerance).all()))


def _mirror_prox(
    payoff: FloatArray, base: FloatArray, eta: float, tolerance: float, max_iter: int
) -> tuple[FloatArray, FloatArray, int]:
    policy = base.copy()
    gap = regularised_exploitability(payoff, policy, base, eta)
    largest = np.abs(payoff).max(axis=(1, 2))
    step = 1 / (2 * largest + eta)
    left = np.flatnonzero(gap > tolerance)
    done = 0
    while len(left) and done < max_iter:
        part, start, rate = payoff[left], base[left], step[left, None]
        now = policy[left]
        for _ in range(min(_CHECKED_EVERY, max_iter - done)):
            ahead = _ascend(now, now, part, start, eta, rate)
            now = _ascend(now, ahead, part, start, eta, rate)
            done += 1
        policy[left] = now
        gap[left] = regularised_exploitability(part, now, start, eta)
        left = left[gap[left] > tolerance]
    return policy, gap, done


_CHECKED_EVERY = 20


def _ascend(
    now: FloatArray,
    seen: FloatArray,
    payoff: FloatArray,
    base: FloatArray,
    eta: float,
    rate: FloatArray,
) -> FloatArray:
    """Step from `now` along the gradient at `seen`; the penalty's part is implicit."""
    gain = np.einsum("mij,mj->mi", payoff, np.exp(seen))
    towards = (now + rate * (gain + eta * base)) / (1 + rate * eta)
    return np.asarray(log_softmax(towards, axis=1))


def regularised_exploitability(
    payoff: FloatArray, logprob: FloatArray, base: FloatArray, eta: float
) -> FloatArray:
    r"""Compute what the best answer to a policy gains: shape (m,).

    :math:`\max_{\pi'} J(\pi', \pi) = \eta \log E_{\pi_0} e^{R \pi / \eta} +
    \eta\,\mathrm{KL}(\pi \| \pi_0)`, in closed form.

    Parameters
    ----------
    payoff : ndarray of shape (m, K, K)
    logprob, base : ndarray of shape (m, K)
    eta : float > 0

    Examples
    --------
    >>> even = np.log(np.full((1, 2), 0.5))
    >>> game = np.array([[[0.0, 1.0], [-1.0, 0.0]]])
    >>> regularised_exploitability(game, even, even, 1.0).round(4)
    array([0.1201])
    """
    shares = np.exp(logprob)
    gain = np.einsum("mij,mj->mi", payoff, shares)
    best = eta * logsumexp(base + gain / eta, axis=1)
    kl = (shares * (logprob - base)).sum(axis=1)
    return np.asarray(np.maximum(best + eta * kl, 0.0))


def nash_by_linear_program(payoff: ArrayLike) -> FloatArray:
    r"""Solve the game without regularisation, exactly: the limit of eta -> 0.

    Finds p with :math:`p^\top R \ge 0`, which loses to no response on average.

    Parameters
    ----------
    payoff : array-like of shape (K, K), antisymmetric

    Returns
    -------
    ndarray of shape (K,)
        Probabilities. Where several solve the game, one of them.

    Raises
    ------
    InvalidInputError
        If the payoff is not antisymmetric.

    Examples
    --------
    >>> game = np.array([[0.0, 1.0, -2.0], [-1.0, 0.0, 1.0], [2.0, -1.0, 0.0]])
    >>> nash_by_linear_program(game).round(3)
    array([0.25, 0.5 , 0.25])
    """
    table = np.asarray(payoff, dtype=np.float64)
    square = table.ndim == 2 and table.shape[0] == table.shape[1]
    if not square or not np.allclose(table, -table.T, atol=1e-9):
        raise invalid_input(
            "an antisymmetric payoff of shape (K, K)",
            f"shape {table.shape}",
            "pass payoff_of(probability)",
        )
    size = len(table)
    cost = np.r_[np.zeros(size), -1.0]
    solved = linprog(
        cost,
        A_ub=np.column_stack([-table.T, np.ones(size)]),
        b_ub=np.zeros(size),
        A_eq=np.r_[np.ones(size), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * size + [(None, None)],
        method="highs",
    )
    shares = np.maximum(np.asarray(solved.x, dtype=np.float64)[:size], 0.0)
    return np.asarray(shares / shares.sum())


@dataclass(frozen=True)
class CycleReport:
    """How far preferences are from an order, over prompts of three responses or more.

    Attributes
    ----------
    n_prompts : int
    condorcet : float
        Share of prompts with a response that is preferred to every other.
    cyclic_triples : float
        Share of triples that are a cycle: 1/4 by chance.
    top_cycle : float
        Mean size of the smallest set that beats all others (1 with such a response).
    """

    n_prompts: int
    condorcet: float
    cyclic_triples: float
    top_cycle: float

    def __str__(self) -> str:
        return (
            f"{self.condorcet:.1%} of {self.n_prompts} prompts have a response that "
            f"beats every other; {self.cyclic_triples:.1%} of triples are cycles; the "
            f"top cycle has {self.top_cycle:.1f} responses."
        )


def cycle_report(preference: Preference, prompt_ids: ArrayLike) -> CycleReport:
    """Count Condorcet winners and cycles of a preference.

    Parameters
    ----------
    preference : callable
        As in `nash_policy`; a tie is preferred neither way.
    prompt_ids : array-like of shape (n_items,)

    Raises
    ------
    InvalidInputError
        If no prompt has three responses.

    Examples
    --------
    >>> wins = np.array([[0.5, 0.9, 0.1], [0.1, 0.5, 0.9], [0.9, 0.1, 0.5]])
    >>> print(cycle_report(lambda ids: wins[ids[:, 0], ids[:, 1]], ["a"] * 3))
    0.0% of 1 prompts have a response that beats every other; 100.0% of triples are
    cycles; the top cycle has 3.0 responses.
    """
    winners, cycles, triples, tops = 0, 0.0, 0.0, []
    for rows, probability in preference_matrices(preference, prompt_ids):
        size = rows.shape[1]
        if size < 3:
            continue
        beats = (probability > 0.5).astype(float)
        winners += int((beats.sum(axis=2) == size - 1).any(axis=1).sum())
        # A cycle of three is counted from each of its ends.
        cycles += float(np.einsum("mij,mjk,mki->", beats, beats, beats)) / 3
        triples += len(rows) * size * (size - 1) * (size - 2) / 6
        tops += [int(top_cycle(table).sum()) for table in probability]
    if not tops:
        raise invalid_input(
            "a prompt with three responses",
            "none",
            "cycles take three: pass a pool of more responses",
        )
    n = len(tops)
    return CycleReport(n, winners / n, cycles / triples, float(np.mean(tops)))


def top_cycle(probability: FloatArray) -> BoolArray:
    """Mark the smallest set that beats or ties with none outside (the Smith set).

    Parameters
    ----------
    probability : ndarray of shape (K, K)

    Returns
    -------
    ndarray of bool of shape (K,)

    Examples
    --------
    >>> top_cycle(np.array([[0.5, 0.9], [0.1, 0.5]]))
    array([ True, False])
    """
    # By how many each is not beaten: the set is the first run from the top of this
    # order that beats all below it.
    stands = probability >= 0.5
    beats = probability > 0.5
    order = np.argsort(-(stands.sum(axis=1) + beats.sum(axis=1)), kind="stable")
    for count in range(1, len(order) + 1):
        inside, outside = order[:count], order[count:]
        if beats[np.ix_(inside, outside)].all():
            break
    marked = np.zeros(len(order), dtype=bool)
    marked[inside] = True
    return marked
