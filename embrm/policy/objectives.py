r"""Several objectives at once: policies along the Pareto front, robust to the worst.

Rewards are a vector for each item. A user is a direction :math:`\nu`, and their policy
is tilted by :math:`\nu^\top r` (guidebook, section 5.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from embrm._typing import BoolArray, FloatArray
from embrm._validation import as_numbers, check_positive
from embrm.exceptions import invalid_input
from embrm.policy._prompts import Prompts


def conditioned_policy(
    rewards: ArrayLike,
    prompt_ids: ArrayLike,
    nu: ArrayLike,
    eta: float = 1.0,
    *,
    base_logprob: ArrayLike | None = None,
) -> FloatArray:
    r"""Compute the policy of a user, :math:`\pi_0 \exp(\nu^\top r / \eta)`.

    Parameters
    ----------
    rewards : array-like of shape (n_items, k)
    prompt_ids : array-like of shape (n_items,)
    nu : array-like of shape (k,)
        What each objective is worth to the user.
    eta : float > 0, default=1
    base_logprob : array-like of shape (n_items,), optional

    Returns
    -------
    ndarray of shape (n_items,)
        Log-probabilities.

    Examples
    --------
    >>> rewards = [[1.0, 0.0], [0.0, 1.0]]
    >>> np.exp(conditioned_policy(rewards, ["a", "a"], [0.0, np.log(3)])).round(3)
    array([0.25, 0.75])
    """
    table, direction = _checked(rewards, nu)
    prompts = Prompts.of(prompt_ids, len(table))
    check_positive(eta, "eta")
    return prompts.log_softmax(prompts.base(base_logprob) + table @ direction / eta)


def policy_soup(
    logprobs: Sequence[ArrayLike], prompt_ids: ArrayLike, nu: ArrayLike
) -> FloatArray:
    r"""Mix policies as parameters are averaged.

    It is :math:`\pi \propto \prod \pi_i^{\nu_i}`. For log-linear policies of one
    base policy this is the policy of the averaged
    parameters (rewarded soups, Rame et al. 2023, arXiv:2306.04488); where each is
    tilted by its reward, it is the conditioned policy itself, for weights of sum one.

    Parameters
    ----------
    logprobs : sequence of array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)
    nu : array-like of shape (k,), >= 0, sum 1

    Returns
    -------
    ndarray of shape (n_items,)

    Examples
    --------
    >>> even, sure = np.log([0.5, 0.5]), np.log([0.9, 0.1])
    >>> np.exp(policy_soup([even, sure], ["a", "a"], [0.5, 0.5])).round(3)
    array([0.75, 0.25])
    """
    table, weights = _checked(np.stack([np.asarray(p) for p in logprobs], axis=1), nu)
    if weights.min() < 0 or not np.isclose(weights.sum(), 1):
        raise invalid_input(
            "weights >= 0 of sum 1", f"sum {weights.sum():g}", "normalise them"
        )
    prompts = Prompts.of(prompt_ids, len(table))
    return prompts.log_softmax(table @ weights)


@dataclass(frozen=True, eq=False)
class ParetoFront:
    """What policies give of each objective.

    Attributes
    ----------
    nu : ndarray of shape (G, k)
    value : ndarray of shape (G, k)
        Expected rewards, means over prompts.
    kl : ndarray of shape (G,), in nats
    """

    nu: FloatArray
    value: FloatArray
    kl: FloatArray

    @property
    def dominated(self) -> BoolArray:
        """Whether another is as good in all, divergence too, and better in one."""
        good = np.column_stack([self.value, -self.kl])
        as_good = (good[None] >= good[:, None] - 1e-12).all(axis=2)
        better = (good[None] > good[:, None] + 1e-12).any(axis=2)
        return np.asarray(np.logical_and(as_good, better).any(axis=1))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per policy: weights, values, divergence."""
        columns = {f"nu_{n}": column for n, column in enumerate(self.nu.T)}
        columns |= {f"value_{n}": column for n, column in enumerate(self.value.T)}
        return pd.DataFrame(columns | {"kl": self.kl})


