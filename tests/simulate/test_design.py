"""What every pairing design keeps to."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    BestVersusWorst,
    CrossPrompt,
    DiverseResponses,
    KWise,
    MixedPrompt,
    PairingDesign,
    RankWindow,
    SamePrompt,
    SimilarResponses,
    Tournament,
)
from embrm.simulate.design import (
    Locator,
    PromptLayout,
    as_design,
    concatenated_ranges,
    distinct_ranks,
    first_occurrences,
    offsets_of,
    shuffled_responses,
    triangular_pair,
)

DESIGNS = [
    SamePrompt(),
    CrossPrompt(),
    MixedPrompt(0.3),
    RankWindow(0, -1),
    RankWindow(0.25, 0.75),
    SimilarResponses(),
    DiverseResponses(0.5, metric="euclidean"),
    KWise(3),
    BestVersusWorst(2),
    Tournament(),
]
every_design = pytest.mark.parametrize("design", DESIGNS, ids=repr)


def unordered(ids):
    return np.unique(np.sort(ids, axis=1), axis=0)


@every_design
def test_a_draw_has_the_shape_of_pair_ids(design, pool):
    """(n_pairs, 2), integers, rows of the pool."""
    ids = design.draw(pool, 50, random_state=0)
    assert ids.shape == (50, 2)
    assert ids.dtype == np.intp
    assert ((ids >= 0) & (ids < len(pool))).all()


@given(
    sizes=st.lists(st.integers(1, 7), min_size=2, max_size=9),
    design=st.sampled_from(DESIGNS),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=150)
def test_no_pair_occurs_twice_and_none_is_of_one_item(sizes, design, share, seed):
    """On ragged pools in mixed order, for any share of the budget."""
    rng = np.random.default_rng(seed)
    n_items = sum(sizes)
    prompt_ids = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    gold = rng.integers(0, 3, n_items)
    pool = CandidatePool(rng.normal(size=(n_items, 2)), prompt_ids, gold=gold)
    n_pairs = int(np.ceil(share * design.max_pairs(pool)))
    if n_pairs:
        ids = design.draw(pool, n_pairs, rng)
        assert (ids[:, 0] != ids[:, 1]).all()
        assert len(unordered(ids)) == n_pairs


@every_design
def test_a_whole_budget_can_be_drawn(design, ragged):
    """`max_pairs` is what can be drawn, all of it."""
    n_pairs = design.max_pairs(ragged)
    assert len(unordered(design.draw(ragged, n_pairs, 0))) == n_pairs


@every_design
def test_a_budget_that_cannot_be_met_is_an_error(design, pool):
    """Which says how many pairs there are, and what to do."""
    most = design.max_pairs(pool)
    with pytest.raises(InvalidInputError, match=rf"at most {most:,}, .*replacement=Tr"):
        design.draw(pool, most + 1)


@every_design
def test_with_replacement_there_is_no_budget(design, ragged):
    """Pairs occur again, but never an item with itself."""
    again = design.with_replacement()
    n_pairs = 2 * design.max_pairs(ragged)
    ids = again.draw(ragged, n_pairs, random_state=0)
    assert len(ids) == n_pairs
    assert (ids[:, 0] != ids[:, 1]).all()


@every_design
def test_a_pool_without_such_a_pair_is_an_error(design):
    """With replacement too."""
    pool = CandidatePool(np.ones((1, 2)), [0], gold=[1.0])
    with pytest.raises(
        InvalidInputError, match=r"expected a pool in which .* can form"
    ):
        design.with_replacement().draw(pool, 1)


@every_design
def test_the_seed_decides_the_draw(design, pool):
    """The same pairs for the same seed, others for another."""
    ids = design.draw(pool, 40, random_state=3)
    np.testing.assert_array_equal(ids, design.draw(pool, 40, random_state=3))
    assert not np.array_equal(ids, design.draw(pool, 40, random_state=4))


@every_design
def test_which_item_stands_first_is_random(design, pool):
    """The better one does in about half of the pairs."""
    ids = design.with_replacement().draw(pool, 2000, random_state=0)
    assert pool.gold_labels(ids).mean() == pytest.approx(0.5, abs=0.045)


@every_design
def test_designs_of_the_same_parameters_are_equal(design):
    """They are values: equal, hashable, with a repr that names the parameters."""
    twin = design.with_replacement()
    assert twin == design.with_replacement() != design
    assert len({twin, design.with_replacement()}) == 1
    assert "replacement=True" in repr(twin)


@every_design
def test_designs_that_enumerate_say_so(design, ragged):
    """Two whole budgets are the same pairs, or else need not be."""
    whole = [
        unordered(design.draw(ragged, design.max_pairs(ragged), seed)).tolist()
        for seed in range(8)
    ]
    assert design.enumerates == all(pairs == whole[0] for pairs in whole)


@pytest.mark.parametrize("n_pairs", [0, -1, 2.5, True])
def test_n_pairs_that_is_no_count_is_an_error(pool, n_pairs):
    """At least one pair must be asked for."""
    with pytest.raises(InvalidInputError, match="expected an integer n_pairs >= 1"):
        SamePrompt().draw(pool, n_pairs)


@pytest.mark.parametrize("value", [SamePrompt, "same"])
def test_what_is_no_design_is_an_error(value):
    """A class instead of an instance, for example."""
    with pytest.raises(InvalidInputError, match=r"expected a pairing design; got"):
        as_design(value)


def test_a_design_can_be_written_elsewhere(pool):
    """Two methods are all that a design of one's own needs."""

    class FirstTwo(PairingDesign):
        replacement = False

        def max_pairs(self, pool):
            return 1

        def _draw(self, pool, n_pairs, rng):
            yield np.zeros(1, dtype=int), np.ones(1, dtype=int)

    assert sorted(FirstTwo().draw(pool, 1)[0].tolist()) == [0, 1]


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
@settings(max_examples=100)
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
@settings(max_examples=200)
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


@given(size=st.integers(1, 3000), share=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=100)
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
