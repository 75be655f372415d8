"""Duels, novelty, caps and chances are what the papers' definitions say."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma, expit

from embrm import CandidatePool
from embrm.active import (
    Candidates,
    Coreset,
    DeltaUCB,
    DOptimal,
    DoubleThompson,
    ExplorationPair,
    LabelLoop,
    MaxMinLCB,
    NoisyLevelSet,
    PromptEntropy,
    ReversedThompson,
    RewardPosterior,
    VOptimal,
    draw_candidates,
    known_strategies,
    make_strategy,
)
from embrm.active.candidates import pair_keys
from embrm.exceptions import InvalidInputError
from embrm.simulate import MixedPrompt, RankWindow
from tests.active.conftest import make_pool


def one_prompt(k, seed):
    """Beliefs of k responses to one prompt, and all their pairs."""
    rng = np.random.default_rng(seed)
    belief = RewardPosterior(rng.normal(size=k), rng.normal(size=(k, 3)))
    pool = CandidatePool(rng.normal(size=(k, 2)), np.zeros(k, dtype=int))
    return belief, Candidates(pool, pool.same_prompt_ids())


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), width=st.sampled_from([0.0, 0.3, 1.0, 3.0]))
def test_max_min_lcb_finds_leader_and_follower(seed, width):
    """Both among the responses that may be the best; the follower any, if only one."""
    belief, candidates = one_prompt(5, seed)
    (pair,) = MaxMinLCB(width).propose(candidates, belief, 1).tolist()

    def bound(i, j, sign):
        one = np.array([[i, j]])
        return (belief.delta(one) + sign * width * belief.std(one))[0]

    def others(i, among):
        return [j for j in among if j != i]

    every = range(5)
    best = [i for i in every if all(bound(i, j, 1) >= 0 for j in others(i, every))]
    against = best if len(best) > 1 else every
    leader = max(best, key=lambda i: min(bound(i, j, -1) for j in others(i, against)))
    follower = min(others(leader, against), key=lambda j: bound(leader, j, -1))
    assert set(pair) == {leader, follower}


@pytest.mark.parametrize(
    ("strategy", "sign"), [(DoubleThompson(), 1.0), (ReversedThompson(), -1.0)]
)
def test_thompson_pairs_come_as_often_as_the_definition_says(strategy, sign):
    """The second is drawn until it is another: 3,000 duels against a simulation."""
    belief, candidates = one_prompt(4, 1)
    rng = np.random.default_rng(0)
    found = Counter()
    for _ in range(3000):
        found[tuple(strategy.propose(candidates, belief, 1, rng)[0].tolist())] += 1
    reward = belief.sample(400_000, 5)
    first = reward[:200_000].argmax(axis=1)
    second = (sign * reward[200_000:]).argmax(axis=1)
    shares = [np.bincount(first, minlength=4) / 200_000]
    shares.append(np.bincount(second, minlength=4) / 200_000)
    for i, j in candidates.ids.tolist():
        # Given the first, the second is as it falls among draws of another item.
        chance = sum(
            shares[0][one] * shares[1][other] / (1 - shares[1][one])
            for one, other in ((i, j), (j, i))
        )
        assert found[(i, j)] / 3000 == pytest.approx(chance, abs=0.035)


def test_a_second_that_is_never_another_is_drawn_at_random():
    """Where one response is certainly the best, all others are as likely."""
    _, candidates = one_prompt(4, 0)
    belief = RewardPosterior(np.array([9.0, 0, 1, 2]), np.full((4, 1), 0.1))
    rng, found = np.random.default_rng(0), Counter()
    for _ in range(600):
        ((i, j),) = DoubleThompson().propose(candidates, belief, 1, rng).tolist()
        found[i + j] += 1
    assert sorted(found) == [1, 2, 3]
    assert min(found.values()) > 150


def test_delta_ucb_takes_the_pair_of_each_prompt_with_the_largest_optimistic_gap():
    """upper(i) - lower(j) over i != j, prompt by prompt, when each has one pair."""
    pool = make_pool()
    rng = np.random.default_rng(0)
    belief = RewardPosterior(rng.normal(size=48), rng.normal(size=(48, 3)))
    candidates = draw_candidates(pool, 72, per_prompt=1, random_state=0)
    ids = DeltaUCB().propose(candidates, belief, 12)
    deviation = np.linalg.norm(belief.coordinates, axis=1)
    upper, lower = belief.reward + deviation, belief.reward - deviation
    for pair in ids:
        rows = pool.rows(pool.prompt_ids[pair[0]])
        gap = upper[rows][:, None] - lower[rows]
        np.fill_diagonal(gap, -np.inf)
        i, j = np.unravel_index(gap.argmax(), gap.shape)
        assert set(pair) == {rows[i], rows[j]}


def test_coreset_pairs_come_in_proportion_to_their_sensitivity():
    """The first of many draws, pair by pair."""
    belief, candidates = one_prompt(4, 3)
    strategy = Coreset(2)
    found, expected = Counter(), np.zeros(6)
    for seed in range(600):
        rng = np.random.default_rng(seed)
        # Centres differ with the seed: the same ones, and then the draw.
        value = strategy.sensitivity(candidates, belief, np.random.default_rng(seed))
        expected += value / value.sum()
        pair = strategy.propose(candidates, belief, 1, rng)[0].tolist()
        found[candidates.ids.tolist().index(pair)] += 1
    for row in range(6):
        assert found[row] / 600 == pytest.approx(expected[row] / 600, abs=0.08)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    pairing=st.sampled_from(["same", "mixed"]),
    n=st.just(9),
)
def test_prompt_entropy_is_greedy_in_the_entropy_of_prompts(seed, pairing, n):
    """Brute force: distance to the k-th nearest prompt, labelled pairs within it."""
    pool, rng = make_pool(seed=seed), np.random.default_rng(seed)
    belief = RewardPosterior(rng.normal(size=48), rng.normal(size=(48, 3)))
    past = draw_candidates(pool, 6, pairing=pairing, random_state=seed).ids
    candidates = draw_candidates(pool, 30, pairing=pairing, past=past, random_state=1)
    strategy = PromptEntropy(ExplorationPair(), weight=0.7, k=4)
    features = np.stack([pool.items[pool.rows(p)].mean(axis=0) for p in pool.prompts])
    distance = np.linalg.norm(features[:, None] - features, axis=2)
    distance /= np.sqrt(2 * features.var(axis=0).sum())
    reach = np.sort(distance, axis=1)[:, 3]
    value = belief.std(candidates.ids) / belief.std(candidates.ids).std()
    taken, left = past.tolist(), set(range(30))
    for pair in strategy.propose(candidates, belief, 9).tolist():
        counts = np.zeros(12)
        for one in taken:
            for prompt in set(pool.prompt_ids[one]):
                counts += distance[:, prompt] <= reach * (1 + 1e-6)
        novelty = np.log(2 * reach + 1e-4) - digamma(counts + 1)
        score = {
            r: value[r] + 0.7 * max(novelty[pool.prompt_ids[candidates.ids[r]]])
            for r in left
        }
        row = candidates.ids.tolist().index(pair)
        assert score[row] == pytest.approx(max(score.values()), abs=1e-4)
        left.remove(row)
        taken.append(pair)


def test_past_aware_designs_begin_at_prior_and_past_labels(head, labelled, pool):
    """The covariance is the inverse of alpha I + sum of v g g' over past labels."""
    posterior = RewardPosterior.from_head(head, pool.items)
    gaps = pool.items[labelled.pairs.ids[:, 0]] - pool.items[labelled.pairs.ids[:, 1]]
    p = expit(gaps @ head.coef_)
    precision = head.alpha_ * np.eye(5) + (gaps.T * (p * (1 - p))) @ gaps
    ids = pool.same_prompt_ids()
    every = pool.items[ids[:, 0]] - pool.items[ids[:, 1]]
    variance = np.einsum("ij,jk,ik->i", every, np.linalg.inv(precision), every)
    np.testing.assert_allclose(posterior.std(ids) ** 2, variance, rtol=1e-9)
    candidates = Candidates(pool, ids, labelled.pairs.ids)
    first = DOptimal().propose(candidates, posterior, 1)[0].tolist()
    rows = [ids.tolist().index(pair) for pair in candidates.ids.tolist()]
    v = expit(every @ head.coef_) * (1 - expit(every @ head.coef_))
    assert first == candidates.ids[np.argmax((v * variance)[rows])].tolist()


