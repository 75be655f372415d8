"""GeneralPreference learns cycles, and is the linear head where there are none."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from embrm import CandidatePool, Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import (
    GeneralPreference,
    HeadState,
    LinearBradleyTerry,
    cycle_rate,
    cyclic_triples,
)
from embrm.testing import check_head, head_checks

CHECKS = [name for name, _ in head_checks()]


def plane_preferences(n_prompts=60, n_responses=4, d=6, seed=0):
    """Items that beat each other by their turn in the first two coordinates."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(n_prompts * n_responses, d))
    left, right = np.triu_indices(n_responses, 1)
    base = np.arange(n_prompts)[:, None] * n_responses
    ids = np.column_stack([(base + left).ravel(), (base + right).ravel()])
    one, two = items[ids[:, 0]], items[ids[:, 1]]
    y = one[:, 0] * two[:, 1] > one[:, 1] * two[:, 0]
    return Pairs(items, ids, np.repeat(np.arange(n_prompts), n_responses)), y


@pytest.fixture(scope="module")
def cyclic_head():
    """A head fitted on planted cycles. Do not refit it."""
    return GeneralPreference().fit(*plane_preferences())


def test_planted_cycles_are_learned_which_a_linear_head_cannot(cyclic_head):
    """On held-out prompts."""
    test, y = plane_preferences(seed=1)
    linear = LinearBradleyTerry().fit(*plane_preferences())
    assert cyclic_head.rank_ >= 1
    assert cyclic_head.score(test, y) > 0.85
    assert linear.score(test, y) < 0.6


def test_rock_paper_scissors_is_learned_from_noisy_rounds():
    """Three kinds of items with noise around them; a fifth of the labels wrong."""
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.arange(3) / 3
    corners = np.column_stack([np.cos(angle), np.sin(angle)])
    kind = rng.integers(0, 3, 600)
    items = np.hstack([corners[kind], rng.normal(size=(600, 3))])
    items[:, :2] += 0.2 * rng.normal(size=(600, 2))
    ids = np.arange(600).reshape(300, 2)
    ids = ids[kind[ids[:, 0]] != kind[ids[:, 1]]]
    y = (kind[ids[:, 0]] - kind[ids[:, 1]]) % 3 == 1
    noisy = np.where(rng.random(len(y)) < 0.2, ~y, y)
    head = GeneralPreference().fit(Pairs(items, ids), noisy)
    assert head.score(Pairs(items, ids), y) > 0.95
    moves = np.hstack([corners, np.zeros((3, 3))])
    assert cycle_rate(head, moves) == 1.0


def test_a_swap_negates_delta_bitwise_with_blocks(cyclic_head):
    """For Pairs and dense arrays, and zero for an item with itself."""
    pairs, _ = plane_preferences(seed=2)
    delta = cyclic_head.decision_function(pairs)
    np.testing.assert_array_equal(cyclic_head.decision_function(pairs.swap()), -delta)
    dense = np.asarray(pairs, dtype=np.float32)
    np.testing.assert_array_equal(
        cyclic_head.decision_function(dense[:, ::-1]),
        -cyclic_head.decision_function(dense),
    )
    same = Pairs(pairs.items, [[0, 0], [5, 5]])
    np.testing.assert_array_equal(cyclic_head.decision_function(same), [0, 0])


def test_reward_is_the_mean_delta_against_the_training_items(cyclic_head):
    """A Borda score, by brute force over all training items."""
    pairs, _ = plane_preferences()
    n_items = len(pairs.items)
    ids = np.column_stack([np.zeros(n_items, dtype=int), np.arange(n_items)])
    for row in (0, 7):
        ids[:, 0] = row
        delta = cyclic_head.decision_function(Pairs(pairs.items, ids))
        reward = cyclic_head.reward(pairs.items[[row]])[0]
        assert reward == pytest.approx(delta.mean(), abs=1e-9)


def test_without_blocks_it_is_the_linear_head(make_preferences):
    """The same weights, the same penalty, of the plain ridge that is not scaled."""
    data = make_preferences(error_rate=0.2)
    head = GeneralPreference(rank=0).fit(data.pairs, data.y)
    linear = LinearBradleyTerry(standardise=False, reward_scale=1.0)
    linear.fit(data.pairs, data.y)
    np.testing.assert_allclose(head.coef_, linear.coef_, atol=1e-6)
    assert (head.rank_, head.block_alpha_) == (0, np.inf)
    assert head.alpha_ == pytest.approx(linear.alpha_)


