"""Items binned once serve many fits, and give the same trees."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import BinnedItems, BoostedBradleyTerry, bin_items, head_spec

BACKENDS = ["lightgbm", "xgboost"]


def alone(backend="lightgbm", **params):
    """Trees without a linear part, quick to grow."""
    given = {"max_rounds": 15, "learning_rate": 0.2, "min_comparisons": 8.0}
    return BoostedBradleyTerry(
        backend, linear_start=False, random_state=0, **{**given, **params}
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_binning_beforehand_changes_nothing(make_preferences, backend):
    """Bins of the training items give the same bits as a fit that makes its own."""
    data = make_preferences()
    items = data.pairs.items
    within = alone(backend).fit(data.pairs, data.y)
    before = alone(backend, bins=bin_items(items, backend)).fit(data.pairs, data.y)
    np.testing.assert_array_equal(before.reward(items), within.reward(items))


@pytest.mark.parametrize("backend", BACKENDS)
def test_bins_serve_again_and_for_other_parameters(make_preferences, backend):
    """A fit leaves no trace in the bins."""
    data = make_preferences()
    items = data.pairs.items
    bins = bin_items(items, backend)
    first = alone(backend, bins=bins).fit(data.pairs, data.y)
    alone(backend, bins=bins, max_leaves=8, l2=0.0).fit(data.pairs, 1 - data.y)
    again = alone(backend, bins=bins).fit(data.pairs, data.y)
    np.testing.assert_array_equal(again.reward(items), first.reward(items))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_grid_bins_once(make_preferences, backend, monkeypatch):
    """Folds are found among the binned items; clones share the bins."""
    data = make_preferences()
    bins = bin_items(data.pairs.items, backend)
    monkeypatch.setattr("embrm.heads.boosted.bradley_terry.bin_distinct_items", None)
    grid = GridSearchCV(
        alone(backend, bins=bins), {"max_leaves": [2, 4]}, cv=3, error_score="raise"
    )
    grid.fit(data.pairs, data.y)
    assert grid.best_estimator_.bins is bins
    assert grid.best_estimator_.score(data.pairs, data.y) > 0.7


def test_float16_items_are_found(make_preferences):
    """As float32, which is what a head makes of them."""
    data = make_preferences()
    items = data.pairs.items.astype(np.float16)
    pairs = Pairs(items, data.pairs.ids, data.pairs.prompt_ids)
    head = alone(bins=bin_items(items)).fit(pairs, data.y)
    assert head.score(pairs, data.y) > 0.7


def test_find_returns_rows():
    """In the order that was asked for, negative zero included."""
    items = np.random.default_rng(0).normal(size=(30, 3))
    items[4, 1] = 0.0
    bins = bin_items(np.vstack([items, items]))
    asked = items[[4, 20, 3]].copy()
    asked[0, 1] = -0.0
    np.testing.assert_array_equal(bins.items[bins.find(asked)], asked)
    assert len(bins.items) == 30


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (np.ones((2, 3)), "2 of 2 items that are not among them"),
        (np.ones((2, 4)), "items of d = 4"),
        (np.ones((2, 3), dtype=np.float32), "float32"),
    ],
)
def test_items_that_were_not_binned_are_refused(asked, message):
    """With the fix: bin all items that will be fitted on."""
    bins = bin_items(np.random.default_rng(0).normal(size=(30, 3)))
    with pytest.raises(InvalidInputError, match=message):
        bins.find(asked)


def test_bins_of_another_backend_are_refused(make_preferences):
    """LightGBM cannot read bins of XGBoost."""
    data = make_preferences()
    bins = bin_items(data.pairs.items, "xgboost")
    with pytest.raises(InvalidInputError, match="bins of the backend 'lightgbm'"):
        alone(bins=bins).fit(data.pairs, data.y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(3), "catboost"), "backend: 'lightgbm' or 'xgboost'; got 'catboost'"),
        ((np.eye(3), "lightgbm", 1), "bins: an integer in"),
        ((np.eye(3), "lightgbm", 256), r"an integer in \[2, 255\]"),
        ((np.full((2, 2), np.nan),), "finite items"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    """Each with what it should be."""
    with pytest.raises(InvalidInputError, match=message):
        bin_items(*arguments)


def test_copies_share_the_bins():
    """So does scikit-learn's clone, which copies parameters deeply."""
    bins = bin_items(np.eye(3))
    assert copy.deepcopy(bins) is bins
    assert clone(alone(bins=bins)).bins is bins


@pytest.mark.parametrize("backend", BACKENDS)
def test_bins_travel_to_other_processes(backend):
    """They are made again there."""
    items = np.random.default_rng(0).normal(size=(30, 3))
    bins = bin_items(items, backend, 16)
    travelled = pickle.loads(pickle.dumps(bins))
    assert isinstance(travelled, BinnedItems)
    assert (
        repr(travelled)
        == repr(bins)
        == f"BinnedItems(30 items, d=3, 16 bins, {backend})"
    )
    np.testing.assert_array_equal(travelled.items, bins.items)


def test_bins_are_no_part_of_a_stored_head():
    """A spec takes plain data; the number of bins is."""
    with pytest.raises(InvalidInputError, match="parameter 'bins' that is plain data"):
        head_spec(BoostedBradleyTerry(bins=bin_items(np.eye(3))))
