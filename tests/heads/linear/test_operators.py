"""Large item matrices are fitted where they lie, to the same weights."""

import tracemalloc

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


LAYOUTS = {
    "float16": lambda items: items.astype(np.float16),
    "float32 in Fortran order": lambda items: np.asfortranarray(items, np.float32),
    "float64 in Fortran order": np.asfortranarray,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("alpha", ["auto", 0.3])
@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.usefixtures("all_are_large")
def test_the_fit_is_the_same_in_any_layout(monkeypatch, layout, alpha, offset):
    """Half precision and Fortran order are read where they lie, to the same weights."""
    items = LAYOUTS[layout](make_data(offset, np.float64)[0].items)
    # Within prompts: items that are held out one by one have the order of their rows.
    ids, prompts = np.arange(300).reshape(150, 2), np.arange(300) // 10
    pairs, y = Pairs(items, ids, prompts), np.arange(150) % 3 > 0
    assert np.shares_memory(make_comparisons(pairs, y, blocked=True).items, items)
    here = LinearBradleyTerry(alpha=alpha).fit(pairs, y)
    monkeypatch.setattr(problem, "_LARGEST_COPY", 2**26)
    if layout == "float16":  # Its wins are in the order of a copy.
        monkeypatch.setattr(comparisons, "_TOO_LARGE_TO_COPY", 2**26)
    dtype = np.result_type(items.dtype, np.float32)
    copied = Pairs(np.array(items, dtype, order="C"), ids, prompts)
    wanted = LinearBradleyTerry(alpha=alpha).fit(copied, y)
    assert here.alpha_ == pytest.approx(wanted.alpha_, rel=1e-3)
    np.testing.assert_allclose(
        here.reward(items), wanted.reward(items), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        here.reward(items, return_std=True)[1],
        wanted.reward(items, return_std=True)[1],
        rtol=5e-3,
    )


@pytest.mark.parametrize("layout", [*list(LAYOUTS)[:2], "float32"])
def test_a_fit_takes_less_than_half_of_the_matrix_beside_it(tmp_path, layout):
    """A memory map of 88 MB or more: what is copied of it is a small part."""
    rng = np.random.default_rng(0)
    shape, n = (86_000, 512), 86_000
    order = "F" if layout.endswith("order") else "C"
    dtype = layout.partition(" ")[0]
    place = tmp_path / "items"
    items = np.memmap(place, dtype=dtype, mode="w+", shape=shape, order=order)
    for start in range(0, n, 4096):
        part = items[start : start + 4096]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
    ids = rng.permutation(n).reshape(-1, 2)
    y = items[ids[:, 0], 0] > items[ids[:, 1], 0]
    head = LinearBradleyTerry(alpha=10.0)
    tracemalloc.start()
    head.fit(Pairs(items, ids), y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < items.nbytes / 2
    assert head.score(Pairs(items, ids), y) > 0.9


@pytest.mark.parametrize("spoil", ["duplicate", "unused"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.usefixtures("all_are_large")
def test_what_cannot_stay_is_copied(spoil, dtype):
    """Equal rows are one item, unused rows none."""
    pairs, y = make_data(dtype=dtype)
    items, ids = pairs.items.copy(), pairs.ids
    if spoil == "duplicate":
        items[ids[0, 0]] = items[ids[1, 0]]
    if spoil == "unused":
        ids, y = ids[:100], y[:100]
    made = make_comparisons(Pairs(items, ids), y, blocked=True)
    assert not np.shares_memory(made.items, items)
    assert made.items.dtype == np.float32
    assert len(made.items) == {"duplicate": 299, "unused": 200}[spoil]
