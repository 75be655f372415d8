"""Blocks are taken where they lower the held-out loss, and only there."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.cyclic.block_search import MODERATE, NO_BLOCKS, search_blocks
from embrm.heads.cyclic.skew_training import largest_useful_penalty
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import make_problem


def search(pairs, y, *, n_blocks=None, beta=None):
    """Search on pairs, beside the linear head of penalty 1."""
    comparisons = make_comparisons(pairs, y)
    problem = make_problem(comparisons)
    start = np.zeros(len(problem.curvature))
    linear, _, _ = minimise(problem, 1.0, start, tol=1e-8, max_iter=100)
    found = search_blocks(
        comparisons, problem, linear, alpha=1.0, n_blocks=n_blocks, beta=beta
    )
    return found, largest_useful_penalty(problem, linear)


@pytest.fixture
def cyclic():
    """Pairs whose labels follow the turn from one item to the other in a plane."""
    rng = np.random.default_rng(0)
    items, ids = rng.normal(size=(160, 4)), np.arange(160).reshape(80, 2)
    one, two = items[ids[:, 0]], items[ids[:, 1]]
    return Pairs(items, ids), one[:, 0] * two[:, 1] > one[:, 1] * two[:, 0]


def test_transitive_labels_take_no_block(make_preferences):
    """The linear head is kept, and its loss is the first row."""
    data = make_preferences(n_prompts=30, error_rate=0.2)
    found, _ = search(data.pairs, data.y)
    assert (found.n_blocks, found.beta) == (0, np.inf)
    assert found.held_out_loss[0, 0] == 0
    assert set(found.held_out_loss[1:, 0]) == {1}


def test_cyclic_labels_take_blocks(cyclic):
    """And the loss in the table falls."""
    found, _ = search(*cyclic)
    losses = found.held_out_loss
    assert found.n_blocks >= 1
    assert losses[1:, 2].min() < losses[0, 2] - 0.1


def test_a_given_number_of_blocks_leaves_the_penalty_to_choose(cyclic):
    """The one of least held-out loss."""
    found, largest = search(*cyclic, n_blocks=2)
    table = found.held_out_loss[1:]
    assert found.n_blocks == 2
    assert found.beta == table[np.argmin(table[:, 2]), 1] < largest


def test_all_given_is_all_taken(cyclic):
    """Nothing is tried; there are no more blocks than planes."""
    found, _ = search(*cyclic, n_blocks=99, beta=3.0)
    assert (found.n_blocks, found.beta) == (2, 3.0)
    assert found.held_out_loss.size == 0


def test_too_few_wins_take_a_moderate_penalty(cyclic):
    """Given a number; else no blocks."""
    pairs, y = cyclic
    found, largest = search(pairs[:9], y[:9], n_blocks=1)
    assert found.beta == pytest.approx(MODERATE * largest)
    assert search(pairs[:9], y[:9])[0] is NO_BLOCKS


def test_one_dimension_has_no_planes():
    """A skew form needs two."""
    items = np.arange(60.0)[:, None]
    found, _ = search(Pairs(items, np.arange(60).reshape(30, 2)), None, n_blocks=1)
    assert found is NO_BLOCKS


def test_ties_alone_have_no_blocks(cyclic):
    """Their gradient is zero."""
    pairs, _ = cyclic
    assert search(pairs, np.full(len(pairs), 0.5), n_blocks=1)[0] is NO_BLOCKS
