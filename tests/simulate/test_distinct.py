"""Distinct ranks are distinct, uniform, in random order, and cheap."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from embrm.simulate.distinct import distinct_ranks, first_occurrences


@given(size=st.integers(1, 3000), share=st.floats(0, 1), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_ranks_are_distinct_and_within_size(size, share, seed):
    """For any share of all ranks that is drawn."""
    n = int(share * size)
    ranks = distinct_ranks(size, n, np.random.default_rng(seed))
    assert len(ranks) == n == len(np.unique(ranks))
    assert ((ranks >= 0) & (ranks < size)).all()


@pytest.mark.parametrize(("size", "n"), [(5, 2), (5, 4), (7, 2), (4, 4)])
def test_every_ordered_draw_is_equally_likely(size, n):
    """By a chi-square test against all permutations, with repeats and by a shuffle."""
    rng = np.random.default_rng(1)
    number = {draw: i for i, draw in enumerate(itertools.permutations(range(size), n))}
    draws = [number[tuple(distinct_ranks(size, n, rng))] for _ in range(8000)]
    assert chisquare(np.bincount(draws, minlength=len(number))).pvalue > 0.001


def test_ranks_of_a_huge_size_take_memory_for_the_draw_alone():
    """200,000 of 40 million: numpy's own choice would take 320 MB."""
    tracemalloc.start()
    distinct_ranks(40_000_000, 200_000, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 200_000


@pytest.mark.parametrize("size", [20, 2**62])
def test_first_occurrences_keep_their_order(size):
    """Whether or not value and position fit one integer."""
    values = np.array([3, 1, 3, 3, 0, 1, 19])
    assert first_occurrences(values, size).tolist() == [3, 1, 0, 19]


def test_too_few_first_draws_are_made_up_for():
    """Values that repeat more often than expected lead to another draw."""

    class Stubborn:
        """Repeats itself in the first draw."""

        def __init__(self):
            self.rng, self.calls = np.random.default_rng(0), 0

        def integers(self, size_of_range, size):
            self.calls += 1
            drawn = self.rng.integers(size_of_range, size=size)
            return drawn * 0 if self.calls == 1 else drawn

    rng = Stubborn()
    ranks = distinct_ranks(1000, 50, rng)
    assert len(np.unique(ranks)) == 50
    assert rng.calls > 1
