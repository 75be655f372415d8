"""Policies on pools, against enumeration, optimisers and draws."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit, softmax

from embrm.evaluate import best_of_n_kl
from embrm.exceptions import InvalidInputError
from embrm.policy import (
    best_of_n_policy,
    bradley_terry,
    coverage,
    implicit_reward,
    policy_gradient_path,
    psi_policy,
    rejection_fine_tuned,
    tilted_policy,
    winning_shares,
)
from embrm.policy._prompts import Prompts

IDS = np.array(["a", "b", "a", "b", "a", "b", "a"])
REWARD = np.array([0.3, 1.0, -2.0, 1.0, 0.3, 4.0, 1.1])
BASE = np.array([-1.0, 0.0, -0.5, 2.0, 0.2, -1.0, -3.0])


def brute_best_of_n(reward, base, n):
    """Enumerate all n-tuples of draws; those tied for the best share the pick."""
    shares = np.zeros(len(reward))
    for draws in product(range(len(reward)), repeat=n):
        values = reward[list(draws)]
        winners = [d for d in draws if reward[d] == values.max()]
        for winner in winners:
            shares[winner] += base[list(draws)].prod() / len(winners)
    return shares


@pytest.mark.parametrize("n", [1, 2, 4])
def test_best_of_n_is_that_of_all_tuples_of_draws(n):
    """With ties and a base policy that is not uniform."""
    policy = np.exp(best_of_n_policy(REWARD, IDS, n, base_logprob=BASE))
    for prompt in "ab":
        rows = prompt == IDS
        expected = brute_best_of_n(REWARD[rows], softmax(BASE[rows]), n)
        assert np.allclose(policy[rows], expected, atol=1e-12)


@given(st.integers(1, 500), st.integers(2, 12), st.integers(0, 10_000))
@settings(max_examples=40)
def test_best_of_n_sums_to_one_and_keeps_its_bound(n, size, seed):
    """log n - (n - 1) / n, whatever pool, base policy and ties."""
    rng = np.random.default_rng(seed)
    reward, base = rng.integers(0, 5, size).astype(float), rng.normal(size=size) * 3
    ids = np.zeros(size)
    logprob = best_of_n_policy(reward, ids, n, base_logprob=base)
    shares = np.exp(logprob)
    assert shares.sum() == pytest.approx(1, abs=1e-9)
    positive = shares > 0
    kl = (shares[positive] * (logprob - np.log(softmax(base)))[positive]).sum()
    assert kl <= best_of_n_kl(n) + 1e-9


def test_the_best_of_n_of_a_fine_pool_attains_its_divergence():
    """With ten thousand responses the bound is reached to three digits."""
    size = 10_000
    logprob = best_of_n_policy(np.arange(size, dtype=float), np.zeros(size), 16)
    kl = (np.exp(logprob) * (logprob + np.log(size))).sum()
    assert kl == pytest.approx(best_of_n_kl(16), abs=2e-3)


def test_the_tilted_policy_maximises_reward_less_divergence():
    """Against a general optimiser over the logits."""
    eta, rows = 0.7, IDS == "a"
    reward, base = REWARD[rows], softmax(BASE[rows])

    def loss(logits):
        p = softmax(logits)
        return -(p @ reward - eta * p @ np.log(p / base))

    best = softmax(minimize(loss, np.zeros(rows.sum()), tol=1e-12).x)
    policy = np.exp(tilted_policy(REWARD, IDS, eta, base_logprob=BASE))[rows]
    assert np.allclose(policy, best, atol=1e-5)


def test_psi_po_maximises_expected_psi_less_divergence():
    """Of the identity, against an optimiser; the opponent is a policy of its own."""
    eta, rows = 0.3, IDS == "a"
    prefers = expit(REWARD[rows][:, None] - REWARD[rows][None, :])
    base, opponent = softmax(BASE[rows]), softmax(-BASE[rows])

    def loss(logits):
        p = softmax(logits)
        return -(p @ prefers @ opponent - eta * p @ np.log(p / base))

    best = softmax(minimize(loss, np.zeros(rows.sum()), tol=1e-12).x)
    policy = psi_policy(
        bradley_terry(REWARD), IDS, eta, base_logprob=BASE, opponent_logprob=-BASE
    )
    assert np.allclose(np.exp(policy)[rows], best, atol=1e-5)


def test_psi_of_the_logit_is_the_tilted_policy_of_the_reward():
    """Whoever the opponent is: the constant cancels."""
    tilted = tilted_policy(REWARD, IDS, 0.5, base_logprob=BASE)
    for psi in ("logit", logit):
        policy = psi_policy(
            bradley_terry(REWARD),
            IDS,
            0.5,
            psi=psi,
            base_logprob=BASE,
            opponent_logprob=BASE**2,
        )
        assert np.allclose(policy, tilted)


def test_ipo_keeps_to_the_base_policy_where_bradley_terry_does_not():
    """Certain preferences: the identity's log ratios are bounded by 1 / eta."""
    certain = np.array([0.0, 300.0, -300.0])
    ipo = psi_policy(bradley_terry(certain), np.zeros(3), 1.0)
    assert np.ptp(ipo) <= 1
    assert np.ptp(tilted_policy(certain, np.zeros(3), 1.0)) == pytest.approx(600)


