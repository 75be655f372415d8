"""CandidatePool: K responses for each prompt, ragged or not."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.pool import require_gold

prompt_lists = st.lists(st.integers(0, 4), min_size=1, max_size=25)


def make_pool(prompts: list[int]) -> CandidatePool:
    n_items = len(prompts)
    rng = np.random.default_rng(0)
    return CandidatePool(
        rng.normal(size=(n_items, 3)),
        prompts,
        gold=rng.integers(0, 3, n_items),
        texts=[(f"p{prompt}", f"r{i}") for i, prompt in enumerate(prompts)],
    )


@given(prompt_lists)
def test_same_prompt_ids_are_all_pairs_of_each_prompt(prompts):
    """Every unordered same-prompt pair stands once; brute force agrees."""
    expected = [
        [i, j]
        for i, j in itertools.combinations(range(len(prompts)), 2)
        if prompts[i] == prompts[j]
    ]
    got = make_pool(prompts).same_prompt_ids().tolist()
    assert sorted(got) == sorted(expected)


@given(prompt_lists)
def test_sizes_and_prompts_count_the_items(prompts):
    """prompts stand in order of appearance, sizes count their items."""
    pool = make_pool(prompts)
    order = list(dict.fromkeys(prompts))
    assert pool.prompts.tolist() == order
    assert pool.sizes.tolist() == [prompts.count(prompt) for prompt in order]


@given(prompt_lists)
def test_slicing_by_prompt_takes_its_items_and_all_that_belongs_to_them(prompts):
    """A sub-pool holds items, gold and texts of its prompts, nothing else."""
    pool = make_pool(prompts)
    wanted = prompts[0]
    part = pool[wanted]
    rows = [i for i, prompt in enumerate(prompts) if prompt == wanted]
    np.testing.assert_array_equal(part.items, pool.items[rows])
    np.testing.assert_array_equal(part.gold, pool.gold[rows])
    assert part.texts == [pool.texts[i] for i in rows]


def test_several_prompts_can_be_taken_at_once():
    """A sequence of prompt ids gives the pool of all of them."""
    pool = make_pool([0, 1, 2, 0])
    assert pool[[2, 0]].prompt_ids.tolist() == [2, 0, 0]
    assert len(pool[[]]) == 0


def test_a_prompt_with_adjacent_items_is_not_copied():
    """A run of rows is a view of the item matrix."""
    pool = make_pool([0, 0, 1, 1])
    assert np.shares_memory(pool[1].items, pool.items)


def test_pairs_share_items_and_prompt_ids():
    """pool.pairs makes Pairs over the same matrix."""
    pool = make_pool([0, 0, 1])
    pairs = pool.pairs([[0, 1]])
    assert pairs.items is pool.items
    assert pairs.groups.tolist() == [0]


def test_gold_labels_say_which_is_better():
    """1 if first is better, 0 if second, 0.5 if equal."""
    pool = CandidatePool(np.eye(3), [0, 0, 0], gold=[1.0, 0.0, 1.0])
    labels = pool.gold_labels([[0, 1], [1, 2], [0, 2]])
    assert labels.tolist() == [1.0, 0.0, 0.5]


def test_repr_says_what_is_inside():
    """Counts, K or its range, d, dtype, and whether gold and texts are there."""
    assert (
        repr(make_pool([0, 0, 1]))
        == "CandidatePool(2 prompts, 3 items, K=1..2, d=3, float64, gold, texts)"
    )
    assert "K=1," in repr(CandidatePool(np.eye(2), [0, 1]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gold": [1.0]}, r"3 finite gold scores.*shape \(1,\)"),
        ({"gold": [1.0, np.nan, 0.0]}, "with 1 not finite"),
        ({"texts": [("p", "r")]}, "3 texts, one per item; got 1"),
    ],
)
def test_gold_and_texts_must_fit_the_items(arguments, message):
    """Lengths that differ and missing gold are refused."""
    with pytest.raises(InvalidInputError, match=message):
        CandidatePool(np.eye(3), [0, 0, 1], **arguments)


def test_an_unknown_prompt_is_named():
    """Asking for a prompt that is not there says which ones to choose from."""
    with pytest.raises(InvalidInputError, match=r"got 7.*pool\.prompts"):
        make_pool([0, 1]).rows(7)


def test_gold_labels_without_gold_is_an_error():
    """The error says how to give gold."""
    with pytest.raises(InvalidInputError, match="pass gold"):
        CandidatePool(np.eye(2), [0, 0]).gold_labels([[0, 1]])


@given(prompt_lists)
def test_order_and_starts_list_the_items_prompt_by_prompt(prompts):
    """Rows of prompt p are order[starts[p]:starts[p + 1]], ascending."""
    pool = make_pool(prompts)
    for number, prompt in enumerate(pool.prompts):
        rows = pool.order[pool.starts[number] : pool.starts[number + 1]]
        assert rows.tolist() == [i for i, p in enumerate(prompts) if p == prompt]


def test_a_pool_without_gold_is_an_error():
    """The message says who needs it."""
    pool = CandidatePool(np.ones((2, 1)), [0, 0])
    with pytest.raises(
        InvalidInputError, match="which calibrate needs; got a pool with"
    ):
        require_gold(pool, "calibrate")
