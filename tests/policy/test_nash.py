"""The game of general preferences, against root finding, brute force and rewards."""

from itertools import chain, combinations, permutations

import numpy as np
import pytest
from scipy.optimize import minimize, root
from scipy.special import expit, softmax

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.heads import GeneralPreference
from embrm.policy import (
    DirectAlignment,
    bradley_terry,
    cycle_report,
    head_preference,
    nash_by_linear_program,
    nash_policy,
    payoff_of,
    preference_matrices,
    regularised_exploitability,
    tilted_policy,
    top_cycle,
)


def random_preferences(size, seed, spread=2.0):
    """Preferences of no reward: log-odds that are any antisymmetric table."""
    odds = np.random.default_rng(seed).normal(size=(size, size)) * spread
    return expit(odds - odds.T)


def by_table(table):
    return lambda ids: table[ids[:, 0], ids[:, 1]]


@pytest.mark.parametrize("payoff", ["log-odds", "probability"])
@pytest.mark.parametrize("eta", [0.3, 2.0])
def test_the_equilibrium_is_the_fixed_point(payoff, eta):
    """Against a general root finder in the logits, with a base policy."""
    wins, base = random_preferences(5, 0), np.random.default_rng(1).normal(size=5)
    found = nash_policy(
        by_table(wins), np.zeros(5), eta, payoff=payoff, base_logprob=base
    )
    game = payoff_of(wins, payoff)
    solved = root(lambda t: t - game @ softmax(base + t) / eta, np.zeros(5), tol=1e-13)
    assert solved.success
    assert found.converged
    assert np.allclose(np.exp(found.logprob), softmax(base + solved.x), atol=1e-4)


def test_exploitability_is_the_gain_of_the_best_answer():
    """Against an optimiser over the opponent's logits."""
    game, eta = payoff_of(random_preferences(4, 3)), 0.7
    rng = np.random.default_rng(4)
    policy, base = softmax(rng.normal(size=4)), softmax(rng.normal(size=4))

    def kl(p):
        return p @ np.log(p / base)

    def loss(logits):
        other = softmax(logits)
        return -(other @ game @ policy - eta * kl(other) + eta * kl(policy))

    gain = -minimize(loss, np.zeros(4), tol=1e-12).fun
    closed = regularised_exploitability(
        game[None], np.log(policy)[None], np.log(base)[None], eta
    )
    assert closed[0] == pytest.approx(gain, abs=1e-7)


@pytest.mark.parametrize("eta", [0.2, 1.0])
def test_with_a_reward_the_equilibrium_is_the_tilted_policy(eta):
    """Ragged prompts, a base policy: Nash learning has nothing to add."""
    rng = np.random.default_rng(5)
    ids = np.repeat(np.arange(5), [1, 2, 6, 4, 6])
    reward, base = rng.normal(size=19), rng.normal(size=19)
    found = nash_policy(bradley_terry(reward), ids, eta, base_logprob=base)
    tilted = tilted_policy(reward, ids, eta, base_logprob=base)
    assert np.allclose(np.exp(found.logprob), np.exp(tilted), atol=1e-4)
    assert found.exploitability.shape == (5,)


