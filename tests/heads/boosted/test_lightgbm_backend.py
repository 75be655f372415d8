"""LightGBM grows trees on gradients it is handed."""

import numpy as np
import pytest

from embrm.exceptions import IntegrityError
from embrm.heads.boosted.growing import TreePlan
from embrm.heads.boosted.lightgbm_backend import (
    LightGBMForest,
    LightGBMGrower,
    bin_with_lightgbm,
)

PLAN = TreePlan(
    learning_rate=0.5,
    max_leaves=2,
    min_hessian=0.5,
    l2=1.0,
    feature_fraction=1.0,
    item_fraction=1.0,
    seed=0,
)


def grow(n_trees):
    items = np.repeat([[0.0], [1.0]], 20, axis=0)
    grower = LightGBMGrower(bin_with_lightgbm(items, 8), PLAN)
    pull = np.repeat([1.0, -1.0], 20)
    for _ in range(n_trees):
        assert not grower.step(lambda _: (pull, np.full(40, 0.25)))
    return items, grower


def test_a_leaf_is_a_shrunken_newton_step():
    """-learning_rate * gradient / (hessian + l2), by leaf."""
    items, grower = grow(1)
    step = 0.5 * 20 / (20 * 0.25 + 1)
    scores = grower.forest(1)(items)
    np.testing.assert_allclose(scores, np.repeat([-step, step], 20), rtol=1e-6)


def test_a_forest_of_the_first_trees_leaves_the_later_out():
    """Two steps are twice one step where gradients are constant."""
    items, grower = grow(3)
    one, two = (grower.forest(n)(items) for n in (1, 2))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-6)


def test_scores_survive_bytes():
    """Bit for bit."""
    items, grower = grow(3)
    forest = grower.forest(3)
    again = LightGBMForest.from_bytes(forest.to_bytes())
    np.testing.assert_array_equal(again(items), forest(items))


def test_bytes_that_are_no_model_are_refused():
    """With what was expected."""
    with pytest.raises(IntegrityError, match="a LightGBM model text"):
        LightGBMForest.from_bytes(b"tree\xff")


def test_equal_items_cannot_be_split():
    """The grower says that no item can be told from another."""
    grower = LightGBMGrower(bin_with_lightgbm(np.ones((10, 1)), 8), PLAN)
    assert grower.step(lambda _: (np.ones(10), np.ones(10)))
