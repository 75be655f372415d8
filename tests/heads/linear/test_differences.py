"""Differences on other scales are those that would have been made there."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.differences import Differences

SCALE = np.array([0.01, 1.0, 3.0, 200.0])


@pytest.fixture(params=[False, True], ids=["within prompts", "across prompts"])
def made(request):
    rng = np.random.default_rng(0)
    items, ids = rng.normal(size=(60, 4)) * SCALE, np.arange(60).reshape(-1, 2)
    prompts = rng.integers(0, 6, size=60)
    wins = make_comparisons(Pairs(items, ids, prompts), rng.random(30))
    groups = wins.groups if request.param else None
    return Differences.of(wins, None, groups), Differences.of(wins, SCALE, groups)


def test_a_change_of_scale_gives_what_that_scale_would(made):
    """Rows, root, what prompts are worth, and the Gram matrix that was known."""
    plain, scaled = made
    assert plain.gram.shape == (4, 4)
    changed = plain.divided(SCALE)
    assert changed.root == pytest.approx(scaled.root, rel=1e-5)
    np.testing.assert_allclose(changed.rows, scaled.rows, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(changed.gram, scaled.gram, rtol=1e-4, atol=1e-4)
    w = np.eye(4, dtype=np.float32)
    np.testing.assert_allclose(
        changed.between_prompts(w), scaled.between_prompts(w), rtol=1e-4, atol=1e-5
    )


def test_the_gram_matrix_is_the_plain_product(made):
    """Also with effects of prompts, whose columns are put beside."""
    for each in (made[1], made[1].with_effects(0.5)):
        basis = np.eye(each.n_weights, dtype=np.float32)
        columns = each.times(basis)
        wanted = columns.T @ (columns * each.weight[:, None])
        np.testing.assert_allclose(each.gram, wanted, rtol=1e-4, atol=1e-4)


def test_blocks_of_rows_are_small_for_many_columns(made):
    """So that BLAS takes one thread; what is gathered is the same in any blocks."""
    rng = np.random.default_rng(0)
    wide = Differences(
        rng.normal(size=(300, 2048)).astype(np.float32), np.ones(300), 1.0
    )
    for each in (*made, wide):
        weights = rng.normal(size=(each.n_weights, 5)).astype(np.float32)
        lengths = []

        def per_win(part, deltas, lengths=lengths):
            lengths.append(len(deltas))
            return np.tanh(deltas)

        found = each.through(weights, per_win)
        wanted = each.gather(np.tanh(each.times(weights)))
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)
        assert sum(lengths) == len(each.rows)
        assert max(lengths) * weights.size <= 2**19
