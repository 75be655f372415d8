"""XGBoost grows trees on gradients it is handed."""

import numpy as np
import pytest

from embrm.exceptions import IntegrityError
from embrm.heads.boosted.growing import TreePlan
from embrm.heads.boosted.xgboost_backend import (
    XGBoostForest,
    XGBoostGrower,
    bin_with_xgboost,
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
    grower = XGBoostGrower(bin_with_xgboost(items, 8), PLAN)
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
    again = XGBoostForest.from_bytes(forest.to_bytes())
    np.testing.assert_array_equal(again(items), forest(items))


def test_bytes_that_are_no_model_are_refused():
    """With what was expected."""
    with pytest.raises(IntegrityError, match="an XGBoost model in UBJSON"):
        XGBoostForest.from_bytes(b"tree")


def test_equal_items_score_alike():
    """A tree that cannot split is one leaf."""
    items = np.ones((10, 1))
    grower = XGBoostGrower(bin_with_xgboost(items, 8), PLAN)
    assert not grower.step(lambda _: (np.repeat([1.0, -1.0], 5), np.ones(10)))
    np.testing.assert_allclose(grower.forest(1)(items), 0.0, atol=1e-6)
