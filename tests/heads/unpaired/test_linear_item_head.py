"""What the linear heads on items share: preprocessing, pairs, storage, bad input."""

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import HeadState, KTOReward, PlackettLuce

ITEMS = np.random.default_rng(0).normal(size=(40, 3))
ORDERS = np.argsort(-ITEMS[:, 0].reshape(10, 4), axis=1) + 4 * np.arange(10)[:, None]
HEADS = {"kto": KTOReward(alpha=1.0), "plackett-luce": PlackettLuce(alpha=1.0)}


def fitted(head, items=ITEMS):
    """Fit a clone of the head to a reward that is the first column."""
    head = clone(head)
    if isinstance(head, KTOReward):
        return head.fit(items, ITEMS[:, 0] > 0)
    return head.fit(items, ORDERS)


@pytest.fixture(params=HEADS)
def head(request):
    """Each head, unfitted."""
    return HEADS[request.param]


def test_pairs_are_compared_by_reward(head):
    """And a swap negates delta to the last bit."""
    pairs = Pairs(ITEMS, np.arange(40).reshape(20, 2))
    found = fitted(head)
    reward, delta = found.reward(ITEMS), found.decision_function(pairs)
    np.testing.assert_allclose(delta, reward[::2] - reward[1::2])
    np.testing.assert_array_equal(found.decision_function(pairs.swap()), -delta)
    np.testing.assert_allclose(
        found.predict_proba(pairs)[:, 1], 1 / (1 + np.exp(-delta))
    )
    assert found.score(pairs, ITEMS[::2, 0] > ITEMS[1::2, 0]) > 0.85


@pytest.mark.parametrize("preprocessor", [None, StandardScaler()])
def test_a_stored_head_scores_the_same_bits(head, preprocessor):
    """Values through JSON, arrays through copies."""
    found = fitted(clone(head).set_params(preprocessor=preprocessor))
    state = found.get_state()
    travelled = HeadState(
        {name: array.copy() for name, array in state.arrays.items()},
        json.loads(json.dumps(dict(state.values), allow_nan=False)),
        state.blobs,
    )
    again = clone(head).set_state(travelled)
    np.testing.assert_array_equal(again.reward(ITEMS), found.reward(ITEMS))
    assert again.get_state().values == state.values


def test_the_preprocessor_acts_on_items(head):
    """It is cloned, and used in scoring."""
    moved = 100 * ITEMS + 7
    scaler = StandardScaler()
    found = fitted(clone(head).set_params(preprocessor=scaler), moved)
    plain = fitted(head, StandardScaler().fit_transform(moved))
    expected = plain.reward(found.preprocessor_.transform(moved))
    np.testing.assert_allclose(found.reward(moved), expected, atol=1e-6)
    assert not hasattr(scaler, "mean_")


def test_a_damaged_state_is_refused(head):
    """A missing array, or weights of another width."""
    state = fitted(head).get_state()
    with pytest.raises(IntegrityError, match="array 'coef'"):
        clone(head).set_state(HeadState({}, state.values))
    short = {**state.arrays, "coef": state.arrays["coef"][:-1]}
    with pytest.raises(IntegrityError, match="size d = 3 in the stored state"):
        clone(head).set_state(HeadState(short, state.values))


def test_an_unfitted_head_says_so(head):
    """As scikit-learn does."""
    with pytest.raises(NotFittedError):
        clone(head).reward(ITEMS)
    with pytest.raises(NotFittedError):
        clone(head).decision_function(np.zeros((1, 2, 3)))


def test_bad_items_to_score_are_refused(head):
    """Another d, NaN; none at all is fine."""
    found = fitted(head)
    with pytest.raises(InvalidInputError, match="d = 3, as in fit; got d = 2"):
        found.reward(ITEMS[:, :2])
    with pytest.raises(InvalidInputError, match="finite items"):
        found.reward(np.full((2, 3), np.nan))
    with pytest.raises(InvalidInputError, match=r"use reward\(X\)"):
        found.decision_function(ITEMS)
    assert found.reward(ITEMS[:0]).shape == (0,)


def test_bad_items_to_fit_are_refused(head):
    """NaN, and vectors that are all the same."""
    bad = ITEMS.copy()
    bad[3, 1] = np.inf
    with pytest.raises(InvalidInputError, match="finite items"):
        fitted(head, bad)
    with pytest.raises(InvalidInputError, match="check the encoder"):
        fitted(head, np.ones((40, 3)))


# Powers of two leave the digits, and with them the folds, as they are.
@pytest.mark.parametrize("scale", [2.0**-13, 2.0**13])
def test_any_scale_of_the_items_orders_alike(head, scale):
    """With the penalty chosen automatically."""
    found = fitted(clone(head).set_params(alpha="auto"), scale * ITEMS)
    plain = fitted(clone(head).set_params(alpha="auto"))
    np.testing.assert_allclose(
        found.reward(scale * ITEMS), plain.reward(ITEMS), atol=1e-3
    )


def test_float16_maps_wide_items_and_constant_columns_are_taken(head, tmp_path):
    """More columns than items, as a cache stores them."""
    wide = np.hstack([ITEMS, np.ones((40, 50))])
    half = np.memmap(tmp_path / "x", np.float16, "w+", shape=wide.shape)
    half[:] = wide
    found = fitted(head, half)
    assert np.corrcoef(found.reward(half), ITEMS[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("alpha", "message"),
    [("best", "a finite number > 0 or 'auto'; got 'best'"), (0.0, "alpha: a finite")],
)
def test_a_bad_alpha_is_refused(head, alpha, message):
    """Separable data have no solution without a penalty."""
    with pytest.raises(InvalidInputError, match=message):
        fitted(clone(head).set_params(alpha=alpha))
