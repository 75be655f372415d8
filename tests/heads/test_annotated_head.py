"""Heads are told who labelled each pair, and heads within heads hear of it."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.heads.annotated_head import name_annotators
from embrm.heads.wrappers.calibrated import CalibratedReward
from embrm.heads.wrappers.centered import CenteredReward
from embrm.heads.wrappers.ensemble import RewardEnsemble
from embrm.heads.wrappers.stacked import StackedReward

JUDGE = LinearBradleyTerry(noise="estimate", posterior=False)
WRAPPERS = {
    "calibrated": CalibratedReward(JUDGE),
    "centered": CenteredReward(JUDGE),
    "ensemble": RewardEnsemble(JUDGE, n_members=3, random_state=0),
    "stacked": StackedReward([JUDGE, "logistic"], random_state=0),
    "wrapped twice": CenteredReward(CalibratedReward(JUDGE)),
}


def innermost(head):
    """The head that estimates the rates."""
    while not isinstance(head, LinearBradleyTerry):
        head = head.members_[0] if hasattr(head, "members_") else head.head_
    return head


@pytest.mark.parametrize("name", WRAPPERS)
def test_heads_in_wrappers_hear_who_labelled(name, make_preferences):
    """Half of what Bob says is the opposite of the truth."""
    data = make_preferences(n_prompts=80)
    who = np.where(np.random.default_rng(0).random(len(data.y)) < 0.5, "ann", "bob")
    flipped = (who == "bob") & (np.random.default_rng(1).random(len(who)) < 0.5)
    y = np.where(flipped, 1 - data.y, data.y)
    head = WRAPPERS[name].fit(data.pairs, y, annotator=who)
    judge = innermost(head)
    assert judge.annotators_.tolist() == ["ann", "bob"]
    assert judge.flip_rates_[0] < 0.1 < 0.3 < judge.flip_rates_[1]


@pytest.mark.parametrize(
    "head",
    [LinearBradleyTerry(), LinearBradleyTerry(noise=0.1), CenteredReward("linear")],
)
def test_annotators_that_nobody_asks_for_are_refused(head):
    """Nothing would be done with them."""
    with pytest.raises(InvalidInputError, match="annotator with noise='estimate'"):
        head.fit(Pairs(np.eye(2), [[0, 1]]), annotator=["a"])


@pytest.mark.parametrize(
    ("annotator", "message"),
    [
        ([0.5], "annotator of shape .*; got shape .1,., dtype float64"),
        ([["a"]], "annotator of shape"),
        (["a", "b"], "annotator of shape .1,., one per pair"),
    ],
)
def test_annotators_that_cannot_be_used_are_refused(annotator, message):
    """They need names, and one for each pair."""
    with pytest.raises(InvalidInputError, match=message):
        JUDGE.fit(Pairs(np.eye(2), [[0, 1]]), annotator=annotator)


def test_annotators_are_numbered_in_the_order_of_their_names():
    """Objects are taken by their text."""
    names, codes = name_annotators(np.array(["b", "a", "b"], dtype=object))
    assert (names.tolist(), codes.tolist()) == (["a", "b"], [1, 0, 1])
