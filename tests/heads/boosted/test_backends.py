"""LightGBM and XGBoost grow trees on gradients they are handed."""

import numpy as np
import pytest

from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import HeadState
from embrm.heads.boosted._growing import TreePlan
from embrm.heads.boosted.binned_items import (
    LightGBMForest,
    LightGBMGrower,
    XGBoostForest,
    XGBoostGrower,
    bin_with_lightgbm,
    bin_with_xgboost,
    read_forest,
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
BACKENDS = {
    "lightgbm": (bin_with_lightgbm, LightGBMGrower),
    "xgboost": (bin_with_xgboost, XGBoostGrower),
}


@pytest.fixture(params=BACKENDS)
def grow(request):
    """Grow trees of one library on forty items of two kinds."""
    make_bins, make_grower = BACKENDS[request.param]

    def run(n_trees):
        items = np.repeat([[0.0], [1.0]], 20, axis=0)
        grower = make_grower(make_bins(items, 8), PLAN)
        gradient = np.repeat([1.0, -1.0], 20)
        for _ in range(n_trees):
            assert not grower.step(lambda _: (gradient, np.full(40, 0.25)))
        return items, grower

    return run


def test_a_leaf_is_a_shrunken_newton_step(grow):
    """-learning_rate * gradient / (hessian + l2), by leaf."""
    items, grower = grow(1)
    step = 0.5 * 20 / (20 * 0.25 + 1)
    scores = grower.forest(1)(items)
    np.testing.assert_allclose(scores, np.repeat([-step, step], 20), rtol=1e-6)


def test_a_forest_of_the_first_trees_leaves_the_later_out(grow):
    """Two steps are twice one step where gradients are constant."""
    items, grower = grow(3)
    one, two = (grower.forest(n)(items) for n in (1, 2))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-6)


def test_scores_survive_bytes(grow):
    """Bit for bit."""
    items, grower = grow(3)
    forest = grower.forest(3)
    again = type(forest)(forest.to_bytes())
    np.testing.assert_array_equal(again(items), forest(items))


@pytest.mark.parametrize(
    ("forest", "blob", "message"),
    [
        (LightGBMForest, b"tree\xff", "a LightGBM model text"),
        (XGBoostForest, b"tree", "an XGBoost model in UBJSON"),
    ],
)
def test_bytes_that_are_no_model_are_refused(forest, blob, message):
    """With what was expected, also where a state holds them."""
    with pytest.raises(IntegrityError, match=message):
        forest(blob)
    values = {"n_trees": 1, "backend": forest.backend}
    with pytest.raises(IntegrityError, match=message):
        read_forest(HeadState({}, values, {"forest": blob}))


def test_a_forest_of_an_unknown_backend_is_refused():
    """The list of backends is closed."""
    state = HeadState({}, {"n_trees": 1, "backend": "catboost"}, {"forest": b""})
    with pytest.raises(InvalidInputError, match="backend one of lightgbm, xgboost"):
        read_forest(state)


def test_equal_items_cannot_be_split():
    """LightGBM says that no item can be told from another."""
    grower = LightGBMGrower(bin_with_lightgbm(np.ones((10, 1)), 8), PLAN)
    assert grower.step(lambda _: (np.ones(10), np.ones(10)))


def test_equal_items_score_alike():
    """A tree of XGBoost that cannot split is one leaf."""
    items = np.ones((10, 1))
    grower = XGBoostGrower(bin_with_xgboost(items, 8), PLAN)
    assert not grower.step(lambda _: (np.repeat([1.0, -1.0], 5), np.ones(10)))
    np.testing.assert_allclose(grower.forest(1)(items), 0.0, atol=1e-6)
