"""Pairs and prompt vectors become wins that know their prompts."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads.rated.prompted_wins import make_prompted_wins


def test_every_item_keeps_its_prompt():
    """Through reordering, and with prompts of equal vectors made one."""
    rng = np.random.default_rng(0)
    items, prompt = rng.normal(size=(12, 3)), np.arange(12) // 3
    vectors = rng.normal(size=(4, 2))
    vectors[3] = vectors[1]
    ids = np.array([[0, 1], [4, 3], [8, 7], [11, 10], [0, 2]])
    wins, prompts, row = make_prompted_wins(Pairs(items, ids, prompt), vectors)
    assert len(prompts) == 3
    for item, own in zip(wins.items, prompts[row], strict=True):
        at = int(np.flatnonzero((items == item).all(axis=1))[0])
        np.testing.assert_array_equal(own, vectors[prompt[at]])


def test_equal_items_of_different_prompts_stay_apart():
    """They may deserve different rewards."""
    pairs = Pairs(np.ones((2, 3)), [[0, 1]], [0, 1])
    wins, _, _ = make_prompted_wins(pairs, np.eye(2))
    assert len(wins.items) == 2


def test_half_precision_is_taken():
    """Of items and of prompts."""
    pairs = Pairs(np.eye(2, dtype=np.float16), [[0, 1]], [0, 0])
    wins, prompts, _ = make_prompted_wins(pairs, np.ones((1, 2), dtype=np.float16))
    assert wins.items.dtype == np.float32
    assert prompts.dtype == np.float64


@pytest.mark.parametrize(
    ("prompt_ids", "message"),
    [
        (None, "integer prompt_ids.*got none"),
        (["a", "b"], "integer prompt_ids.*got dtype <U1"),
        ([0, 7], r"prompt_ids in \[0, 3\).*got 7 at item 1"),
    ],
)
def test_prompt_ids_that_are_no_rows_are_refused(prompt_ids, message):
    """Words need numbers, numbers need vectors."""
    pairs = Pairs(np.eye(2), [[0, 1]], prompt_ids)
    with pytest.raises(InvalidInputError, match=message):
        make_prompted_wins(pairs, np.eye(3))


def test_dense_pairs_are_refused():
    """They do not say which prompt they answer."""
    with pytest.raises(InvalidInputError, match="Pairs with prompt_ids"):
        make_prompted_wins(np.ones((1, 2, 3)), np.eye(3))


def test_a_broken_prompt_vector_is_refused():
    """If it is used."""
    pairs = Pairs(np.eye(2), [[0, 1]], [0, 0])
    with pytest.raises(InvalidInputError, match="finite"):
        make_prompted_wins(pairs, [[np.nan]])
