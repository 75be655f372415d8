"""Cycles are counted exactly."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.heads.cyclic.cycles import cycle_rate, cyclic_triples


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


@settings(max_examples=40, deadline=None)
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
    monkeypatch.setattr("embrm.heads.cyclic.cycles._PAIRS_AT_ONCE", pairs_at_once)
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
        (np.ones((2, 3)), r"shape \(2, 3\)\. To"),
        (np.ones((3, 3)), "items that beat each other"),
    ],
)
def test_what_is_no_tournament_is_refused(wins, message):
    """Two axes of equal length, one winner."""
    with pytest.raises(InvalidInputError, match=message):
        cyclic_triples(wins)
