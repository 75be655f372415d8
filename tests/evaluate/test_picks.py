"""Shares of the best of n are exact, for any K and n, and ties share them."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.evaluate._picks import expected_picks, pick_shares, ranked_prompts


def exact_share(size, n, rank):
    """C(rank - 1, n - 1) / C(size, n), in integers of any length."""
    return Fraction(math.comb(rank - 1, n - 1), math.comb(size, n))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
def test_shares_agree_with_exact_fractions(size):
    """Every rank, every n, to the last places of a double."""
    shares = pick_shares(size, np.arange(1, size + 1))
    expected = [
        [float(exact_share(size, n, rank)) for rank in range(1, size + 1)]
        for n in range(1, size + 1)
    ]
    np.testing.assert_allclose(shares, expected, rtol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 57, 1000, 6300, 12_599, 12_600])
def test_shares_of_twelve_thousand_agree_with_exact_integers(n):
    """Binomials of 12,600 have thousands of digits; shares are right all the same."""
    size = 12_600
    shares = pick_shares(size, np.array([n]))[0]
    ranks = [size, size - 1, size - 40, size - size // n, size // 2, n]
    for rank in (rank for rank in ranks if rank >= 1):
        expected = float(exact_share(size, n, rank))
        assert shares[rank - 1] == pytest.approx(expected, rel=1e-11, abs=1e-300)
    assert shares.sum() == pytest.approx(1, rel=1e-12)


def test_the_expectation_of_twelve_thousand_agrees_with_exact_integers():
    """The product leaves out nothing that a double could hold."""
    size, n = 12_600, 5000
    values = np.arange(size) % 97 - 48.0
    ranked = ranked_prompts(np.arange(float(size)), np.zeros(size, dtype=int))
    share = Fraction(n, size)
    expected = Fraction(0)
    # Exactly, from the best item down: each share from the one above it.
    for rank in range(size, size - 400, -1):
        expected += share * int(values[rank - 1])
        share = share * (rank - n) / (rank - 1)
    found = expected_picks(values, ranked, 1, n)[0, n - 1]
    assert found == pytest.approx(float(expected), rel=1e-12)


@given(
    reward=st.lists(st.integers(0, 3), min_size=1, max_size=7),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_expectations_agree_with_all_subsets(reward, seed):
    """With ties in reward, which share the pick."""
    size = len(reward)
    values = np.random.default_rng(seed).normal(size=size)
    ranked = ranked_prompts(np.array(reward, float), np.zeros(size, dtype=int))
    found = expected_picks(values, ranked, 1, size)[0]
    for n in range(1, size + 1):
        picks = []
        for subset in itertools.combinations(range(size), n):
            top = max(reward[i] for i in subset)
            picks.append(np.mean([values[i] for i in subset if reward[i] == top]))
        assert found[n - 1] == pytest.approx(np.mean(picks), abs=1e-12)


def test_prompts_of_one_size_are_ranked_together():
    """Rows ascend by reward within each prompt, whatever the order of items."""
    codes = np.array([1, 0, 1, 0, 2])
    ranked = ranked_prompts(np.array([5.0, 2.0, 3.0, 2.0, 1.0]), codes)
    assert [same.prompts.tolist() for same in ranked] == [[2], [0, 1]]
    assert ranked[1].rows[1].tolist() == [2, 0]
    assert ranked[1].tied.tolist() == [[False, True], [False, False]]


def test_chunks_are_the_same_prompts():
    """None is lost, none comes twice."""
    codes = np.repeat(np.arange(5), 2)
    (same,) = ranked_prompts(np.arange(10.0), codes)
    parts = list(same.chunks(2))
    assert [len(part.prompts) for part in parts] == [2, 2, 1]
    assert np.concatenate([part.rows for part in parts]).tolist() == same.rows.tolist()