def test_auto_adds_no_blocks_to_transitive_preferences(make_preferences):
    """Noise is not taken for cycles."""
    data = make_preferences(n_prompts=80, error_rate=0.3)
    head = GeneralPreference().fit(data.pairs, data.y)
    assert head.rank_ == 0
    assert cycle_rate(head, data.pairs.items[:40]) == 0.0


@pytest.mark.parametrize("check", CHECKS)
def test_the_automatic_head_keeps_the_promise(check):
    """One claim of the public contract."""
    check_head(GeneralPreference(), checks=[check])


@pytest.mark.parametrize("check", CHECKS)
def test_a_head_with_a_block_keeps_the_promise(check):
    """It declares that its delta is no difference of rewards."""
    head = GeneralPreference(rank=1, alpha=1.0, block_alpha=2.0)
    check_head(head, checks=[check])


def test_delta_of_a_head_with_blocks_is_no_difference_of_rewards():
    """So a head that claimed it would fail the check."""

    class Claims(GeneralPreference):
        is_transitive = True

    name = "delta_is_the_difference_of_rewards"
    with pytest.raises(AssertionError, match=name):
        check_head(Claims(rank=1), checks=[name])


def test_the_state_of_a_head_with_blocks_gives_the_same_bits(cyclic_head):
    """Blocks, penalties and all."""
    pairs, _ = plane_preferences(seed=3)
    again = GeneralPreference().set_state(cyclic_head.get_state())
    np.testing.assert_array_equal(
        again.decision_function(pairs), cyclic_head.decision_function(pairs)
    )
    assert again.block_alpha_ == cyclic_head.block_alpha_


@settings(max_examples=15)
@given(st.floats(1e-4, 1e4), st.integers(1, 6))
def test_any_scale_and_rank_stay_finite(scale, d):
    """Also where there are fewer planes than blocks, and fewer items than columns."""
    rng = np.random.default_rng(0)
    items = scale * rng.normal(size=(4, d))
    pairs = Pairs(items, [[0, 1], [1, 2], [2, 0], [0, 3]])
    head = GeneralPreference(rank=3).fit(pairs)
    assert np.isfinite(head.decision_function(pairs)).all()


def test_more_columns_than_items_and_constant_columns_are_taken():
    """The blocks live in the span of the items."""
    pairs, y = plane_preferences(n_prompts=6, d=3)
    wide = np.hstack([pairs.items, np.ones((len(pairs.items), 60))])
    head = GeneralPreference(rank=1).fit(Pairs(wide, pairs.ids), y)
    assert head.first_.shape == (63, 1)
    assert np.isfinite(head.decision_function(Pairs(wide, pairs.ids))).all()


def test_float16_memory_maps_are_taken(tmp_path):
    """Items of a cache, as they are stored."""
    pairs, y = plane_preferences()
    half = np.memmap(tmp_path / "x", np.float16, "w+", shape=pairs.items.shape)
    half[:] = pairs.items
    stored = Pairs(half, pairs.ids, pairs.prompt_ids)
    assert GeneralPreference(rank=1).fit(stored, y).score(stored, y) > 0.85


def test_too_few_steps_warn():
    """The message says which parameter to change."""
    with pytest.warns(ConvergenceWarning, match="in 1 steps; raise max_iter"):
        GeneralPreference(rank=1, max_iter=1, alpha=1.0).fit(*plane_preferences())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rank": -1}, "rank: an integer >= 0 or 'auto'; got -1"),
        ({"rank": "many"}, "rank: an integer >= 0 or 'auto'; got 'many'"),
        ({"alpha": -1.0}, "alpha: a finite number >= 0"),
        ({"block_alpha": 0.0}, "block_alpha: a finite number > 0"),
        ({"tol": 0}, "tol: a finite number > 0"),
    ],
)
def test_parameters_out_of_range_are_refused(params, message):
    """At fit, as scikit-learn wants it."""
    with pytest.raises(InvalidInputError, match=message):
        GeneralPreference(**params).fit(Pairs(np.eye(2), [[0, 1]]))


