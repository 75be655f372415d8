"""Every public head refuses a switch or a name that it does not know, in fit."""

import inspect
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

import embrm.heads
from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import (
    ItemBradleyTerry,
    LengthDebiased,
    MultiObjectiveReward,
    RewardHead,
)

ITEMS = np.random.default_rng(0).normal(size=(40, 3))
PAIRS = Pairs(ITEMS, np.arange(40).reshape(20, 2))
CLASSES = [
    one
    for name in embrm.heads.__all__
    if inspect.isclass(one := getattr(embrm.heads, name))
    and hasattr(one, "fit")
    and one is not RewardHead
]


def is_closed(hint):
    """Say whether a parameter is a switch, or one of a few names."""
    parts = [hint, *get_args(hint)]
    return bool in parts or any(get_origin(part) is Literal for part in parts)


def cases():
    """List each such parameter of each head with values that it may not have."""
    for one in CLASSES:
        hints = get_type_hints(one.__init__)
        for name in inspect.signature(one).parameters:
            if is_closed(hints[name]):
                for value in ("maybe", "yes", {1: 2}, -3):
                    yield pytest.param(one, name, value, id=f"{one.__name__}-{name}")


def fit(head):
    """Fit a head on a little of what it learns from."""
    if isinstance(head, ItemBradleyTerry):
        return head.fit(PAIRS.ids)
    if isinstance(head, LengthDebiased):
        return head.fit(PAIRS, lengths=np.ones(40))
    if isinstance(head, MultiObjectiveReward):
        return head.fit(ITEMS, ITEMS, pairs=PAIRS)
    if head.learns_from == "pairs":
        return head.fit(PAIRS)
    if head.learns_from == "rankings":
        return head.fit(ITEMS, [np.arange(40)])
    return head.fit(ITEMS, ITEMS[:, 0] > 0)


def test_all_public_heads_take_part():
    """With those that wrap others, and the one that ranks entities."""
    assert len(CLASSES) == 16


@pytest.mark.parametrize(("one", "name", "value"), list(cases()))
def test_what_a_parameter_cannot_be_is_refused(one, name, value):
    """By a message that names the parameter, and before anything is fitted."""
    head = one(**{name: value})
    with pytest.raises(InvalidInputError, match=rf"{name}:.*set_params\({name}=\.\.\."):
        fit(head)
    assert not [key for key in vars(head) if key.endswith("_") and key[0] != "_"]