def pareto_front(
    rewards: ArrayLike,
    prompt_ids: ArrayLike,
    nu: ArrayLike,
    eta: float = 1.0,
    *,
    gold: ArrayLike | None = None,
    base_logprob: ArrayLike | None = None,
) -> ParetoFront:
    r"""Compute what the conditioned policies of users give of each objective.

    Parameters
    ----------
    rewards : array-like of shape (n_items, k)
        That policies are tilted by.
    prompt_ids : array-like of shape (n_items,)
    nu : array-like of shape (G, k)
        Users.
    eta : float > 0, default=1
    gold : array-like of shape (n_items, k), optional
        What is measured; the rewards by default, of which no policy on the front of
        positive users is dominated at its divergence.
    base_logprob : array-like of shape (n_items,), optional

    Returns
    -------
    ParetoFront

    Examples
    --------
    >>> front = pareto_front([[1, 0], [0, 1]], ["a", "a"], [[1, 0], [0, 1]], eta=0.5)
    >>> front.value.round(2)
    array([[0.88, 0.12],
           [0.12, 0.88]])
    """
    users = np.atleast_2d(as_numbers(nu, "nu"))
    table, _ = _checked(rewards, users[0])
    measured = table if gold is None else _checked(gold, users[0])[0]
    prompts = Prompts.of(prompt_ids, len(table))
    base = prompts.base(base_logprob)
    values, kls = [], []
    for user in users:
        logprob = conditioned_policy(
            table, prompt_ids, user, eta, base_logprob=base_logprob
        )
        shares = np.exp(logprob)
        values.append(prompts.sum(shares[:, None] * measured).mean(axis=0))
        kls.append(prompts.expected_log_ratio(logprob, base)[1].mean())
    return ParetoFront(users, np.array(values), np.array(kls))


@dataclass(frozen=True, eq=False)
class RobustPolicy:
    """The policy whose worst-off group fares best.

    Attributes
    ----------
    nu : ndarray of shape (k,)
        Weights of the groups, >= 0, of sum 1: those that are not worst off have none.
    logprob : ndarray of shape (n_items,)
    value : ndarray of shape (k,)
        Expected reward of each group.
    """

    nu: FloatArray
    logprob: FloatArray
    value: FloatArray


def worst_group_policy(
    rewards: ArrayLike,
    prompt_ids: ArrayLike,
    eta: float = 1.0,
    *,
    base_logprob: ArrayLike | None = None,
) -> RobustPolicy:
    r"""Maximise :math:`\min_g E_\pi[r_g] - \eta\,\mathrm{KL}(\pi \| \pi_0)`.

    Its dual is convex in the groups' weights,
    :math:`\min_\nu \eta E_x \log E_{\pi_0} \exp(\nu^\top r / \eta)` over the simplex,
    and the policy is the conditioned one of the weights that attain it (MaxMin-RLHF,
    Chakraborty et al. 2024, arXiv:2402.08925).

    Parameters
    ----------
    rewards : array-like of shape (n_items, k)
        Of each group of users, on one scale and from one origin.
    prompt_ids : array-like of shape (n_items,)
    eta : float > 0, default=1
    base_logprob : array-like of shape (n_items,), optional

    Returns
    -------
    RobustPolicy

    Examples
    --------
    >>> rewards = [[1.0, 0.0], [0.0, 0.5]]
    >>> robust = worst_group_policy(rewards, ["a", "a"], eta=0.1)
    >>> robust.value.round(2), robust.nu.round(2)
    (array([0.33, 0.33]), array([0.29, 0.71]))
    """
    table = as_numbers(rewards, "rewards")
    k = table.shape[1] if table.ndim == 2 else 0
    table, even = _checked(table, np.full(k, 1 / max(1, k)))
    prompts = Prompts.of(prompt_ids, len(table))
    check_positive(eta, "eta")
    base = prompts.base(base_logprob)

    def dual(nu: FloatArray) -> tuple[float, FloatArray]:
        logits = base + table @ nu / eta
        highest = prompts.max(logits)
        total = prompts.sum(np.exp(logits - highest[prompts.codes]))
        shares = np.exp(prompts.log_softmax(logits))
        value = prompts.sum(shares[:, None] * table).mean(axis=0)
        return float(eta * (np.log(total) + highest).mean()), value

    simplex: Any = {"type": "eq", "fun": lambda nu: nu.sum() - 1}
    start: Any = even
    fun: Any = dual
    solved = minimize(
        fun,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * k,
        constraints=simplex,
        options={"ftol": 1e-12, "maxiter": 500},
    )
    nu = np.clip(np.asarray(solved.x), 0, None)
    nu /= nu.sum()
    logprob = prompts.log_softmax(base + table @ nu / eta)
    return RobustPolicy(nu, logprob, dual(nu)[1])


def _checked(rewards: ArrayLike, nu: ArrayLike) -> tuple[FloatArray, FloatArray]:
    table = as_numbers(rewards, "rewards").astype(np.float64)
    direction = as_numbers(nu, "nu").astype(np.float64)
    if table.ndim != 2 or direction.shape != (table.shape[1],) or not table.size:
        raise invalid_input(
            "rewards of shape (n_items, k) and nu of shape (k,)",
            f"shapes {table.shape} and {direction.shape}",
            "pass a column of rewards for each objective",
        )
    return table, direction
