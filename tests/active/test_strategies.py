"""Strategies propose distinct new pairs, and each is what its definition says."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from embrm.active import (
    BatchBALD,
    Candidates,
    Coreset,
    DeltaUCB,
    DOptimal,
    Entropy,
    ExplorationPair,
    InfoMax,
    MaxDifference,
    NoisyLevelSet,
    RewardPosterior,
    VOptimal,
    draw_candidates,
    known_strategies,
    make_strategy,
)
from embrm.active.candidates import pair_keys
from embrm.exceptions import InvalidInputError
from tests.active.conftest import make_pool


def keys(ids, pool):
    return pair_keys(np.asarray(ids), len(pool)).tolist()


@pytest.mark.parametrize("name", known_strategies())
@pytest.mark.parametrize("pairing", ["same", "cross", "mixed"])
def test_proposals_are_new_distinct_pairs_in_the_number_asked_for(
    name, pairing, pool, posterior, labelled
):
    """No item against itself, nothing labelled already, the same by the same seed."""
    past = labelled.pairs.ids
    candidates = draw_candidates(pool, 40, pairing=pairing, past=past, random_state=3)
    strategy = make_strategy(name)
    ids = strategy.propose(candidates, posterior, 9, random_state=4)
    again = strategy.propose(candidates, posterior, 9, random_state=4)
    assert ids.tolist() == again.tolist()
    assert ids.shape == (9, 2)
    assert (ids[:, 0] != ids[:, 1]).all()
    assert len(set(keys(ids, pool))) == 9
    assert not set(keys(ids, pool)) & set(keys(past, pool))
    assert set(keys(ids, pool)) <= set(keys(candidates.ids, pool))


@pytest.mark.parametrize("name", known_strategies())
def test_no_prompt_gets_more_pairs_than_its_cap(name, pool, posterior):
    """And a cap that leaves too few is said."""
    candidates = draw_candidates(pool, 60, per_prompt=1, random_state=0)
    ids = make_strategy(name).propose(candidates, posterior, 12, random_state=0)
    assert len(set(pool.prompt_ids[ids[:, 0]])) == 12
    with pytest.raises(InvalidInputError, match="13 candidates to choose; got 12"):
        make_strategy(name).propose(candidates, posterior, 13, random_state=0)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), costly=st.booleans())
def test_lazy_d_optimal_is_the_greedy_design(seed, n, costly):
    """Brute force: each pair raises the log determinant most, for its cost."""
    pool = make_pool(6, 3, 4, seed)
    rng = np.random.default_rng(seed)
    posterior = RewardPosterior(rng.normal(size=18), rng.normal(size=(18, 4)))
    cost = rng.uniform(1, 3, size=18) if costly else None
    candidates = draw_candidates(pool, 18, item_cost=cost, random_state=seed)
    found = DOptimal().propose(candidates, posterior, n)
    gaps = posterior.gap(candidates.ids)
    v, precision, left = posterior.curvature(candidates.ids), np.eye(4), set(range(18))
    for pair in found.tolist():
        gains = np.full(18, -np.inf)
        for row in left:
            more = precision + v[row] * np.outer(gaps[row], gaps[row])
            gains[row] = np.linalg.slogdet(more)[1] - np.linalg.slogdet(precision)[1]
            gains[row] /= 1.0 if candidates.cost is None else candidates.cost[row]
        row = candidates.ids.tolist().index(pair)
        assert gains[row] == pytest.approx(gains.max(), abs=1e-9)
        precision += v[row] * np.outer(gaps[row], gaps[row])
        left.remove(row)


@pytest.mark.parametrize("targets", ["same", "all"])
def test_v_optimal_is_the_greedy_design(targets, pool, posterior, candidates):
    """Brute force: each pair takes most from the mean variance of the targets."""
    found = VOptimal(targets).propose(candidates, posterior, 6)
    every = np.array(np.triu_indices(len(pool), 1)).T
    goal = posterior.gap(every if targets == "all" else pool.same_prompt_ids())
    gaps, v = posterior.gap(candidates.ids), posterior.curvature(candidates.ids)
    precision, left = np.eye(goal.shape[1]), list(range(len(candidates)))

    def spread(matrix):
        return np.einsum("ij,jk,ik->i", goal, np.linalg.inv(matrix), goal).mean()

    for pair in found.tolist():
        after = {r: spread(precision + v[r] * np.outer(gaps[r], gaps[r])) for r in left}
        row = candidates.ids.tolist().index(pair)
        assert after[row] == pytest.approx(min(after.values()), rel=1e-9)
        precision += v[row] * np.outer(gaps[row], gaps[row])
        left.remove(row)


def test_values_are_those_of_their_definitions(posterior, candidates):
    """Entropy, gap, uncertainty and optimistic gap, pair by pair."""
    covariance = posterior.coordinates @ posterior.coordinates.T
    reward = posterior.reward
    found = {
        strategy: strategy.values(candidates, posterior)
        for strategy in (
            Entropy(),
            MaxDifference(),
            ExplorationPair(),
            InfoMax(2.0),
            DeltaUCB(2.0),
        )
    }
    for row, (i, j) in enumerate(candidates.ids):
        delta = reward[i] - reward[j]
        p = 1 / (1 + np.exp(-delta))
        std = np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
        upper = reward + 2 * np.sqrt(np.diag(covariance))
        lower = 2 * reward - upper
        expected = {
            Entropy(): -p * np.log(p) - (1 - p) * np.log(1 - p),
            MaxDifference(): abs(delta),
            ExplorationPair(): std,
            InfoMax(2.0): expit(delta + 2 * std) - expit(delta - 2 * std),
            DeltaUCB(2.0): max(upper[i] - lower[j], upper[j] - lower[i]),
        }
        for strategy, value in expected.items():
            assert found[strategy][row] == pytest.approx(value)


def test_the_noisy_level_set_has_its_share_of_the_level_set(posterior, candidates):
    """The most uncertain half first."""
    ids = NoisyLevelSet(0.5).propose(candidates, posterior, 10, random_state=0)
    level = Entropy().propose(candidates, posterior, 5)
    assert ids[:5].tolist() == level.tolist()


def test_batch_bald_is_greedy_in_exact_information(posterior, candidates):
    """Brute force over all label configurations of up to four pairs."""
    few = candidates.take(np.arange(8))
    rng = np.random.default_rng(0)
    rewards = posterior.sample(16, np.random.default_rng(0))
    found = BatchBALD(n_samples=16).propose(few, posterior, 4, random_state=rng)
    delta = rewards[:, few.ids[:, 0]] - rewards[:, few.ids[:, 1]]
    p = 1 / (1 + np.exp(-delta))

    def information(rows):
        joint = 0.0
        for labels in product([0, 1], repeat=len(rows)):
            each = zip(rows, labels, strict=True)
            chance = np.prod([np.abs(1 - y - p[:, r]) for r, y in each], axis=0).mean()
            joint -= chance * np.log(chance)
        alone = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean(axis=0)
        return joint - alone[list(rows)].sum()

    taken = []
    for pair in found.tolist():
        gains = {r: information([*taken, r]) for r in range(8) if r not in taken}
        row = few.ids.tolist().index(pair)
        assert gains[row] == pytest.approx(max(gains.values()), abs=1e-9)
        taken.append(row)


def test_sampled_configurations_estimate_the_joint_entropy(posterior, candidates):
    """After the exact ones; within a few hundredths of a nat."""
    from embrm.active.optimal import _chances, _Configurations

    rewards = posterior.sample(8, 0)
    chance = _chances(candidates.ids[:9], rewards)
    exact, drawn = (
        _Configurations(8, most, np.random.default_rng(1)) for most in (1024, 4000)
    )
    drawn._weight = np.full(1, 1.0 + 1e-12)
    for one in chance[:8]:
        exact.add(one)
        drawn.add(one)
    difference = exact.entropy_with(chance[8:]) - drawn.entropy_with(chance[8:])
    assert abs(difference[0]) < 0.15


def test_thompson_draws_are_of_the_joint_posterior(posterior, pool):
    """Sampled deltas have the posterior's mean and deviation."""
    ids = pool.same_prompt_ids()[:6]
    samples = posterior.sample(4000, 0)
    delta = samples[:, ids[:, 0]] - samples[:, ids[:, 1]]
    np.testing.assert_allclose(delta.mean(0), posterior.delta(ids), atol=0.1)
    np.testing.assert_allclose(delta.std(0), posterior.std(ids), rtol=0.06)