@pytest.mark.parametrize("name", known_strategies())
@pytest.mark.parametrize(("pairing", "cap"), [("same", 1), ("cross", 2), ("mixed", 2)])
def test_caps_hold_for_pairs_across_prompts(name, pairing, cap, pool, posterior):
    """Such a pair counts for both of its prompts, as do pairs proposed beside."""
    beside = np.array([[0, 4], [8, 12], [16, 17], [18, 19]])[: 2 * cap]
    drawn = draw_candidates(pool, 300, pairing=pairing, past=beside, random_state=0)
    candidates = Candidates(pool, drawn.ids, drawn.past, per_prompt=cap, beside=beside)
    ids = make_strategy(name).propose(candidates, posterior, 6, random_state=0)
    per_prompt = Counter(
        prompt for pair in [*ids, *beside] for prompt in set(pool.prompt_ids[pair])
    )
    assert max(per_prompt.values()) <= cap


def test_the_noisy_level_set_keeps_its_share_under_a_cap(pool, posterior):
    """The most uncertain pair of each of as many prompts."""
    candidates = draw_candidates(pool, 72, per_prompt=1, random_state=0)
    ids = NoisyLevelSet(0.5).propose(candidates, posterior, 12, random_state=0)
    level = make_strategy("entropy").propose(candidates, posterior, 6)
    assert ids[:6].tolist() == level.tolist()


