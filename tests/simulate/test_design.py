"""What every pairing design keeps to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from embrm.simulate.design import as_design

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
@settings(deadline=None, max_examples=150)
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
