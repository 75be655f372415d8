"""Checks that a fitted head can be taken apart and put together again."""

import json
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from embrm.exceptions import InvalidInputError
from embrm.heads.registry import head_from_spec, head_spec
from embrm.heads.state import HeadState
from embrm.testing.expectations import expect, expect_equal
from embrm.testing.samples import fresh, make_sample


def _rebuilt(fitted: Any) -> Any:
    """Send spec and state through JSON and bytes, as a bundle on disk would."""
    state = fitted.get_state()
    travelled = HeadState(
        {name: np.array(array, order="C") for name, array in state.arrays.items()},
        json.loads(json.dumps(dict(state.values), allow_nan=False)),
        {name: bytes(blob) for name, blob in state.blobs.items()},
    )
    try:
        spec = json.loads(json.dumps(head_spec(fitted), allow_nan=False))
    except InvalidInputError:
        # A head from outside embrm has a state, but no place in its registry.
        return clone(fitted).set_state(travelled)
    return head_from_spec(spec).set_state(travelled)


def a_stored_head_scores_the_same_bits(head: Any) -> None:
    """Expect rewards after get_state, JSON and set_state to be the same bits."""
    s = make_sample()
    fitted = fresh(head).fit(s.pairs, s.y)
    rebuilt = _rebuilt(fitted)
    expect_equal(
        rebuilt.reward(s.items), fitted.reward(s.items), "rewards are the same bits"
    )
    expect_equal(
        rebuilt.predict_proba(s.pairs),
        fitted.predict_proba(s.pairs),
        "probabilities are the same bits",
    )
    expect(repr(rebuilt) == repr(fitted), "parameters are the same")


def a_stored_head_keeps_its_preprocessor(head: Any) -> None:
    """Expect the fitted preprocessor to travel with the head."""
    s = make_sample()
    fitted = fresh(head).set_params(preprocessor=StandardScaler())
    fitted.fit(s.pairs, s.y)
    expect_equal(
        _rebuilt(fitted).reward(s.items), fitted.reward(s.items), "the same bits"
    )


def a_stored_head_can_be_fitted_again(head: Any) -> None:
    """Expect a head put together from its state to fit as the original does."""
    s = make_sample()
    fitted = fresh(head).fit(s.pairs, s.y)
    again = _rebuilt(fitted).fit(s.pairs, s.y)
    expect_equal(again.reward(s.items), fitted.reward(s.items), "the same bits")


STORAGE_CHECKS = (
    a_stored_head_scores_the_same_bits,
    a_stored_head_keeps_its_preprocessor,
    a_stored_head_can_be_fitted_again,
)
