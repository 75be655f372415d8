"""A fit on differences of wins: the same minimum as one on the items."""

from dataclasses import replace

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads import LinearBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import _fit as fit
from embrm.heads.linear import row_problem
from embrm.heads.linear._operators import DenseOperator
from embrm.heads.linear.problem import LinearProblem
from embrm.heads.linear.row_problem import RowProblem
from embrm.heads.win_loss import FlippedLoss, LogisticLoss


def make_data(offset=0.0, dtype=np.float32, n_pairs=400):
    """Draw pairs of items that occur once each, in nine dimensions."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(2 * n_pairs, 9)) * np.linspace(0.1, 3, 9) + offset
    ids = np.arange(2 * n_pairs).reshape(-1, 2)
    delta = (items[::2] - items[1::2]).sum(axis=1) / 3
    y = delta + rng.logistic(size=n_pairs) > 0
    return Pairs(items.astype(dtype), ids), y


def make_decaying(seed, n_pairs, d):
    """Draw pairs of float32 items with a decaying spectrum, and strong labels."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(2 * n_pairs, d)) / np.sqrt(1 + np.arange(d))
    delta = 3 * (items[::2] - items[1::2]) @ rng.normal(size=d)
    y = delta + rng.logistic(size=n_pairs) > 0
    return Pairs(items.astype(np.float32), np.arange(2 * n_pairs).reshape(-1, 2)), y


@pytest.fixture
def wins():
    """Weighted wins with margins, between float64 items."""
    pairs, y = make_data(dtype=np.float64)
    rng = np.random.default_rng(1)
    n = len(y)
    return make_comparisons(pairs, y, rng.uniform(0.5, 3, n), rng.uniform(0, 2, n))


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("block_bytes", [300, 2**21])
def test_value_gradient_and_curvature_are_those_of_the_items(
    wins, flipped, block_bytes, monkeypatch
):
    """In blocks of four rows or all at once, under losses that differ by win."""
    monkeypatch.setattr(row_problem, "_BLOCK_BYTES", block_bytes)
    loss = LogisticLoss()
    if flipped:
        loss = FlippedLoss(loss, np.linspace(0, 0.3, len(wins)))
    rows = RowProblem.of(wins, None, loss)
    whole = replace(LinearProblem.of(DenseOperator(wins.items), wins), loss=loss)
    w, v = np.random.default_rng(2).normal(size=(2, 9))
    value, gradient, edge = rows.evaluate(w)
    wanted = whole.evaluate(w)
    assert value == pytest.approx(wanted[0])
    np.testing.assert_allclose(gradient, wanted[1])
    np.testing.assert_allclose(edge, wanted[2])
    np.testing.assert_allclose(
        rows.hessian_product(v, edge), whole.hessian_product(v, edge)
    )
    np.testing.assert_allclose(
        rows.diagonal(), np.diagonal(whole.gram(wins.weight)) / 4
    )


@pytest.mark.parametrize("offset", [0.0, 3000.0])
@pytest.mark.parametrize("standardise", [False, True])
def test_the_minimum_is_that_of_a_fit_with_a_posterior(offset, standardise):
    """Which works on the items; near the origin and far from it."""
    pairs, y = make_data(offset)
    one, other = (
        LinearBradleyTerry(0.5, standardise=standardise, posterior=kept, tol=1e-9).fit(
            pairs, y
        )
        for kept in (False, True)
    )
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(one.mean_, other.mean_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("alpha", [1e-3, 10.0])
def test_a_hessian_made_after_some_products_does_not_move_the_minimum(
    alpha, monkeypatch
):
    """Whether columns' scales are enough or not, the gradient vanishes."""
    pairs, y = make_data()
    plain = LinearBradleyTerry(alpha, posterior=False).fit(pairs, y)
    monkeypatch.setattr(fit, "_products_instead", lambda *_: 5)
    made = []
    hessian = RowProblem.sampled_hessian
    monkeypatch.setattr(
        RowProblem, "sampled_hessian", lambda self: made.append(1) or hessian(self)
    )
    switched = LinearBradleyTerry(alpha, posterior=False).fit(pairs, y)
    assert made
    np.testing.assert_allclose(switched.coef_, plain.coef_, rtol=1e-5, atol=1e-7)


def test_differences_are_formed_where_they_are_no_larger_than_the_items(monkeypatch):
    """Neither of items in many pairs, nor above a size."""
    pairs, y = make_data()
    wins = make_comparisons(pairs, y)
    assert RowProblem.of(wins, None, LogisticLoss()) is not None
    often = np.stack(np.triu_indices(20, 1), axis=1)
    many = make_comparisons(Pairs(pairs.items, often))
    assert RowProblem.of(many, None, LogisticLoss()) is None
    monkeypatch.setattr(row_problem, "_LARGEST_ROWS", 1000)
    assert RowProblem.of(wins, None, LogisticLoss()) is None


def spoilt(pairs):
    """Shuffle the rows, and add an equal row and one that is in no pair."""
    n, rng = len(pairs.items), np.random.default_rng(3)
    ids = pairs.ids.copy()
    ids[7, 0] = n
    items = np.vstack([pairs.items, pairs.items[pairs.ids[7, 0]], pairs.items[0] + 1])
    place = rng.permutation(n + 2)
    shuffled = np.empty_like(items)
    shuffled[place] = items
    return Pairs(shuffled, place[ids])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neither_the_order_of_rows_nor_equal_or_unused_ones_matter(dtype):
    """Bit for bit, though items are not copied into an order of their own."""
    pairs, y = make_data(offset=2.0, dtype=dtype)
    wanted = LinearBradleyTerry(0.5, posterior=False).fit(pairs, y)
    found = LinearBradleyTerry(0.5, posterior=False).fit(spoilt(pairs), y)
    copied = make_comparisons(pairs, y)
    made = LinearBradleyTerry(0.5, posterior=False).fit_comparisons(copied)
    for other in (found, made):
        np.testing.assert_array_equal(other.coef_, wanted.coef_)
        np.testing.assert_array_equal(other.mean_, wanted.mean_)
    np.testing.assert_allclose(wanted.mean_, pairs.items.mean(axis=0), rtol=1e-6)


def test_items_that_are_read_once_are_not_copied():
    """Wins between them are those between the items of a copy, in the same order."""
    pairs, y = make_data()
    left = make_comparisons(pairs, y, differences=True)
    copied = make_comparisons(pairs, y)
    assert np.shares_memory(left.items, pairs.items)
    for one, other in ((left.winner, copied.winner), (left.loser, copied.loser)):
        np.testing.assert_array_equal(left.items[one], copied.items[other])
    many = Pairs(pairs.items, np.stack(np.triu_indices(60, 1), axis=1))
    assert not np.shares_memory(
        make_comparisons(many, differences=True).items, pairs.items
    )


@pytest.mark.parametrize(("seed", "alpha"), [(0, 30.0), (2, 0.01)])
def test_rounding_of_float32_makes_no_steps_smaller(seed, alpha, monkeypatch):
    """Where F is flat to rounding its gradient decides, not a search along the step."""
    n_evaluated = []
    evaluate = RowProblem.evaluate
    monkeypatch.setattr(
        RowProblem, "evaluate", lambda *a: n_evaluated.append(1) or evaluate(*a)
    )
    pairs, y = make_decaying(seed, 3000, 9)
    LinearBradleyTerry(alpha, posterior=False).fit(pairs, y)
    assert len(n_evaluated) < 15
