"""What policies do: gold, reward, win rate and divergence, exactly, as they vary."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, RandomState
from embrm._validation import as_numbers
from embrm.evaluate.divergence import best_of_n_kl, check_counts
from embrm.evaluate.inputs import check_scores
from embrm.evaluate.resampling import Band, band_of_curves, resampled_prompts
from embrm.exceptions import invalid_input
from embrm.policy._prompts import Prompts
from embrm.policy.policies import best_of_n_policy, winning_shares


@dataclass(frozen=True, eq=False)
class PolicySweep:
    """Expectations of G policies on one pool, each a mean over prompts with its band.

    Attributes
    ----------
    name : str
    strength : ndarray of shape (G,)
        What varies: eta, n, or a number of steps.
    kl : Band, in nats
        Divergence of the policy from the base policy.
    gold, win_rate : Band or None
        Expected gold, and how often a draw beats one of the base policy by gold.
    reward, length : Band or None
        Expectations of what the policy was made of, and of lengths.
    kl_bound : ndarray of shape (G,) or None
        An upper bound of the divergence that holds on any pool.
    per_prompt : dict of str to ndarray of shape (n_prompts, G)
        The same before the mean.
    """

    name: str
    strength: FloatArray
    kl: Band
    gold: Band | None
    win_rate: Band | None
    reward: Band | None
    length: Band | None
    per_prompt: dict[str, FloatArray]
    kl_bound: FloatArray | None = None

    def to_frame(self) -> pd.DataFrame:
        """Return one row per policy: strength, kl, and the others with bands."""
        columns: dict[str, FloatArray] = {"strength": self.strength}
        for name in ("kl", "gold", "win_rate", "reward", "length"):
            band: Band | None = getattr(self, name)
            if band is not None:
                columns[name] = band.mean
                columns[f"{name}_low"] = band.low
                columns[f"{name}_high"] = band.high
        return pd.DataFrame(columns).assign(policy=self.name)

    def gold_at(self, kl: float) -> float:
        """Read expected gold at a divergence, between policies linearly.

        NaN where the sweep does not reach that far.
        """
        if self.gold is None:
            raise invalid_input("a sweep with gold", "none", "pass gold=")
        order = np.argsort(self.kl.mean)
        kls, golds = self.kl.mean[order], self.gold.mean[order]
        return float(np.interp(kl, kls, golds, right=np.nan))


def sweep_policies(
    logprobs: Iterable[FloatArray],
    prompt_ids: ArrayLike,
    *,
    strength: ArrayLike,
    name: str = "policy",
    gold: ArrayLike | None = None,
    reward: ArrayLike | None = None,
    length: ArrayLike | None = None,
    base_logprob: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 1000,
    random_state: RandomState = 0,
) -> PolicySweep:
    r"""Compute what policies do, exactly: sums over the pool, no draws.

    Parameters
    ----------
    logprobs : iterable of ndarray of shape (n_items,)
        Log-probabilities, one array for each strength; they may come one by one.
    prompt_ids : array-like of shape (n_items,)
    strength : array-like of shape (G,)
    name : str, default="policy"
    gold, reward, length : array-like of shape (n_items,), optional
        What is expected of them is computed for those that are given.
    base_logprob : array-like of shape (n_items,), optional
        Of the base policy; None is uniform.
    level : float in (0, 1), default=0.95
    n_resamples : int >= 1, default=1000
    random_state : int, Generator, RandomState or None, default=0
        Of the resampled prompts, for the bands alone.

    Returns
    -------
    PolicySweep

    Examples
    --------
    >>> from embrm.policy.policies import tilted_policy
    >>> gold, ids = [0.0, 1.0, 2.0, 0.0], ["a", "a", "a", "b"]
    >>> policies = [tilted_policy(gold, ids, eta) for eta in (100.0, 1.0, 0.01)]
    >>> sweep = sweep_policies(policies, ids, strength=[100, 1, 0.01], gold=gold)
    >>> sweep.gold.mean.round(3), sweep.kl.mean.round(3)
    (array([0.503, 0.788, 1.   ]), array([0.   , 0.133, 0.549]))
    """
    ids = np.asarray(prompt_ids)
    prompts = Prompts.of(ids, len(ids))
    base = prompts.base(base_logprob)
    values: dict[str, FloatArray] = {}
    for label, given in {"gold": gold, "reward": reward, "length": length}.items():
        if given is not None:
            values[label] = check_scores(given, label, len(ids))
    if "gold" in values:
        values["win_rate"] = winning_shares(values["gold"], ids, base_logprob=base)
    strengths = np.atleast_1d(as_numbers(strength, "strength"))
    curves: dict[str, FloatArray] = {
        label: np.empty((len(prompts), len(strengths))) for label in ("kl", *values)
    }
    for at, logprob in zip(range(len(strengths)), logprobs, strict=True):
        shares = np.exp(logprob)
        curves["kl"][:, at] = prompts.expected_log_ratio(logprob, base)[1]
        for label, per_item in values.items():
            curves[label][:, at] = prompts.sum(shares * per_item)
    resampler = resampled_prompts(len(prompts), n_resamples, level, random_state)
    bands = {label: band_of_curves(curve, resampler) for label, curve in curves.items()}
    return PolicySweep(
        name=name,
        strength=strengths,
        kl=bands["kl"],
        gold=bands.get("gold"),
        win_rate=bands.get("win_rate"),
        reward=bands.get("reward"),
        length=bands.get("length"),
        per_prompt=curves,
    )


def tilt_sweep(
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    eta: ArrayLike,
    *,
    gold: ArrayLike | None = None,
    length: ArrayLike | None = None,
    base_logprob: ArrayLike | None = None,
    name: str = "tilt",
    random_state: RandomState = 0,
) -> PolicySweep:
    r"""Compute gold, win rate and divergence of the tilted policy over eta.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)
    eta : array-like of shape (G,), > 0
    gold, length, base_logprob : array-like of shape (n_items,), optional
    name : str, default="tilt"
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    PolicySweep

    Examples
    --------
    >>> sweep = tilt_sweep([0.0, 1.0], ["a", "a"], [1.0, 0.1], gold=[1.0, 0.0])
    >>> sweep.win_rate.mean.round(3)
    array([0.384, 0.25 ])
    """
    values = check_scores(reward, "reward")
    etas = np.atleast_1d(as_numbers(eta, "eta"))
    if not (np.isfinite(etas) & (etas > 0)).all():
        raise invalid_input("etas > 0", f"{etas.min():g}", "leave out the limit 0")
    prompts = Prompts.of(prompt_ids, len(values))
    base = prompts.base(base_logprob)
    return sweep_policies(
        (prompts.log_softmax(base + values / each) for each in etas),
        prompt_ids,
        strength=etas,
        name=name,
        gold=gold,
        reward=values,
        length=length,
        base_logprob=base,
        random_state=random_state,
    )


def best_of_n_sweep(
    reward: ArrayLike,
    prompt_ids: ArrayLike,
    n: Sequence[int],
    *,
    gold: ArrayLike | None = None,
    length: ArrayLike | None = None,
    base_logprob: ArrayLike | None = None,
    name: str = "best of n",
    random_state: RandomState = 0,
) -> PolicySweep:
    r"""Compute the same of the best of n independent draws, with its bound.

    Parameters
    ----------
    reward : array-like of shape (n_items,)
    prompt_ids : array-like of shape (n_items,)
    n : sequence of int >= 1
    gold, length, base_logprob : array-like of shape (n_items,), optional
    name : str, default="best of n"
    random_state : int, Generator, RandomState or None, default=0

    Returns
    -------
    PolicySweep
        `kl_bound` is :math:`\log n - (n - 1) / n`.

    Examples
    --------
    >>> sweep = best_of_n_sweep([0.0, 1.0], ["a", "a"], [1, 2], gold=[0.0, 1.0])
    >>> sweep.kl.mean.round(3), sweep.kl_bound.round(3)
    (array([0.   , 0.131]), array([0.   , 0.193]))
    """
    counts = check_counts(n)
    sweep = sweep_policies(
        (
            best_of_n_policy(reward, prompt_ids, int(each), base_logprob=base_logprob)
            for each in counts
        ),
        prompt_ids,
        strength=counts,
        name=name,
        gold=gold,
        reward=reward,
        length=length,
        base_logprob=base_logprob,
        random_state=random_state,
    )
    return replace(sweep, kl_bound=best_of_n_kl(counts))