@pytest.mark.parametrize(
    "pairing", ["same", "cross", "mixed", MixedPrompt(0.2)], ids=str
)
def test_propensities_are_the_frequencies_of_being_chosen(pairing):
    """1,500 proposals from fewer candidates than pairs: each counts for 1 in all."""
    pool, n = make_pool(5, 3), 1500
    past = np.array([[0, 1], [1, 0], [0, 3]])
    weight, least = Counter(), {}
    for seed in range(n):
        loop = LabelLoop(
            pool, pairing=pairing, n_candidates=12, random_state=seed, warm_start=99
        )
        proposal = loop.propose(6, pending=past)
        keys = pair_keys(proposal.ids, 15).tolist()
        for key, chance in zip(keys, proposal.propensity.tolist(), strict=True):
            weight[key] += 1 / (n * chance)
            least[key] = min(chance, least.get(key, 1.0))
    for key, total in weight.items():
        assert abs(total - 1) < 5 * np.sqrt(1 / (n * least[key]))
    n_open = {"same": [14, 0], "cross": [0, 89]}.get(pairing, [14, 89])
    crosses = [key // 15 // 3 != key % 15 // 3 for key in weight]
    sums = np.bincount(crosses, weights=list(weight.values()), minlength=2)
    np.testing.assert_allclose(sums, n_open, rtol=0.05)


def test_pairs_that_are_not_drawn_evenly_have_no_propensity():
    """On policy, and by designs of another kind: weighting is refused."""
    pool = make_pool(10, 4)
    for options in ({"on_policy": 1.0}, {"pairing": RankWindow(1, 2)}):
        proposal = LabelLoop(pool, random_state=0, **options).propose(5)
        assert proposal.is_random.all()
        assert np.isnan(proposal.propensity).all()


def test_costs_hold_on_policy_and_caps_for_what_a_strategy_adds():
    """Random pairs count for the cap of a proposal."""
    pool = make_pool(12, 4)
    cost = np.arange(1.0, 49.0)
    loop = LabelLoop(pool, on_policy=1.0, item_cost=cost, random_state=0)
    candidates = loop._candidates(np.empty((0, 2), dtype=int))
    np.testing.assert_array_equal(candidates.cost, cost[candidates.ids].sum(axis=1))
    capped = LabelLoop(
        pool, "max-difference", per_prompt=1, warm_start=0, random_share=0.5,
        random_state=0,
    )  # fmt: skip
    proposal = capped.propose(8)
    chosen = pool.prompt_ids[proposal.ids[~proposal.is_random][:, 0]].tolist()
    drawn = pool.prompt_ids[proposal.ids[proposal.is_random][:, 0]].tolist()
    assert len(set(chosen)) == len(chosen)
    assert not set(chosen) & set(drawn)


def test_v_optimal_refuses_other_targets():
    """With those that there are."""
    with pytest.raises(InvalidInputError, match="same"):
        VOptimal("other")
