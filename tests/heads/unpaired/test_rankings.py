"""Rankings are checked, and written in one canonical form."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads.unpaired._rankings import make_ranked_items

ITEMS = np.random.default_rng(0).normal(size=(9, 3))


def as_set(ranked):
    """The rankings as vectors, with what is known about them."""
    return {
        (ranked.items[rows].tobytes(), int(count), float(weight))
        for block in ranked.blocks
        for rows, count, weight in zip(
            block.rows, block.n_ranked, block.weight, strict=True
        )
    }


def test_equal_rankings_are_one_of_double_weight():
    """Also where their items are copies."""
    doubled = np.vstack([ITEMS, ITEMS])
    ranked = make_ranked_items(doubled, [[0, 1, 2], [9, 1, 11], [2, 0]])
    assert [len(block.rows) for block in ranked.blocks] == [1, 1]
    assert ranked.blocks[1].weight.tolist() == [2.0]
    assert len(ranked.items) == 3


def test_neither_order_nor_numbering_matters():
    """Shuffled rankings of shuffled items are the same."""
    rankings, weight = [[0, 1, 2], [3, 4], [5, 6, 7, 8], [1, 0]], [1.0, 2.0, 3.0, 4.0]
    order = np.random.default_rng(1).permutation(9)
    moved = [np.argsort(order)[r] for r in reversed(rankings)]
    one = make_ranked_items(ITEMS, rankings, sample_weight=weight)
    other = make_ranked_items(ITEMS[order], moved, sample_weight=weight[::-1])
    np.testing.assert_array_equal(one.items, other.items)
    assert as_set(one) == as_set(other)


def test_rankings_without_weight_are_removed_with_their_items():
    """Even if their vectors are NaN."""
    items = ITEMS.copy()
    items[2] = np.nan
    ranked = make_ranked_items(items, [[0, 1], [2, 1, 3]], sample_weight=[1, 0])
    assert len(ranked) == 1
    assert len(ranked.items) == 2


def test_a_short_ranking_is_in_order_altogether():
    """One number for all is cut to the length."""
    ranked = make_ranked_items(ITEMS, [[0, 1], [2, 3, 4, 5]], n_ranked=3)
    assert [block.n_ranked.tolist() for block in ranked.blocks] == [[2], [3]]


def test_rankings_that_share_items_are_one_unit():
    """Unless one unit has most of them."""
    apart = make_ranked_items(ITEMS, [[0, 1], [1, 2], [3, 4], [4, 5], [6, 7]])
    assert sorted(np.bincount(apart.units())) == [1, 2, 2]
    joined = make_ranked_items(ITEMS, [[0, 1], [1, 2], [2, 3], [7, 8]])
    assert sorted(joined.units()) == [0, 1, 2, 3]


def test_rankings_are_taken_by_mask_over_all_blocks():
    """Blocks that become empty are left out."""
    ranked = make_ranked_items(ITEMS, [[0, 1], [2, 3], [4, 5, 6]])
    assert [
        len(block.rows) for block in ranked.take(np.array([True, False, True]))
    ] == [
        1,
        1,
    ]
    assert len(ranked.take(np.array([False, True, False]))) == 1


def test_float16_items_are_widened():
    """It is too coarse to compute with."""
    ranked = make_ranked_items(ITEMS.astype(np.float16), [[0, 1]])
    assert ranked.items.dtype == np.float32


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ([], "at least one ranking"),
        ([[0, 1], [2]], r"two or more integer rows.*shape \(1,\).*at ranking 1"),
        ([[0, [1, 2]]], "without ties.*n_ranked"),
        ([[0.0, 1.0]], "dtype float64"),
        ([[0, 9]], r"rows in \[0, 9\)"),
        ([[-1, 0]], "negative rows are not counted"),
        ([[0, 1], [1, 2, 1]], "one twice at ranking 1"),
    ],
)
def test_bad_rankings_are_refused(rankings, message):
    """With the number of the ranking."""
    with pytest.raises(InvalidInputError, match=message):
        make_ranked_items(ITEMS, rankings)


@pytest.mark.parametrize("n_ranked", [0, [1], [1, 3], 1.5])
def test_a_bad_count_of_ranked_items_is_refused(n_ranked):
    """Too small, too few, above the length, not an integer."""
    with pytest.raises(InvalidInputError, match="n_ranked: an integer >= 1"):
        make_ranked_items(ITEMS, [[0, 1], [2, 3]], n_ranked=n_ranked)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1], "sample_weight of shape .* one per ranking"),
        ([1, -1], "sample_weight >= 0; got -1 at ranking 1"),
        ([0, 0], "at least one positive sample_weight"),
        ([1, np.nan], "finite sample_weight; got nan at index 1"),
        (["a", "b"], "numeric sample_weight"),
    ],
)
def test_bad_weights_are_refused(weight, message):
    """One per ranking, finite, >= 0, not all zero."""
    with pytest.raises(InvalidInputError, match=message):
        make_ranked_items(ITEMS, [[0, 1], [2, 3]], sample_weight=weight)


def test_rankings_of_equal_vectors_are_refused():
    """Even if different rankings have different ones."""
    items = np.repeat(ITEMS[:2], 2, axis=0)
    with pytest.raises(InvalidInputError, match="a ranking of two different vectors"):
        make_ranked_items(items, [[0, 1], [2, 3]])
