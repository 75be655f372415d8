"""Scale and penalty are chosen together, on the same held-out wins."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import in_place_problem, prior_search
from embrm.heads.linear.plan import FitPlan
from embrm.heads.linear.prior_search import find_prior

PLAN = FitPlan(None, 0.0, None, "logit", None, 0.0, None, False, 1e-8, 100)


def make(widths, *, ruled_by=0, n=600, seed=0):
    """Draw wins that one column decides, among columns of some widths."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(n, len(widths))).astype(np.float32)
    gold = 3 * items[:, ruled_by]
    ids = rng.permutation(n).reshape(-1, 2)
    y = rng.random(len(ids)) < 1 / (1 + np.exp(gold[ids[:, 1]] - gold[ids[:, 0]]))
    pairs = Pairs(items * np.asarray(widths, np.float32), ids, np.arange(n) // 2)
    return make_comparisons(pairs, y)


def test_columns_of_different_width_are_standardised():
    """A narrow column may carry the reward."""
    comparisons = make([0.1, 1.0, 1.0, 1.0])
    scale = find_prior(comparisons, PLAN).scale
    np.testing.assert_allclose(scale, comparisons.items.std(axis=0), rtol=1e-5)


def test_a_column_that_rules_is_left_as_it_is():
    """Who made it wider than all others together chose its scale."""
    scale = find_prior(make([9.0, 1.0, 1.0]), PLAN).scale
    assert scale is None


def test_columns_of_one_width_are_searched_once(monkeypatch):
    """To standardise them or not is the same."""
    made = []
    search = prior_search.search_alpha
    monkeypatch.setattr(
        prior_search, "search_alpha", lambda *a, **k: made.append(1) or search(*a, **k)
    )
    find_prior(make([1.0, 1.0, 1.0]), PLAN)
    assert len(made) == 1
    find_prior(make([1.0, 2.0, 2.0]), PLAN)
    assert len(made) == 3


@pytest.mark.parametrize("widths", [[1.0, 1.0, 1.0], [0.2, 1.0, 3.0, 4.0]])
def test_a_rough_search_in_place_chooses_the_same(monkeypatch, widths):
    """Float32 and a shared Hessian do not change the penalty, nor the scale."""
    comparisons = make(widths)
    exact = find_prior(comparisons, PLAN)
    monkeypatch.setattr(in_place_problem, "_WORTH_LEAVING", 0)
    rough = find_prior(comparisons, PLAN)
    np.testing.assert_array_equal(rough.scale, exact.scale)
    assert rough.search.alpha == pytest.approx(exact.search.alpha, rel=1e-4)
    np.testing.assert_allclose(
        rough.search.held_out_loss, exact.search.held_out_loss, rtol=1e-3
    )
