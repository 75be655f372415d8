"""Splits by prompt, and two of every ten responses."""

import numpy as np
import pytest

from benchmarks.paper.pools import (
    KEPT,
    PoolFacts,
    TwoOfTen,
    make_splits,
    size_of_tens,
    sizes_of_choice,
    views_of,
)
from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import RankWindow


def test_ten_seeds_hold_out_every_prompt_once(pool):
    """No prompt is on both sides, and none is tested on twice."""
    splits = make_splits(pool, range(10))
    held_out = [split.test.prompts.tolist() for split in splits]
    assert sorted(np.concatenate(held_out)) == sorted(pool.prompts)
    for split, test in zip(splits, held_out, strict=True):
        assert len(test) == 2
        assert set(split.train.prompts) == set(pool.prompts) - set(test)


def test_ten_more_seeds_deal_anew(pool):
    """They too hold out every prompt once, in other company."""
    first, second = (
        [frozenset(s.test.prompts.tolist()) for s in make_splits(pool, seeds)]
        for seeds in (range(10), range(10, 20))
    )
    assert frozenset().union(*second) == set(pool.prompts)
    assert set(first) != set(second)


def test_views_are_of_the_same_items(pool):
    """Style features need texts; both have a block of each."""
    assert list(views_of(pool)) == ["vectors"]
    texts = [("Hi", "x" * n) for n in range(1, 201)]
    views = views_of(CandidatePool(pool.items, pool.prompt_ids, pool.gold, texts))
    assert {name: view.items.shape[1] for name, view in views.items()} == {
        "vectors": 4,
        "style": 16,
        "vectors and style": 20,
    }
    np.testing.assert_array_equal(views["vectors and style"].items[:, :4], pool.items)
    splits = [make_splits(view, [3])[0] for view in views.values()]
    assert len({tuple(split.test.gold) for split in splits}) == 1


def test_facts_of_a_pool(pool):
    """Gold that has nothing to do with prompts differs little between them."""
    facts = PoolFacts.of(pool, "pool")
    assert (facts.n_prompts, facts.n_items, facts.d) == (20, 200, 4)
    assert facts.between_prompts == pytest.approx(0.1, abs=0.08)
    assert np.isnan(facts.length_orders)
    assert facts.at_limits == 2 / 200


def test_length_is_measured_on_pairs_of_one_prompt():
    """Longer is better in one prompt, and worse in none of the others."""
    texts = [("a", "x"), ("a", "xx"), ("b", "xxxx"), ("b", "yyyy")]
    pool = CandidatePool(np.eye(4), ["a", "a", "b", "b"], [0, 1, 5, 6], texts)
    assert PoolFacts.of(pool, "").length_orders == 0.75


def test_more_seeds_leave_the_first_splits_as_they_are(pool):
    """A study with more seeds goes on from the cells of one with fewer."""
    few, many = make_splits(pool, range(1)), make_splits(pool, range(2))
    np.testing.assert_array_equal(few[0].test.prompts, many[0].test.prompts)


@pytest.mark.parametrize("shape", [(19, 10), (30, 3)])
def test_a_pool_that_is_too_small_is_refused(shape):
    """It says how large one must be."""
    n = shape[0] * shape[1]
    small = CandidatePool(
        np.ones((n, 1)), np.repeat(np.arange(shape[0]), shape[1]), gold=np.arange(n)
    )
    with pytest.raises(InvalidInputError, match="at least 20 prompts"):
        make_splits(small, [0])


