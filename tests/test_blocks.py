"""Blocks divide the columns of items, and travel with pairs and pools."""

import numpy as np
import pytest

from embrm import CandidatePool, Pairs
from embrm.blocks import blocks_of, check_blocks
from embrm.exceptions import InvalidInputError
from embrm.heads import make_comparisons

BLOCKS = {"a": slice(0, 2), "b": slice(2, 3)}
ITEMS = np.arange(12.0).reshape(4, 3) ** 2


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"a": slice(0, 2)},
        {"a": slice(0, 2), "b": slice(1, 3)},
        {"a": slice(0, 3, 2), "b": slice(1, 2)},
        {"a": slice(0, 3), "b": slice(3, 3)},
        {"a": 3},
    ],
)
def test_blocks_must_divide_all_columns(wrong):
    """Each column is in one block, and no block is empty or has a step."""
    with pytest.raises(InvalidInputError, match="divide all 3 columns"):
        Pairs(ITEMS, [[0, 1]], blocks=wrong)


def test_blocks_come_in_the_order_of_their_columns():
    """However they were listed."""
    found = check_blocks({"b": slice(2, None), "a": slice(0, 2)}, 3)
    assert list(found.items()) == list(BLOCKS.items())
    assert blocks_of(["a", "b"], [2, 1]) == BLOCKS


def test_slices_and_swaps_of_pairs_keep_the_blocks():
    """So that a fold of a cross-validation has them, too."""
    pairs = Pairs(ITEMS, [[0, 1], [2, 3]], blocks=BLOCKS)
    assert pairs[[1]].blocks == pairs.swap().blocks == BLOCKS
    assert make_comparisons(pairs).take([0]).blocks == BLOCKS
    assert "blocks a + b" in repr(pairs)


def test_pairs_take_other_blocks_without_a_copy():
    """The items are shared, and None takes the blocks away."""
    pairs = Pairs(ITEMS, [[0, 1]])
    assert pairs.blocks is None
    assert pairs.with_blocks(BLOCKS).blocks == BLOCKS
    assert pairs.with_blocks(BLOCKS).items is pairs.items
    assert pairs.with_blocks(BLOCKS).with_blocks(None).blocks is None


def test_a_pool_gives_its_blocks_to_its_pairs_and_parts():
    """The columns of all are the same."""
    pool = CandidatePool(ITEMS, ["x", "x", "y", "y"], blocks=BLOCKS)
    assert pool.pairs([[0, 1]]).blocks == pool["y"].blocks == BLOCKS
    assert "blocks a + b" in repr(pool)