def test_nash_and_bradley_terry_differ_where_there_is_a_cycle():
    """A response that beats no one by much but no one beats: only Nash finds it."""
    wins = np.full((4, 4), 0.5)
    for i, j, p in [
        (0, 1, 0.95),
        (1, 2, 0.95),
        (2, 0, 0.95),
        *((3, j, 0.6) for j in range(3)),
    ]:
        wins[i, j], wins[j, i] = p, 1 - p
    wins[3, 0], wins[0, 3] = 0.55, 0.45
    pool = CandidatePool(np.eye(4), np.zeros(4))
    pairs = np.array(list(combinations(range(4), 2)))
    # Comparisons with the fourth are rare, and two of its rivals met mostly the weak.
    weights = np.array([50.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    fitted = DirectAlignment(policy="tabular", beta=1.0, alpha=1e-6).fit(
        pool, pairs, wins[pairs[:, 0], pairs[:, 1]], sample_weight=weights
    )
    reward = fitted.reward(pool)
    nash = np.exp(nash_policy(by_table(wins), np.zeros(4), 0.02).logprob)
    assert reward.argmax() == 0
    assert nash.argmax() == 3
    assert nash @ wins[:, 0] > 0.5
    best_by_reward = np.eye(4)[0]
    assert (wins @ best_by_reward).max() > (wins @ nash).max() + 0.3


@pytest.mark.parametrize("seed", range(3))
def test_the_linear_program_loses_to_no_response(seed):
    """And is the limit of small eta."""
    game = payoff_of(random_preferences(5, seed))
    exact = nash_by_linear_program(game)
    assert exact.sum() == pytest.approx(1)
    assert (game @ exact).max() < 1e-8
    near = nash_policy(by_table(expit(game)), np.zeros(5), 0.02, tolerance=1e-8)
    assert near.converged
    assert (game @ np.exp(near.logprob)).max() < 0.1
    assert np.allclose(np.exp(near.logprob), exact, atol=0.05)


def test_certain_preferences_have_bounded_log_odds():
    """They stay antisymmetric and finite."""
    game = payoff_of(np.array([[0.5, 1.0], [0.0, 0.5]]))
    assert game.tolist() == [[0.0, 30.0], [-30.0, 0.0]]


def test_cycles_are_those_of_all_triples():
    """Condorcet winners, cycles and top cycles, each by enumeration."""
    ids = np.repeat([0, 1, 2], 5)
    tables = [random_preferences(5, seed, 0.5) for seed in (1, 2)]
    reward = np.arange(5.0)
    tables.append(expit(reward[:, None] - reward))

    def preference(pairs):
        inside = pairs % 5
        return np.array(
            [tables[p[0] // 5][tuple(i)] for p, i in zip(pairs, inside, strict=True)]
        )

    report = cycle_report(preference, ids)
    cyclic = [
        sum(
            w[a, b] > 0.5 and w[b, c] > 0.5 and w[c, a] > 0.5
            for a, b, c in permutations(range(5), 3)
        )
        / 3
        for w in tables
    ]
    assert report.cyclic_triples == pytest.approx(sum(cyclic) / 30)
    smith = [brute_smith(w) for w in tables]
    assert [set(np.flatnonzero(top_cycle(w))) for w in tables] == smith
    assert report.top_cycle == pytest.approx(np.mean([len(s) for s in smith]))
    assert report.condorcet == np.mean([len(s) == 1 for s in smith])


def brute_smith(wins):
    """Find the smallest set whose members all beat all others."""
    subsets = chain.from_iterable(
        combinations(range(len(wins)), n) for n in range(1, 6)
    )
    for subset in subsets:
        rest = [n for n in range(len(wins)) if n not in subset]
        if all(wins[i, j] > 0.5 for i in subset for j in rest):
            return set(subset)
    return None


def test_a_general_preference_head_plays_its_game():
    """Its predictions are the tables, antisymmetric up to rounding."""
    rng = np.random.default_rng(7)
    pool = CandidatePool(rng.normal(size=(12, 3)), np.repeat([0, 1, 2], 4))
    ids = pool.same_prompt_ids()
    head = GeneralPreference(rank=1, alpha=1.0, block_alpha=1.0).fit(
        pool.pairs(ids), rng.integers(0, 2, len(ids)).astype(float)
    )
    preference = head_preference(head, pool)
    for rows, table in preference_matrices(preference, pool.prompt_ids):
        assert np.allclose(table + np.swapaxes(table, 1, 2), 1)
        pair = np.stack([rows[:, 0], rows[:, 2]], axis=1)
        assert np.allclose(table[:, 0, 2], preference(pair), atol=1e-6)
    assert nash_policy(preference, pool.prompt_ids).converged


def test_what_is_no_game_is_refused():
    """Payoffs that are not antisymmetric, pools without triples, bases with zeros."""
    with pytest.raises(InvalidInputError, match="antisymmetric"):
        nash_by_linear_program(np.ones((2, 2)))
    with pytest.raises(InvalidInputError, match="three responses"):
        cycle_report(bradley_terry(np.zeros(2)), [0, 0])
    with pytest.raises(InvalidInputError, match="above 0"):
        nash_policy(bradley_terry(np.zeros(2)), [0, 0], base_logprob=[0.0, -np.inf])
    with pytest.raises(InvalidInputError, match="log-odds"):
        payoff_of(np.eye(2), "odds")
