"""Moments of policies on a pool agree with sums written out."""

import numpy as np
import pytest

from embrm.evaluate import policy_moments as module
from embrm.evaluate.picks import ranked_prompts
from embrm.evaluate.policy_moments import (
    default_strengths,
    policies_on,
    policy_moments,
)


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
