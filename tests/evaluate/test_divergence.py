"""Divergence of the best of n: exact in a pool, bounded by the published formula."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.evaluate import best_of_n_kl, pool_best_of_n_kl
from embrm.evaluate import divergence as module
from embrm.evaluate._picks import ranked_prompts
from embrm.evaluate.divergence import (
    default_strengths,
    policies_on,
    policy_moments,
)
from embrm.exceptions import InvalidInputError


def enumerated_kl(reward, n, draws):
    """Count every draw of n, share the ties, and sum p log(K p)."""
    size = len(reward)
    share = np.zeros(size)
    every = (
        itertools.combinations(range(size), n)
        if draws == "distinct"
        else itertools.product(range(size), repeat=n)
    )
    total = 0
    for drawn in every:
        top = max(reward[i] for i in drawn)
        # The one picked is any that ties with the best in the whole pool: of those
        # drawn by symmetry each equally often.
        best = [i for i in drawn if reward[i] == top]
        for i in best:
            share[i] += 1 / len(best)
        total += 1
    share /= total
    known = share[share > 0]
    return float(np.sum(known * np.log(size * known)))


@given(
    reward=st.lists(st.integers(0, 3), min_size=1, max_size=5),
    n=st.integers(1, 4),
    draws=st.sampled_from(["distinct", "independent"]),
)
@settings(max_examples=60)
def test_the_divergence_agrees_with_all_draws(reward, n, draws):
    """With and without replacement, ties shared."""
    n = min(n, len(reward))
    found = pool_best_of_n_kl(reward, ["a"] * len(reward), [n], draws=draws)
    assert found[0] == pytest.approx(enumerated_kl(reward, n, draws), abs=1e-12)


@given(
    reward=st.lists(st.integers(0, 30), min_size=1, max_size=30),
    n=st.integers(1, 60),
)
@settings(max_examples=60)
def test_independent_draws_stay_below_the_published_formula(reward, n):
    """Which bounds every language model, and a pool is one."""
    found = pool_best_of_n_kl(reward, ["a"] * len(reward), n, draws="independent")
    assert found[0] <= best_of_n_kl(n) + 1e-12


@given(
    reward=st.lists(st.integers(0, 30), min_size=1, max_size=30),
    n=st.integers(1, 30),
)
@settings(max_examples=60)
def test_distinct_draws_stay_below_log_n(reward, n):
    """No response is picked more than n times as often as at random."""
    n = min(n, len(reward))
    found = pool_best_of_n_kl(reward, ["a"] * len(reward), n)
    assert found[0] <= np.log(n) + 1e-12


def test_the_best_of_all_is_log_k():
    """More than the published formula, which is for independent draws."""
    found = pool_best_of_n_kl(np.arange(9.0), ["a"] * 9, [9])
    assert found == pytest.approx(np.log(9))
    assert found > best_of_n_kl([9])


def test_a_large_pool_comes_close_to_the_published_formula():
    """With n far below K, draws are as good as independent and never tied."""
    n = np.array([1, 2, 16, 128])
    pool = pool_best_of_n_kl(np.arange(12_600.0), np.zeros(12_600, int), n)
    np.testing.assert_allclose(pool, best_of_n_kl(n), rtol=0.02, atol=1e-12)
    independent = pool_best_of_n_kl(
        np.arange(12_600.0), np.zeros(12_600, int), n, draws="independent"
    )
    np.testing.assert_allclose(independent, best_of_n_kl(n), rtol=0.01, atol=1e-12)


def test_a_constant_reward_goes_nowhere():
    """All tie: the pick is a random one."""
    assert pool_best_of_n_kl([3, 3, 3], ["a"] * 3, [1, 2, 3]).tolist() == [0, 0, 0]


def test_prompts_without_n_items_are_left_out():
    """Of distinct draws; NaN where no prompt is left."""
    found = pool_best_of_n_kl([1, 2, 1, 2, 3], list("aabbb"), [2, 3, 4])
    alone = pool_best_of_n_kl([1, 2, 3], list("bbb"), [2, 3])
    assert found[0] == pytest.approx((alone[0] + np.log(2)) / 2)
    assert found[1] == pytest.approx(alone[1])
    assert np.isnan(found[2])


@pytest.mark.parametrize("n", [[0, 1], [1.5], []])
def test_n_is_a_positive_integer(n):
    """Anything else is no number of draws."""
    with pytest.raises(InvalidInputError, match="n of integers >= 1"):
        best_of_n_kl(n)


def test_unknown_draws_are_refused():
    """The error lists the choices."""
    with pytest.raises(InvalidInputError, match="draws one of distinct, independent"):
        pool_best_of_n_kl([1, 2], ["a", "a"], [1], draws="shuffled")


@pytest.fixture
def case():
    """Two prompts of six items with ties on both sides, and three policies."""
    rng = np.random.default_rng(0)
    gold = rng.integers(4, size=(2, 6)).astype(float)
    reward = rng.integers(4, size=(2, 6)).astype(float)
    shares = rng.dirichlet(np.ones(6), size=(2, 3))
    return gold, reward, shares


def by_hand(gold, reward, first, second):
    differ = agree = 0.0
    for i, p in enumerate(first):
        for j, q in enumerate(second):
            if gold[i] == gold[j]:
                continue
            differ += p * q
            if reward[i] == reward[j]:
                agree += p * q / 2
            elif (reward[i] > reward[j]) == (gold[i] > gold[j]):
                agree += p * q
    return differ, agree


@pytest.mark.parametrize("against", ["policy", "reference"])
@pytest.mark.parametrize("at_once", [2_000_000, 24])
def test_agreement_agrees_with_all_pairs(case, against, at_once, monkeypatch):
    """Also when columns are compared a few at a time."""
    monkeypatch.setattr(module, "MAX_ENTRIES", at_once)
    gold, reward, shares = case
    found = policy_moments(gold, reward, shares, against)
    for prompt in range(2):
        for policy in range(3):
            first = shares[prompt, policy]
            second = first if against == "policy" else np.full(6, 1 / 6)
            differ, agree = by_hand(gold[prompt], reward[prompt], first, second)
            assert found.differ[prompt, policy] == pytest.approx(differ)
            assert found.agree[prompt, policy] == pytest.approx(agree)


def test_gains_and_divergence_are_sums(case):
    """Over the responses of each prompt."""
    gold, reward, shares = case
    found = policy_moments(gold, reward, shares, "policy")
    expected = (shares * gold[:, None]).sum(axis=2) - gold.mean(axis=1)[:, None]
    np.testing.assert_allclose(found.gold, expected)
    expected = (shares * reward[:, None]).sum(axis=2) - reward.mean(axis=1)[:, None]
    np.testing.assert_allclose(found.proxy, expected)
    np.testing.assert_allclose(found.kl, (shares * np.log(6 * shares)).sum(axis=2))


def test_the_tilt_is_the_optimum_of_its_objective():
    """No other policy has more reward less divergence over b."""
    rng = np.random.default_rng(1)
    reward, strength = rng.normal(size=5), np.array([0.7])
    ranked = ranked_prompts(reward, np.zeros(5, dtype=int))
    ((part, _, shares),) = policies_on(ranked[0], reward, strength, "tilt")

    def objective(p):
        return p @ reward[part.rows[0]] - (p * np.log(5 * p)).sum() / strength[0]

    best = objective(shares[0, 0])
    assert all(objective(p) <= best + 1e-12 for p in rng.dirichlet(np.ones(5), 500))


def test_a_best_of_n_needs_n_items():
    """Larger n have no policy there."""
    ranked = ranked_prompts(np.arange(3.0), np.zeros(3, dtype=int))
    ((_, fits, shares),) = policies_on(
        ranked[0], np.arange(3.0), np.array([1, 3, 4]), "best_of_n"
    )
    assert fits.tolist() == [0, 1]
    np.testing.assert_allclose(shares[0], [[1 / 3, 1 / 3, 1 / 3], [0, 0, 1]])


def test_default_strengths_reach_the_median_prompt():
    """Few large prompts do not stretch the axis."""
    sizes = np.array([10, 10, 10, 500])
    assert default_strengths("best_of_n", sizes)[[0, -1]].tolist() == [1, 10]
    assert default_strengths("tilt", sizes)[[0, -1]].tolist() == [0, 30]