def test_a_state_whose_parts_do_not_fit_is_refused(cyclic_head):
    """Weights of different widths."""
    state = cyclic_head.get_state()
    arrays = {**state.arrays, "first": state.arrays["first"][:-1]}
    with pytest.raises(IntegrityError, match="'first' of size d ="):
        GeneralPreference().set_state(HeadState(arrays, state.values))


class Table:
    """A head that looks up who beats whom by the first column of the items."""

    def __init__(self, delta):
        self.delta = np.asarray(delta, dtype=float)

    def decision_function(self, pairs):
        """Delta from the table."""
        rows = pairs.items[:, 0].astype(int)
        return self.delta[rows[pairs.first], rows[pairs.second]]


def count_by_hand(wins):
    """Go through all triples."""
    return sum(
        bool(wins[i, j] and wins[j, k] and wins[k, i])
        or bool(wins[j, i] and wins[k, j] and wins[i, k])
        for i, j, k in combinations(range(len(wins)), 3)
    )


def random_delta(n_items, share_of_ties, seed):
    """A random tournament, with ties."""
    rng = np.random.default_rng(seed)
    delta = rng.normal(size=(n_items, n_items))
    delta[rng.random(delta.shape) < share_of_ties] = 0.0
    upper = np.triu(delta, 1)
    return upper - upper.T


@settings(max_examples=40)
@given(st.integers(0, 9), st.sampled_from([0.0, 0.3]), st.integers(0, 2**31))
def test_the_count_is_that_of_going_through_all_triples(n_items, ties, seed):
    """With and without ties."""
    wins = random_delta(n_items, ties, seed) > 0
    assert cyclic_triples(wins) == count_by_hand(wins)


def test_many_tournaments_are_counted_at_once():
    """Leading axes are kept."""
    wins = np.stack([random_delta(6, 0.2, seed) > 0 for seed in range(8)])
    counts = cyclic_triples(wins.reshape(2, 4, 6, 6))
    assert counts.shape == (2, 4)
    assert counts.ravel().tolist() == [count_by_hand(one) for one in wins]


@pytest.mark.parametrize("pairs_at_once", [1, 1_000_000])
def test_the_rate_is_over_the_triples_of_all_prompts(monkeypatch, pairs_at_once):
    """Ragged prompts, whose items are not adjacent; two have too few items."""
    monkeypatch.setattr(
        "embrm.heads.cyclic.general_preference._PAIRS_AT_ONCE", pairs_at_once
    )
    delta = random_delta(20, 0.1, 3)
    prompt = np.array([0, 1, 2, 3, 0, 1, 2, 4] * 2 + [0, 1, 4, 0])
    members = [np.flatnonzero(prompt == p) for p in range(5)]
    cyclic = sum(count_by_hand(delta[np.ix_(m, m)] > 0) for m in members)
    triples = sum(len(list(combinations(m, 3))) for m in members)
    items = np.arange(20.0)[:, None]
    assert cycle_rate(Table(delta), items, prompt) == cyclic / triples
    pool = CandidatePool(items, prompt)
    assert cycle_rate(Table(delta), pool) == cyclic / triples


def test_coins_make_a_quarter_of_the_triples_cyclic():
    """Two of the eight ways in which three games can end."""
    delta = random_delta(120, 0.0, 0)
    rate = cycle_rate(Table(delta), np.arange(120.0)[:, None])
    assert rate == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("n_items", [0, 1, 2])
def test_fewer_than_three_items_have_no_rate(n_items):
    """NaN, not zero."""
    items = np.zeros((n_items, 1))
    assert np.isnan(cycle_rate(Table(np.zeros((2, 2))), items))


def test_prompts_beside_a_pool_are_refused():
    """It has its own."""
    pool = CandidatePool(np.eye(3), [0, 0, 0])
    with pytest.raises(InvalidInputError, match="no prompt_ids beside a pool"):
        cycle_rate(Table(np.zeros((3, 3))), pool, [0, 0, 0])


@pytest.mark.parametrize(
    ("wins", "message"),
    [
        (np.ones((2, 3)), r"shape \(2, 3\)\. Fix"),
        (np.ones((3, 3)), "items that beat each other"),
    ],
)
def test_what_is_no_tournament_is_refused(wins, message):
    """Two axes of equal length, one winner."""
    with pytest.raises(InvalidInputError, match=message):
        cyclic_triples(wins)
