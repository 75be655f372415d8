"""Splits by prompt."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.studies.splits import make_splits, size_of_tens, sizes_of_choice


def test_each_seed_holds_out_a_quarter_and_another_one(pool):
    """No prompt is on both sides."""
    splits = make_splits(pool, range(3))
    held_out = [frozenset(split.test.prompts.tolist()) for split in splits]
    assert len(set(held_out)) == 3
    for split, test in zip(splits, held_out, strict=True):
        assert len(test) == 5
        assert not test & set(split.train.prompts.tolist())


def test_more_seeds_leave_the_first_splits_as_they_are(pool):
    """A study with more seeds goes on from the cells of one with fewer."""
    few, many = make_splits(pool, range(1)), make_splits(pool, range(2))
    np.testing.assert_array_equal(few[0].test.prompts, many[0].test.prompts)


@pytest.mark.parametrize("shape", [(7, 10), (30, 3)])
def test_a_pool_that_is_too_small_is_refused(shape):
    """It says how large one must be."""
    n = shape[0] * shape[1]
    small = CandidatePool(
        np.ones((n, 1)), np.repeat(np.arange(shape[0]), shape[1]), gold=np.arange(n)
    )
    with pytest.raises(InvalidInputError, match="at least 8 prompts"):
        make_splits(small, [0])


def test_a_pool_without_gold_is_refused():
    """Nothing could be simulated."""
    with pytest.raises(InvalidInputError, match="gold"):
        make_splits(CandidatePool(np.ones((40, 1)), np.arange(40) // 5), [0])


def test_sizes_follow_the_pool(pool):
    """Ten responses: tens of ten, and choices of up to eight."""
    assert size_of_tens(pool) == 10
    assert sizes_of_choice(pool) == (2, 4, 8)