def test_rounds_of_rejection_sampling_are_the_best_of_a_power_of_n():
    """Each round takes the best of n of the policy before."""
    base = BASE
    for _ in range(3):
        base = best_of_n_policy(REWARD, IDS, 3, base_logprob=base)
    at_once = rejection_fine_tuned(REWARD, IDS, 3, rounds=3, base_logprob=BASE)
    assert np.allclose(np.exp(base), np.exp(at_once), atol=1e-10)


def test_proximal_steps_follow_the_closed_form():
    """Mirror ascent, step by step, on reward less divergence."""
    eta, step = 0.5, 0.4
    policy = base = tilted_policy(np.zeros(7), IDS, base_logprob=BASE)
    path = policy_gradient_path(
        REWARD, IDS, eta, step=step, n_steps=6, base_logprob=BASE
    )
    for at in path:
        assert np.allclose(policy, at)
        ascent = step * (REWARD - eta * (policy - base))
        policy = tilted_policy(ascent, IDS, base_logprob=policy)


def test_steps_that_overshoot_are_refused():
    """Beyond 1 / eta the path would swing."""
    with pytest.raises(InvalidInputError, match="1 / eta"):
        policy_gradient_path(REWARD, IDS, 2.0, step=0.6)


def test_winning_shares_are_those_of_all_pairs():
    """Ties count half, the opponent is the base policy's."""
    shares = winning_shares(REWARD, IDS, base_logprob=BASE)
    for prompt in "ab":
        rows = prompt == IDS
        r, base = REWARD[rows], softmax(BASE[rows])
        beats = (r[:, None] > r) + 0.5 * (r[:, None] == r)
        assert np.allclose(shares[rows], beats @ base)


def test_the_implicit_reward_of_a_tilted_policy_is_its_reward():
    """Up to a constant for each prompt."""
    policy = tilted_policy(REWARD, IDS, 0.2, base_logprob=BASE)
    base = tilted_policy(np.zeros(7), IDS, base_logprob=BASE)
    difference = implicit_reward(policy, base, 0.2) - REWARD
    for prompt in "ab":
        assert np.ptp(difference[prompt == IDS]) < 1e-12


def test_coverage_is_that_of_a_loop():
    """And falls as pairs along the policy's direction are added."""
    rng = np.random.default_rng(0)
    items, pairs = rng.normal(size=(7, 3)), rng.integers(0, 7, (9, 2))
    policy = tilted_policy(REWARD, IDS, base_logprob=BASE)
    delta = items[pairs[:, 0]] - items[pairs[:, 1]]
    inverse = np.linalg.inv(0.5 * np.eye(3) + delta.T @ delta)
    total = 0.0
    for prompt in "ab":
        rows = prompt == IDS
        centred = items[rows] - softmax(BASE[rows]) @ items[rows]
        norms = np.sqrt(np.einsum("ij,jk,ik->i", centred, inverse, centred))
        total += np.exp(policy)[rows] @ norms / 2
    found = coverage(items, IDS, pairs, policy, base_logprob=BASE, ridge=0.5)
    assert found == pytest.approx(3 * total)


def test_draws_follow_the_policy():
    """Within Monte-Carlo error, prompts in any order and more than once."""
    prompts = Prompts.of(IDS, len(IDS))
    policy = prompts.base(BASE)
    drawn = prompts.draw(
        policy, np.tile([1, 0], 20_000), np.random.default_rng(0)
    ).reshape(-1, 2)
    assert set(IDS[drawn[:, 0]]) == {"b"}
    assert set(IDS[drawn[:, 1]]) == {"a"}
    counts = np.bincount(drawn.ravel(), minlength=7) / 20_000
    assert np.allclose(counts, np.exp(policy), atol=0.015)


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (np.r_[np.nan, np.zeros(6)], "numbers or -inf"),
        (np.zeros(3), "numbers or -inf"),
        (np.where(IDS == "a", -np.inf, 0.0), "a prompt without"),
    ],
)
def test_base_policies_that_are_none_are_refused(base, words):
    """Missing numbers, wrong shapes, and prompts with nothing to say."""
    with pytest.raises(InvalidInputError, match=words):
        tilted_policy(REWARD, IDS, base_logprob=base)


def test_a_response_the_base_policy_never_gives_is_never_given():
    """Probability zero stays zero."""
    base = np.where(np.arange(7) == 6, -np.inf, 0.0)
    for policy in (
        tilted_policy(REWARD, IDS, 0.1, base_logprob=base),
        best_of_n_policy(REWARD, IDS, 8, base_logprob=base),
    ):
        assert policy[6] == -np.inf
        assert np.exp(policy).sum() == pytest.approx(2)