def test_a_pool_without_gold_is_refused():
    """Nothing could be simulated."""
    with pytest.raises(InvalidInputError, match="gold"):
        make_splits(CandidatePool(np.ones((40, 1)), np.arange(40) // 5), [0])


def test_sizes_follow_the_pool(pool):
    """Ten responses: tens of ten, and choices of up to eight."""
    assert size_of_tens(pool) == 10
    assert sizes_of_choice(pool) == (2, 4, 8)


@pytest.fixture
def ragged():
    """Prompts with 25, 10, 9 and 30 responses, in mixed order."""
    rng = np.random.default_rng(0)
    prompts = rng.permutation(np.repeat(np.arange(4), [25, 10, 9, 30]))
    n = len(prompts)
    return CandidatePool(np.ones((n, 1)), prompts, gold=rng.permutation(n) * 1.0)


def _ranks(pool, rows):
    """Rank by gold of each row among all responses to its prompt."""
    gold, prompts = pool.gold, pool.prompt_ids
    return np.array([(gold[prompts == prompts[r]] < gold[r]).sum() for r in rows])


@pytest.mark.parametrize(("kept", "ranks"), [("middle", (4, 5)), ("ends", (0, 9))])
def test_of_one_ten_the_same_pair_as_of_a_rank_window(pool, kept, ranks):
    """With ten responses to every prompt, the paper's stress in both spellings."""
    ours = TwoOfTen(kept).draw(pool, 20, random_state=0)
    theirs = RankWindow(*ranks).draw(pool, 20, random_state=0)
    assert {frozenset(pair) for pair in ours.tolist()} == {
        frozenset(pair) for pair in theirs.tolist()
    }


def test_pairs_within_are_as_many_as_tens(ragged):
    """25, 10, 9 and 30 responses have 2, 1, 0 and 3 tens, each response in one."""
    for kept in KEPT:
        design = TwoOfTen(kept)
        assert design.max_pairs(ragged) == 6
        ids = design.draw(ragged, 6, random_state=0)
        assert len(np.unique(ids)) == 12
        prompts = ragged.prompt_ids[ids]
        assert (prompts[:, 0] == prompts[:, 1]).all()
        assert 2 not in prompts


def test_pairs_across_are_of_the_kept_responses(ragged):
    """Other prompts, but the same twelve responses."""
    kept = TwoOfTen("ends").draw(ragged, 6, random_state=0)
    across = TwoOfTen("ends", across=True)
    possible = across.max_pairs(ragged)
    assert possible == (12 * 11 - (4 * 3 + 2 * 1 + 6 * 5)) // 2
    ids = across.draw(ragged, possible, random_state=1)
    assert set(ids.ravel()) == set(kept.ravel())
    prompts = ragged.prompt_ids[ids]
    assert (prompts[:, 0] != prompts[:, 1]).all()


def test_gold_differs_least_in_the_middle_and_most_at_the_ends(ragged):
    """Two at random are between the two."""
    distance = [
        np.abs(np.diff(ragged.gold[TwoOfTen(kept).draw(ragged, 6)])).mean()
        for kept in KEPT
    ]
    assert distance == sorted(distance)


def test_the_seed_deals_the_tens(ragged):
    """Another seed, other tens; the same seed, the same ones."""
    drawn = [
        sorted(TwoOfTen("ends", seed=seed).draw(ragged, 6, random_state=0).ravel())
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_odd_size_has_a_middle(pool):
    """Of five, ranks 2 and 3; of ten responses there are two such fives."""
    design = TwoOfTen("middle", size=5)
    assert design.max_pairs(pool) == 40
    assert len(_ranks(pool, design.draw(pool, 40).ravel())) == 80


def test_pairs_may_be_drawn_again(ragged):
    """With replacement, there is no largest budget."""
    design = TwoOfTen("middle", replacement=True)
    assert design.draw(ragged, 50, random_state=0).shape == (50, 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda pool: TwoOfTen("best"), "kept"),
        (lambda pool: TwoOfTen("ends", size=1), "size"),
        (lambda pool: TwoOfTen("ends").draw(pool, 21), "at most 20"),
        (lambda pool: TwoOfTen("ends", size=11).draw(pool, 1), "can form a pair"),
    ],
)
def test_what_cannot_be_drawn_is_refused(pool, make, words):
    """The message names what is wrong."""
    with pytest.raises(InvalidInputError, match=words):
        make(pool)
