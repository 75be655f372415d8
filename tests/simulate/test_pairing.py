"""Same-, cross- and mixed-prompt designs are uniform over the pairs they may draw."""

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.stats import chisquare

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import CrossPrompt, MixedPrompt, RankWindow, SamePrompt, Tournament
from embrm.simulate import pairing as pairing_module

TINY = CandidatePool(np.ones((7, 1)), ["a", "b", "a", "c", "a", "b", "d"])


def possible(pool, *, cross):
    """Enumerate the unordered pairs of a kind."""
    return [
        (i, j)
        for i, j in itertools.combinations(range(len(pool)), 2)
        if (pool.prompt_ids[i] != pool.prompt_ids[j]) == cross
    ]


def is_cross(pool, ids):
    return pool.prompt_ids[ids[:, 0]] != pool.prompt_ids[ids[:, 1]]


@pytest.mark.parametrize(("design", "cross"), [(SamePrompt(), 0), (CrossPrompt(), 1)])
def test_the_pairs_are_those_of_an_enumeration(design, cross, ragged):
    """All of them, and no others."""
    ids = design.draw(ragged, design.max_pairs(ragged), random_state=0)
    assert sorted(map(tuple, np.sort(ids, axis=1))) == possible(ragged, cross=cross)


@pytest.mark.parametrize(("design", "cross"), [(SamePrompt, 0), (CrossPrompt, 1)])
@pytest.mark.parametrize("replacement", [False, True])
def test_every_ordered_pair_is_equally_likely(design, cross, replacement):
    """By a chi-square test, in the first and the last pair of a draw of two."""
    pairs = possible(TINY, cross=cross)
    number = {pair: i for i, pair in enumerate(pairs + [p[::-1] for p in pairs])}
    rng, drawn = np.random.default_rng(2), design(replacement)
    draws = [drawn.draw(TINY, 2, rng) for _ in range(4000)]
    for place in (0, 1):
        counts = np.bincount(
            [number[tuple(ids[place])] for ids in draws], minlength=len(number)
        )
        assert chisquare(counts).pvalue > 0.001


def test_every_set_of_pairs_is_equally_likely():
    """Without replacement, three of the four same-prompt pairs of a pool."""
    rng = np.random.default_rng(3)
    pairs = possible(TINY, cross=0)
    left_out = [
        pairs.index(*(set(pairs) - set(map(tuple, np.sort(ids, axis=1)))))
        for ids in (SamePrompt().draw(TINY, 3, rng) for _ in range(2000))
    ]
    assert chisquare(np.bincount(left_out, minlength=4)).pvalue > 0.001


def test_pairs_are_in_random_order(large):
    """A prefix of a draw is spread over the whole pool."""
    first = SamePrompt().draw(large, 50_000, random_state=0)[:500]
    assert large.prompt_ids[first].mean() == pytest.approx(20_000, rel=0.06)


@pytest.mark.parametrize("design", [SamePrompt(), CrossPrompt()], ids=repr)
@pytest.mark.parametrize("n_responses", [10, 500])
def test_drawing_takes_memory_for_the_pairs_alone(design, n_responses):
    """However many pairs are possible: up to 499 million here."""
    n_prompts = 400_000 // n_responses
    pool = CandidatePool(
        np.broadcast_to(np.float16(0), (400_000, 4)),
        np.repeat(np.arange(n_prompts), n_responses),
    )
    tracemalloc.start()
    ids = design.draw(pool, 300_000, random_state=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids.nbytes == 16 * 300_000
    assert peak < 100 * 300_000


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_share_of_cross_prompt_pairs_is_exact(pool, share):
    """And same- and cross-prompt pairs are mixed."""
    ids = MixedPrompt(share).draw(pool, 200, random_state=0)
    assert is_cross(pool, ids).sum() == 200 * share
    assert is_cross(pool, ids[:100]).mean() == pytest.approx(share, abs=0.12)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 0.93, 1.0])
def test_the_budget_of_a_mixture_ends_with_its_scarcer_half(ragged, share):
    """One more pair would need a same- or a cross-prompt pair that is not there."""
    design = MixedPrompt(share)
    same, cross = SamePrompt().max_pairs(ragged), CrossPrompt().max_pairs(ragged)

    def fits(n):
        n_cross = int(share * n + 0.5)
        return n_cross <= cross and n - n_cross <= same

    most = design.max_pairs(ragged)
    assert fits(most)
    assert not any(fits(n) for n in range(most + 1, same + cross + 2))


def test_a_mixture_of_what_a_pool_lacks_is_an_error():
    """One prompt has no cross-prompt pair, with replacement neither."""
    pool = CandidatePool(np.ones((4, 1)), [0, 0, 0, 0])
    with pytest.raises(InvalidInputError, match=r"CrossPrompt\(replacement=True\) can"):
        MixedPrompt(0.4, replacement=True).draw(pool, 10)


@pytest.mark.parametrize("share", [-0.1, 1.5, "half", float("nan"), True])
def test_a_share_beyond_zero_and_one_is_an_error(share):
    """It is the share of cross-prompt pairs."""
    with pytest.raises(InvalidInputError, match=r"share of cross-prompt pairs in \[0"):
        MixedPrompt(share)


def test_the_module_names_every_design():
    """`embrm.simulate.pairing` holds all that can be drawn by."""
    assert all(hasattr(pairing_module, name) for name in pairing_module.__all__)
    assert {"KWise", "RankWindow", "Tournament"} < set(pairing_module.__all__)


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


def test_ranks_without_gold_are_an_error(pool):
    """Ranks are by gold."""
    without = CandidatePool(pool.items, pool.prompt_ids)
    with pytest.raises(
        InvalidInputError, match=r"gold scores, which RankWindow\(low=0"
    ):
        RankWindow(0, 9).draw(without, 1)


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


def test_a_tournament_without_gold_is_an_error(pool):
    """Someone has to win."""
    without = CandidatePool(pool.items, pool.prompt_ids)
    with pytest.raises(InvalidInputError, match=r"gold scores, which Tournament"):
        Tournament().draw(without, 1)
