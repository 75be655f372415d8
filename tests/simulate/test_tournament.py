"""A tournament is a knock-out, decided by gold."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import SamePrompt, Tournament


def one_prompt(n_responses, seed=0):
    gold = np.random.default_rng(seed).normal(size=n_responses)
    return CandidatePool(np.ones((n_responses, 1)), [0] * n_responses, gold=gold)


@pytest.mark.parametrize("n_responses", [2, 3, 5, 8, 13])
def test_all_but_the_winner_lose_once(n_responses):
    """K - 1 matches, whether or not K is a power of two."""
    pool = one_prompt(n_responses)
    ids = Tournament().draw(pool, n_responses - 1, random_state=1)
    losers = np.where(pool.gold[ids[:, 0]] < pool.gold[ids[:, 1]], *ids.T)
    assert sorted([*losers, int(pool.gold.argmax())]) == list(range(n_responses))


def test_whoever_lost_plays_no_more():
    """Later matches are among those who have not lost yet."""
    pool = one_prompt(8)
    out = set()
    for pair in Tournament().draw(pool, 7, random_state=2).tolist():
        assert out.isdisjoint(pair)
        out.add(min(pair, key=lambda row: pool.gold[row]))


def test_the_last_match_is_the_final():
    """The best response is in it."""
    pool = one_prompt(8)
    assert pool.gold.argmax() in Tournament().draw(pool, 7, random_state=3)[-1]


def test_the_bracket_is_random():
    """The first match is between any two responses."""
    pool = one_prompt(4)
    firsts = {
        frozenset(Tournament().draw(pool, 1, random_state=seed)[0].tolist())
        for seed in range(60)
    }
    assert len(firsts) == 6


def test_tournaments_meet_good_responses_more_often(pool):
    """Which is what they are for."""

    def mean_gold(design):
        return pool.gold[design.draw(pool, 540, random_state=0)].mean()

    assert mean_gold(Tournament()) > mean_gold(SamePrompt()) + 0.2


def test_matches_of_a_prompt_are_adjacent(ragged):
    """Prompt by prompt, in random order."""
    ids = Tournament().draw(ragged, 28, random_state=0)
    prompts = ragged.prompt_ids[ids[:, 0]]
    assert (prompts[1:] != prompts[:-1]).sum() == len(np.unique(prompts)) - 1 == 6


def test_equal_gold_is_no_endless_tournament():
    """One of the two goes on all the same."""
    pool = CandidatePool(np.ones((6, 1)), [0] * 6, gold=np.zeros(6))
    assert len(Tournament().draw(pool, 5, random_state=0)) == 5


def test_a_pool_without_gold_is_an_error(pool):
    """Someone has to win."""
    without = CandidatePool(pool.items, pool.prompt_ids)
    with pytest.raises(InvalidInputError, match=r"gold scores, which Tournament"):
        Tournament().draw(without, 1)