def test_coreset_sensitivity_is_that_of_the_formula(posterior, candidates):
    """Recomputed from the pairs' directions, cluster by cluster."""
    from sklearn.cluster import KMeans

    found = Coreset(3).sensitivity(candidates, posterior, 0)
    rng = np.random.default_rng(0)
    gaps = posterior.gap(candidates.ids)
    order = rng.permutation(len(gaps))
    means = KMeans(3, n_init=1, random_state=int(rng.integers(2**31)))
    centres = means.fit(gaps[order]).cluster_centers_
    distance = np.linalg.norm(gaps[:, None] - centres, axis=2)
    nearest = distance.argmin(axis=1)
    for row in range(len(gaps)):
        others = np.delete(nearest, row)
        sizes = np.bincount(others, minlength=3)
        near = np.exp(-distance[row] / np.median(distance))
        assert found[row] == pytest.approx(len(gaps) / (1 + sizes @ near), rel=1e-6)


def test_the_posterior_metric_is_that_of_the_head(head, pool, posterior):
    """Means and deviations of all pairs, also from fewer items than dimensions."""
    ids = pool.same_prompt_ids()
    delta, std = head.decision_function(pool.pairs(ids), return_std=True)
    np.testing.assert_allclose(posterior.delta(ids), delta, atol=1e-12)
    np.testing.assert_allclose(posterior.std(ids), std, rtol=1e-9)


