"""Large item matrices are fitted where they lie, to the same weights."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads import LinearBradleyTerry, comparisons
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import _operators as operators
from embrm.heads.linear import problem
from embrm.heads.linear._operators import BlockedOperator
from embrm.heads.linear.design import Design, FitSettings
from embrm.heads.linear.problem import make_problem


@pytest.fixture
def all_are_large(monkeypatch):
    """Treat any matrix as one that is too large to copy."""
    monkeypatch.setattr(comparisons, "_TOO_LARGE_TO_COPY", 0)
    monkeypatch.setattr(problem, "_LARGEST_COPY", 0)
    monkeypatch.setattr(operators, "_BLOCK_BYTES", 1000)
    monkeypatch.setattr(operators, "_GRAM_ROWS", 50)


def make_data(offset=0.0, dtype=np.float32):
    rng = np.random.default_rng(0)
    items = (rng.normal(size=(300, 12)) * np.linspace(0.2, 2, 12) + offset).astype(
        dtype
    )
    pairs = Pairs(items, rng.permutation(300).reshape(150, 2), np.arange(300) // 10)
    return pairs, rng.random(150) < 1 / (1 + np.exp(-pairs.items[pairs.first, 0]))


@pytest.mark.parametrize("alpha", ["auto", 0.3])
@pytest.mark.parametrize("offset", [0.0, 30.0, 3000.0])
@pytest.mark.usefixtures("all_are_large")
def test_the_fit_is_the_same_blocked(monkeypatch, alpha, offset):
    """Also far from the origin, where float32 alone would not do."""
    pairs, y = make_data(offset)
    here = LinearBradleyTerry(alpha=alpha, whitening=0.5).fit(pairs, y)
    monkeypatch.setattr(problem, "_LARGEST_COPY", 2**26)
    wanted = LinearBradleyTerry(alpha=alpha, whitening=0.5).fit(pairs, y)
    assert here.alpha_ == pytest.approx(wanted.alpha_, rel=1e-3)
    tolerance = {"rtol": 2e-3, "atol": 2e-4 * np.abs(wanted.coef_).max()}
    np.testing.assert_allclose(here.coef_, wanted.coef_, **tolerance)
    np.testing.assert_allclose(
        here.reward(pairs.items, return_std=True)[1],
        wanted.reward(pairs.items, return_std=True)[1],
        rtol=5e-3,
    )


@pytest.mark.usefixtures("all_are_large")
def test_the_items_are_not_copied():
    """The comparisons and the problem hold the matrix that was passed."""
    pairs, y = make_data()
    made = make_comparisons(pairs, y, blocked=True)
    assert np.shares_memory(made.items, pairs.items)
    operator = Design(made, FitSettings()).problem(None).operator
    assert isinstance(operator, BlockedOperator)
    assert operator.items is made.items


@pytest.mark.usefixtures("all_are_large")
def test_products_are_those_of_the_copied_problem():
    """Rewards, their adjoint and the Gram matrix, in the user's coordinates."""
    made = make_comparisons(*make_data(5.0, np.float64), blocked=True)
    here, copied = Design(made, FitSettings()).problem(None), make_problem(made)
    rng = np.random.default_rng(1)
    w, per_win = rng.normal(size=12), rng.random(len(made))
    one, other = here.basis.T @ w, copied.basis.T @ w
    np.testing.assert_allclose(here.delta(one), copied.delta(other), atol=1e-9)
    for name in ("to_weights", "gram"):
        got, wanted = (getattr(p, name)(per_win) for p in (here, copied))
        got, wanted = here.basis @ got, copied.basis @ wanted
        if name == "gram":
            got, wanted = got @ here.basis.T, wanted @ copied.basis.T
        np.testing.assert_allclose(got, wanted, atol=1e-8)
    np.testing.assert_allclose(
        here.hessian_product(one, per_win), here.gram(per_win) @ one, atol=1e-8
    )


@pytest.mark.usefixtures("all_are_large")
def test_without_rotation_the_fit_is_the_same(monkeypatch):
    """Very wide items are preconditioned by the diagonal alone."""
    pairs, y = make_data()
    wanted = LinearBradleyTerry(alpha=0.3).fit(pairs, y)
    monkeypatch.setattr(problem, "LARGEST_ROTATION", 2)
    plain = LinearBradleyTerry(alpha=0.3).fit(pairs, y)
    np.testing.assert_allclose(plain.coef_, wanted.coef_, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("spoil", ["duplicate", "unused", "half"])
@pytest.mark.usefixtures("all_are_large")
def test_what_cannot_stay_is_copied(spoil):
    """Equal rows are one item, unused rows none, and float16 is too coarse."""
    pairs, y = make_data()
    items, ids = pairs.items.copy(), pairs.ids
    if spoil == "duplicate":
        items[ids[0, 0]] = items[ids[1, 0]]
    if spoil == "unused":
        ids, y = ids[:100], y[:100]
    if spoil == "half":
        items = items.astype(np.float16)
    made = make_comparisons(Pairs(items, ids), y, blocked=True)
    assert not np.shares_memory(made.items, items)
    assert len(made.items) == {"duplicate": 299, "unused": 200, "half": 300}[spoil]
