"""RankWindow pairs the two responses of given gold ranks."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import RankWindow, SamePrompt


def gold_ranks(pool, ids):
    """Rank of each item among the responses to its prompt, 0 for the lowest gold."""
    ranks = np.empty(len(pool), dtype=int)
    for prompt in pool.prompts:
        rows = pool.rows(prompt)
        ranks[rows[np.argsort(pool.gold[rows])]] = np.arange(len(rows))
    return np.sort(ranks[ids], axis=1)


@pytest.mark.parametrize(("low", "high"), [(4, 5), (0, 9), (2, -3), (-2, -1)])
def test_pairs_have_the_two_ranks(pool, low, high):
    """The paper's diversity stress: {4, 5} and {0, 9} of ten."""
    ids = RankWindow(low, high).draw(pool, 60, random_state=0)
    assert (gold_ranks(pool, ids) == [low % 10, high % 10]).all()
    assert (pool.prompt_ids[ids[:, 0]] == pool.prompt_ids[ids[:, 1]]).all()


def test_each_prompt_has_one_pair(pool):
    """So that the budget is the number of prompts."""
    assert RankWindow(4, 5).max_pairs(pool) == 60


def test_extreme_ranks_differ_more_than_middling_ones(pool):
    """Random pairs lie between the two."""

    def spread(design):
        ids = design.draw(pool, 60, random_state=0)
        return np.abs(np.diff(pool.gold[ids], axis=1)).mean()

    assert spread(RankWindow(4, 5)) < spread(SamePrompt()) < spread(RankWindow(0, 9))


def test_quantiles_adapt_to_the_size_of_a_prompt(ragged):
    """0.0 is the worst and 1.0 the best, whatever K; a prompt of one is left out."""
    assert RankWindow(0.0, 1.0).max_pairs(ragged) == 7
    ids = RankWindow(0.0, 1.0).draw(ragged, 7, random_state=0)
    for pair in ids:
        gold = ragged.gold[ragged.rows(ragged.prompt_ids[pair[0]])]
        assert set(ragged.gold[pair]) == {gold.min(), gold.max()}


def test_prompts_too_small_for_a_rank_are_left_out(ragged):
    """Rank 5 needs six responses: three prompts of eight have them."""
    assert RankWindow(0, 5).max_pairs(ragged) == 3


def test_equal_gold_ranks_in_the_order_of_the_pool():
    """So that ranks are two different items."""
    pool = CandidatePool(np.ones((3, 1)), [0, 0, 0], gold=[1.0, 1.0, 1.0])
    assert sorted(RankWindow(0, 2).draw(pool, 1)[0].tolist()) == [0, 2]


@pytest.mark.parametrize("ranks", [(5, 4), (3, 3), (-1, -2), (0.7, 0.2)])
def test_ranks_in_the_wrong_order_are_an_error(ranks):
    """Where no pool could have them."""
    with pytest.raises(InvalidInputError, match="expected a rank low below the rank"):
        RankWindow(*ranks)


@pytest.mark.parametrize("rank", ["worst", True, None])
def test_a_rank_that_is_no_number_is_an_error(rank):
    """Ints are ranks and floats are quantiles."""
    with pytest.raises(InvalidInputError, match=r"low as an int .a rank. or a float"):
        RankWindow(rank, 9)


def test_a_quantile_beyond_one_is_an_error():
    """9.0 is probably meant to be 9."""
    with pytest.raises(InvalidInputError, match=r"expected quantile high in \[0, 1\]"):
        RankWindow(0, 9.0)


def test_a_pool_without_gold_is_an_error(pool):
    """Ranks are by gold."""
    without = CandidatePool(pool.items, pool.prompt_ids)
    with pytest.raises(
        InvalidInputError, match=r"gold scores, which RankWindow\(low=0"
    ):
        RankWindow(0, 9).draw(without, 1)