def test_the_posterior_metric_holds_outside_the_span_of_the_training_items():
    """Where the posterior is the prior; standardised and with float16 items too."""
    from embrm.heads import LinearBradleyTerry

    pool = make_pool(10, 4, 64)
    pairs = pool.pairs(pool.same_prompt_ids()[:8])
    for dtype, tolerance in ((np.float64, 1e-9), (np.float16, 2e-3)):
        items = pool.items.astype(dtype)
        head = LinearBradleyTerry(alpha=2.0, standardise=True).fit(pairs)
        posterior = RewardPosterior.from_head(head, items)
        ids = pool.same_prompt_ids()
        wide = type(pool)(items, pool.prompt_ids).pairs(ids)
        _, std = head.decision_function(wide, return_std=True)
        np.testing.assert_allclose(posterior.std(ids), std, rtol=tolerance)


def test_cheap_pairs_are_preferred_at_equal_value(pool):
    """Values are divided by the cost of the label."""
    flat = RewardPosterior(np.zeros(len(pool)), np.zeros((len(pool), 1)))
    lengths = np.arange(1.0, len(pool) + 1)
    candidates = draw_candidates(pool, 72, item_cost=lengths, random_state=0)
    ids = Entropy().propose(candidates, flat, 3)
    every = lengths[candidates.ids].sum(axis=1)
    assert lengths[ids].sum(axis=1).tolist() == np.sort(every)[:3].tolist()


def test_what_is_no_candidate_is_refused(pool, posterior):
    """A pair with itself, a repeated pair, a cost of nothing, another pool."""
    for ids in ([[1, 1]], [[0, 1], [1, 0]]):
        with pytest.raises(InvalidInputError, match="distinct pairs of two different"):
            Candidates(pool, ids)
    with pytest.raises(InvalidInputError, match="1 finite costs > 0"):
        Candidates(pool, [[0, 1]], cost=[0.0])
    few = Candidates(make_pool(2), [[0, 1]])
    with pytest.raises(InvalidInputError, match="a posterior of the pool's 8 items"):
        Entropy().propose(few, posterior, 1)
    with pytest.raises(InvalidInputError, match="a strategy: random, entropy"):
        make_strategy("best")


def test_information_of_flipped_labels_is_less(posterior, candidates):
    """And at most p (1 - p)."""
    noisy = RewardPosterior(posterior.reward, posterior.coordinates, 0.2)
    p = 1 / (1 + np.exp(-posterior.delta(candidates.ids)))
    np.testing.assert_allclose(posterior.curvature(candidates.ids), p * (1 - p))
    assert (noisy.curvature(candidates.ids) < p * (1 - p)).all()
