"""Sweeps of policies: exact expectations, divergences and win rates."""

import numpy as np
import pytest
from scipy.special import softmax

from embrm.evaluate import best_of_n_curve
from embrm.exceptions import InvalidInputError
from embrm.policy import best_of_n_sweep, sweep_policies, tilt_sweep, tilted_policy


@pytest.fixture(scope="module")
def pool():
    """Ragged prompts with gold, a noisy reward, lengths and a base policy."""
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    gold = rng.normal(size=len(ids)).round(1)
    return {
        "ids": ids,
        "gold": gold,
        "reward": gold + rng.normal(size=len(ids)),
        "length": rng.integers(1, 100, len(ids)).astype(float),
        "base": rng.normal(size=len(ids)),
    }


def test_a_tilt_sweep_is_that_of_loops(pool):
    """Gold, reward, length, win rate and divergence of each eta."""
    sweep = tilt_sweep(
        pool["reward"],
        pool["ids"],
        [2.0, 0.3],
        gold=pool["gold"],
        length=pool["length"],
        base_logprob=pool["base"],
    )
    for at, eta in enumerate([2.0, 0.3]):
        rows = [np.flatnonzero(pool["ids"] == n) for n in range(60)]
        bases = [softmax(pool["base"][r]) for r in rows]
        new = [softmax(pool["base"][r] + pool["reward"][r] / eta) for r in rows]
        kl = np.mean(
            [(q * np.log(q / b)).sum() for q, b in zip(new, bases, strict=True)]
        )
        assert sweep.kl.mean[at] == pytest.approx(kl)
        for name in ("gold", "reward", "length"):
            mean = np.mean([q @ pool[name][r] for q, r in zip(new, rows, strict=True)])
            assert getattr(sweep, name).mean[at] == pytest.approx(mean)
        wins = []
        for q, b, r in zip(new, bases, rows, strict=True):
            g = pool["gold"][r]
            wins.append(q @ ((g[:, None] > g) + 0.5 * (g[:, None] == g)) @ b)
        assert sweep.win_rate.mean[at] == pytest.approx(np.mean(wins))


def test_expected_gold_lies_in_the_interval_of_draws(pool):
    """Four standard errors of 4,000 draws a prompt."""
    rng = np.random.default_rng(1)
    policy = tilted_policy(pool["reward"], pool["ids"], 0.5)
    sweep = sweep_policies([policy], pool["ids"], strength=[0.5], gold=pool["gold"])
    drawn = np.stack(
        [
            rng.choice(pool["gold"][r], 4000, p=np.exp(policy[r]))
            for r in (np.flatnonzero(pool["ids"] == n) for n in range(60))
        ]
    ).mean(axis=0)
    error = drawn.std() / np.sqrt(len(drawn))
    assert abs(drawn.mean() - sweep.gold.mean[0]) < 4 * error


def test_best_of_n_of_independent_draws_nears_that_of_distinct_ones():
    """With 2,000 responses a prompt, where draws seldom repeat; below its bound."""
    rng = np.random.default_rng(2)
    ids = np.repeat(np.arange(3), 2000)
    gold = rng.normal(size=6000)
    reward = gold + rng.normal(size=6000)
    sweep = best_of_n_sweep(reward, ids, [1, 2, 8], gold=gold)
    distinct = best_of_n_curve(gold, reward, ids, n_max=8).mean[[0, 1, 7]]
    assert np.allclose(sweep.gold.mean, distinct, atol=2e-3)
    assert (sweep.kl.mean <= sweep.kl_bound + 1e-12).all()


def test_over_optimisation_has_its_peak():
    """A few bad responses fool the reward: gold rises, then falls (Gao et al.)."""
    rng = np.random.default_rng(3)
    ids = np.repeat(np.arange(300), 40)
    fools = rng.random(len(ids)) < 0.03
    gold = np.where(fools, -2.0, rng.normal(size=len(ids)))
    reward = np.where(fools, 3 + rng.exponential(size=len(ids)), gold)
    sweep = tilt_sweep(reward, ids, np.geomspace(30, 0.05, 12), gold=gold)
    golds = sweep.gold.mean
    peak = int(golds.argmax())
    assert 0 < peak < 11
    assert golds[-1] < golds[peak] - 0.5
    assert (np.diff(sweep.reward.mean) > 0).all()


def test_gold_is_read_between_policies_and_not_beyond(pool):
    """At equal divergence, which is how policies are compared."""
    sweep = tilt_sweep(pool["gold"], pool["ids"], [5.0, 0.5], gold=pool["gold"])
    middle = float(sweep.kl.mean.mean())
    assert sweep.gold_at(middle) == pytest.approx(sweep.gold.mean.mean())
    assert np.isnan(sweep.gold_at(100.0))
    frame = sweep.to_frame()
    assert {"strength", "kl", "gold", "win_rate", "policy"} <= set(frame)


def test_what_cannot_be_swept_is_refused(pool):
    """Temperatures of zero, and gold at a divergence without gold."""
    with pytest.raises(InvalidInputError, match="etas > 0"):
        tilt_sweep(pool["reward"], pool["ids"], [1.0, 0.0])
    with pytest.raises(InvalidInputError, match="a sweep with gold"):
        tilt_sweep(pool["reward"], pool["ids"], [1.0]).gold_at(0.1)
