r"""Policies on candidate pools: softmax, best of n and their kin, exactly.

A policy is an array of log-probabilities, one for each item, that sum to one within
each prompt. The base policy :math:`\pi_0` is uniform, supplied as `base_logprob`, or a
language model's likelihood of each response (sums of log-probabilities of tokens; they
are normalised within the pool).
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from embrm._typing import FloatArray, IntArray
from embrm._validation import as_numbers, check_choice, check_count, check_positive
from embrm.evaluate.inputs import check_scores, prompts_by_size
from embrm.exceptions import invalid_input
from embrm.policy._prompts import Prompts

Preference: TypeAlias = Callable[[IntArray], FloatArray]
"""Takes pairs of items (m, 2); returns the probabilities that the first wins."""

_PAIRS_AT_ONCE = 4_000_000


def tilted_policy(
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    eta: float = 1.0,
    *,
    base_logprob: ArrayLike | None = None,
) -> FloatArray:
    r"""Compute :math:`\pi \propto \pi_0 \exp(r / \eta)`, the optimum of RLHF.

    It maximises :math:`E_\pi[r] - \eta\,\mathrm{KL}(\pi \| \pi_0)` (guidebook,
    proposition 1), and is what PPO would reach.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)
    eta : float > 0, default=1
        Price of divergence, in the unit of the reward.
    base_logprob : array-like of shape (n_items,), optional
        Of the base policy, up to a constant for each prompt; None is uniform.

    Returns
    -------
    ndarray of shape (n_items,)
        Log-probabilities.

    Examples
    --------
    >>> np.exp(tilted_policy([0.0, np.log(3)], ["a", "a"])).round(3)
    array([0.25, 0.75])
    """
    values = check_scores(reward, "reward")
    prompts = Prompts.of(prompt_ids, len(values))
    check_positive(eta, "eta")
    return prompts.log_softmax(prompts.base(base_logprob) + values / eta)


def best_of_n_policy(
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    n: int,
    *,
    base_logprob: ArrayLike | None = None,
) -> FloatArray:
    r"""Compute the policy of the best of n independent draws from the base policy.

    Item i is picked with probability :math:`F(r_i)^n - F(r_i^-)^n`, F the distribution
    of the reward under the base policy; items that tie share it as the base does.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)
    n : int >= 1
    base_logprob : array-like of shape (n_items,), optional

    Returns
    -------
    ndarray of shape (n_items,)
        Log-probabilities. Their divergence from the base policy is at most
        `best_of_n_kl(n)` (Beirami et al. 2024, arXiv:2401.01879).

    Examples
    --------
    >>> np.exp(best_of_n_policy([0.0, 1.0], ["a", "a"], 2)).round(3)
    array([0.25, 0.75])
    """
    values = check_scores(reward, "reward")
    check_count(n, "n")
    prompts = Prompts.of(prompt_ids, len(values))
    base = prompts.base(base_logprob)
    above, tied = _tail(prompts, values, np.exp(base))
    # From above, where the mass of the best lies, so that it is rounded least.
    mass = _power(1 - above, n) - _power(1 - above - tied, n)
    # A base probability that underflows is one of zero.
    share = np.divide(mass, tied, out=np.zeros_like(mass), where=tied > 0)
    with np.errstate(divide="ignore"):
        logprob: FloatArray = np.log(share) + base
    return logprob


def _power(share: FloatArray, n: int) -> FloatArray:
    return np.asarray(np.clip(share, 0, 1) ** n)


def _tail(
    prompts: Prompts, values: FloatArray, shares: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Sum for each item the shares of better items of its prompt, and of equal ones."""
    order = np.lexsort((values, prompts.codes))[::-1]
    codes, sorted_values = prompts.codes[order], values[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (codes[1:] != codes[:-1]) | (sorted_values[1:] != sorted_values[:-1])
    block = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    tied = np.add.reduceat(shares[order], first)
    before = np.cumsum(tied) - tied
    starts = np.ones(len(first), dtype=bool)
    starts[1:] = codes[first[1:]] != codes[first[:-1]]
    within = before - before[starts][np.cumsum(starts) - 1]
    above, equal = np.empty((2, len(values)))
    above[order], equal[order] = within[block], tied[block]
    return np.maximum(above, 0), equal


def winning_shares(
    gold: ArrayLike, prompt_ids: ArrayLike, *, base_logprob: ArrayLike | None = None
) -> FloatArray:
    """Compute how often each item beats a draw of the base policy; a tie counts half.

    The win rate of a policy is the mean of these under it.

    Parameters
    ----------
    gold : array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)
    base_logprob : array-like of shape (n_items,), optional

    Returns
    -------
    ndarray of shape (n_items,), in [0, 1]

    Examples
    --------
    >>> winning_shares([1.0, 2.0, 2.0, 3.0], ["a"] * 4)
    array([0.125, 0.5  , 0.5  , 0.875])
    """
    values = check_scores(gold, "gold")
    prompts = Prompts.of(prompt_ids, len(values))
    above, tied = _tail(prompts, values, np.exp(prompts.base(base_logprob)))
    return np.clip(1 - above - tied / 2, 0.0, 1.0)


def psi_policy(
    preference: Preference,
    prompt_ids: ArrayLike,
    eta: float = 1.0,
    *,
    psi: str | Callable[[FloatArray], FloatArray] = "identity",
    base_logprob: ArrayLike | None = None,
    opponent_logprob: ArrayLike | None = None,
) -> FloatArray:
    r"""Compute the optimum of Psi-PO in general, of any preference.

    It is :math:`\pi \propto \pi_0 \exp(E_{y' \sim \mu} \Psi(p(y \succ y'))/\eta)`
    (Azar et al. 2023, arXiv:2310.12036, equation 6). With
    :math:`\Psi = \mathrm{logit}` and Bradley-Terry preferences it is the optimum of
    RLHF, with the identity that of IPO, whose exponent is bounded by :math:`1 / \eta`.

    Parameters
    ----------
    preference : callable
        Takes pairs of items (m, 2) and returns the probability that first wins; see
        `bradley_terry`.
    prompt_ids : array-like of shape (n_items,)
    eta : float > 0, default=1
    psi : {"identity", "logit"} or callable, default="identity"
        Not decreasing, from [0, 1] to the real numbers.
    base_logprob : array-like of shape (n_items,), optional
    opponent_logprob : array-like of shape (n_items,), optional
        Of :math:`\mu`; the base policy by default.

    Returns
    -------
    ndarray of shape (n_items,)
        Log-probabilities.

    Examples
    --------
    >>> reward = np.array([0.0, 1.0, 5.0])
    >>> ipo = psi_policy(bradley_terry(reward), ["a"] * 3)
    >>> np.exp(ipo).round(3)
    array([0.254, 0.298, 0.448])
    >>> rlhf = psi_policy(bradley_terry(reward), ["a"] * 3, psi="logit")
    >>> bool(np.allclose(rlhf, tilted_policy(reward, ["a"] * 3)))
    True
    """
    ids = np.asarray(prompt_ids)
    prompts = Prompts.of(ids, len(ids))
    check_positive(eta, "eta")
    if isinstance(psi, str):
        check_choice(psi, "psi", tuple(_PSI))
        psi = _PSI[psi]
    base = prompts.base(base_logprob)
    opponent = base if opponent_logprob is None else prompts.base(opponent_logprob)
    score = _expected_psi(preference, prompts, psi, np.exp(opponent))
    return prompts.log_softmax(base + score / eta)


def _expected_psi(
    preference: Preference,
    prompts: Prompts,
    psi: Callable[[FloatArray], FloatArray],
    opponent: FloatArray,
) -> FloatArray:
    score = np.empty(len(prompts.codes))
    for _, rows in prompts_by_size(prompts.codes):
        size = rows.shape[1]
        at_once = max(1, _PAIRS_AT_ONCE // size**2)
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            shape = (len(part), size, size)
            first = np.broadcast_to(part[:, :, None], shape)
            second = np.broadcast_to(part[:, None, :], shape)
            pairs = np.stack([first, second], axis=-1).reshape(-1, 2)
            utility = psi(preference(pairs)).reshape(shape)
            score[part] = (utility * opponent[part][:, None, :]).sum(axis=2)
    return score


_PSI: dict[str, Callable[[FloatArray], FloatArray]] = {
    "identity": np.asarray,
    "logit": logit,
}


def bradley_terry(reward: ArrayLike) -> Preference:
    """Make the preference of a reward: the first wins with probability sigma(delta).

    Examples
    --------
    >>> bradley_terry([0.0, 0.0])(np.array([[0, 1]]))
    array([0.5])
    """
    values = check_scores(reward, "reward")
    return lambda ids: np.asarray(expit(values[ids[:, 0]] - values[ids[:, 1]]))


def policy_gradient_path(
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    eta: float = 1.0,
    *,
    step: float = 0.1,
    n_steps: int = 10,
    base_logprob: ArrayLike | None = None,
) -> FloatArray:
    r"""Follow the natural policy gradient from the base policy, as PPO would.

    Each step is the proximal one of PPO idealised, a mirror ascent on
    :math:`E[r] - \eta\,\mathrm{KL}(\pi \| \pi_0)`:
    :math:`\pi_{t+1} \propto \pi_t \exp(\alpha (r - \eta \log \pi_t / \pi_0))`, so that
    :math:`\pi_t \propto \pi_0 \exp((1 - (1 - \alpha \eta)^t)\, r / \eta)`.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)
    eta : float > 0, default=1
    step : float in (0, 1 / eta], default=0.1
        :math:`\alpha`.
    n_steps : int >= 1, default=10
    base_logprob : array-like of shape (n_items,), optional

    Returns
    -------
    ndarray of shape (n_steps + 1, n_items)
        Log-probabilities, from the base policy on.

    Examples
    --------
    >>> path = policy_gradient_path([0.0, 1.0], ["a", "a"], step=1.0, n_steps=1)
    >>> bool(np.allclose(path[-1], tilted_policy([0.0, 1.0], ["a", "a"])))
    True
    """
    values = check_scores(reward, "reward")
    prompts = Prompts.of(prompt_ids, len(values))
    check_positive(eta, "eta")
    if not 0 < step * eta <= 1:
        raise invalid_input("step in (0, 1 / eta]", f"{step:g}", "take smaller steps")
    base = prompts.base(base_logprob)
    shares = 1 - (1 - step * eta) ** np.arange(check_count(n_steps, "n_steps") + 1)
    return np.stack(
        [prompts.log_softmax(base + share * values / eta) for share in shares]
    )


def rejection_fine_tuned(
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    n: int,
    *,
    rounds: int = 1,
    base_logprob: ArrayLike | None = None,
) -> FloatArray:
    r"""Imitate one's own best of n, again and again (RAFT; LLaMA 2), idealised.

    With perfect imitation a round turns the distribution F of the reward into
    :math:`F^n`, so that T rounds are the best of :math:`n^T`: nothing holds it back.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)
    n : int >= 1
    rounds : int >= 0, default=1
    base_logprob : array-like of shape (n_items,), optional

    Returns
    -------
    ndarray of shape (n_items,)
        Log-probabilities.

    Examples
    --------
    >>> np.exp(rejection_fine_tuned([0.0, 1.0], ["a", "a"], 2, rounds=2)).round(4)
    array([0.0625, 0.9375])
    """
    check_count(n, "n")
    check_count(rounds, "rounds", 0)
    return best_of_n_policy(reward, prompt_ids, n**rounds, base_logprob=base_logprob)


def implicit_reward(
    policy_logprob: ArrayLike, base_logprob: ArrayLike, beta: float = 0.1
) -> FloatArray:
    r"""Compute :math:`\beta \log \pi / \pi_0`, a policy's reward up to the prompt.

    Rafailov et al. (2023), arXiv:2305.18290, equation 5, without the partition
    function, which cancels between responses to one prompt.

    Parameters
    ----------
    policy_logprob, base_logprob : array-like of shape (n_items,)
        Of whole responses: sums over their tokens.
    beta : float > 0, default=0.1

    Returns
    -------
    ndarray of shape (n_items,), in nats

    Examples
    --------
    >>> implicit_reward([-1.0, -5.0], [-2.0, -2.0])
    array([ 0.1, -0.3])
    """
    new = check_scores(policy_logprob, "policy_logprob")
    base = check_scores(base_logprob, "base_logprob", len(new))
    return np.asarray(check_positive(beta, "beta") * (new - base))


def coverage(
    items: ArrayLike,
    prompt_ids: ArrayLike,
    pair_ids: IntArray,
    logprob: ArrayLike,
    *,
    base_logprob: ArrayLike | None = None,
    ridge: float = 1.0,
) -> float:
    r"""Compute :math:`C_\mathrm{cov}(\pi)`: how badly pairs cover a policy.

    .. math:: \sqrt n\, E_{x, a \sim \pi} \lVert \phi(x, a) -
        E_{a' \sim \pi_0} \phi(x, a') \rVert_{\Sigma^{-1}},\quad
        \Sigma = \lambda I + \sum \Delta\phi \Delta\phi^\top

    The guidebook's section 4.3 (it writes :math:`\Sigma^{-1}` for :math:`\Sigma`).

    Parameters
    ----------
    items : array-like of shape (n_items, d)
    prompt_ids : array-like of shape (n_items,)
    pair_ids : ndarray of int of shape (n_pairs, 2)
        The pairs that were labelled.
    logprob : array-like of shape (n_items,)
        Of the policy.
    base_logprob : array-like of shape (n_items,), optional
    ridge : float > 0, default=1
        :math:`\lambda`.

    Returns
    -------
    float
        Small where the pairs tell the policy from the base policy.

    Examples
    --------
    >>> items = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> seen, unseen = ([0.0, -1e3, -1e3, -1e3], [-1e3, -1e3, 0.0, -1e3])
    >>> pairs = np.array([[0, 1]])
    >>> [round(coverage(items, ["a"] * 4, pairs, p), 3) for p in (seen, unseen)]
    [0.447, 1.0]
    """
    vectors = as_numbers(items, "items").astype(np.float64)
    prompts = Prompts.of(prompt_ids, len(vectors))
    shares = np.exp(prompts.base(logprob))
    base = np.exp(prompts.base(base_logprob))
    difference = vectors[pair_ids[:, 0]] - vectors[pair_ids[:, 1]]
    sigma = check_positive(ridge, "ridge") * np.eye(vectors.shape[1])
    sigma += difference.T @ difference
    centred = vectors - prompts.sum(base[:, None] * vectors)[prompts.codes]
    root = np.linalg.cholesky(sigma)
    norms = np.linalg.norm(np.linalg.solve(root, centred.T), axis=0)
    mean = float(prompts.sum(shares * norms).mean())
    return float(np.sqrt(len(pair_ids)) * mean)
