"""The layout numbers pairs and prompts without a loop, and without an error."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.simulate.layout import (
    Locator,
    PromptLayout,
    concatenated_ranges,
    offsets_of,
    shuffled_responses,
    triangular_pair,
)


def test_the_layout_lists_the_rows_of_each_prompt(ragged):
    """In the order of the pool's prompts."""
    layout = PromptLayout.of(ragged)
    for p, name in enumerate(ragged.prompts):
        rows = layout.order[layout.starts[p] : layout.starts[p + 1]]
        np.testing.assert_array_equal(rows, ragged.rows(name))


def test_codes_name_the_prompt_of_each_row(ragged):
    """Position in the pool's prompts."""
    codes = PromptLayout.of(ragged).codes
    np.testing.assert_array_equal(ragged.prompts[codes], ragged.prompt_ids)


@given(
    counts=st.lists(st.integers(0, 50), min_size=1, max_size=40).filter(any),
    skew=st.integers(1, 10_000),
)
@settings(deadline=None, max_examples=100)
def test_locate_agrees_with_searchsorted(counts, skew):
    """Empty prompts and one that is far larger than the others included."""
    offsets = offsets_of(np.array([*counts, skew]))
    ranks = np.arange(offsets[-1])
    expected = np.searchsorted(offsets, ranks, side="right") - 1
    np.testing.assert_array_equal(Locator(offsets)(ranks), expected)


def test_pairs_are_numbered_without_gap():
    """Rank = high (high - 1) / 2 + low."""
    low, high = triangular_pair(np.arange(5000))
    assert ((low >= 0) & (low < high)).all()
    np.testing.assert_array_equal(high * (high - 1) // 2 + low, np.arange(5000))


@given(high=st.integers(2, 2**25), step=st.integers(-2, 2))
@settings(deadline=None, max_examples=200)
def test_pairs_are_exact_where_the_square_root_is_rounded(high, step):
    """Around every triangular number up to 2 ** 49."""
    rank = math.comb(high, 2) + step
    if rank >= 0:
        low, top = (int(end[0]) for end in triangular_pair(np.array([rank])))
        assert math.comb(top, 2) + low == rank
        assert 0 <= low < top


def test_ranges_are_concatenated():
    """Empty ones included."""
    starts, sizes = np.array([5, 0, 9]), np.array([2, 0, 1])
    assert concatenated_ranges(starts, sizes).tolist() == [5, 6, 9]


def test_shuffling_keeps_responses_with_their_prompt(ragged):
    """Every occurrence of a prompt holds each of its responses once."""
    layout = PromptLayout.of(ragged)
    prompts = np.array([3, 0, 3])
    rows, starts = shuffled_responses(layout, prompts, np.random.default_rng(0))
    for i, p in enumerate(prompts):
        found = np.sort(rows[starts[i] : starts[i + 1]])
        np.testing.assert_array_equal(found, ragged.rows(ragged.prompts[p]))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_shuffling_puts_every_response_in_every_place(pool, place):
    """Equally often, give or take four standard errors."""
    layout = PromptLayout.of(pool)
    prompts = np.zeros(4000, dtype=int)
    rows, starts = shuffled_responses(layout, prompts, np.random.default_rng(0))
    counts = np.bincount(rows[starts[:-1] + place], minlength=10)
    assert np.abs(counts - 400).max() < 4 * np.sqrt(4000 * 0.1 * 0.9)
