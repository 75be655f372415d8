"""A label model makes the loss that its parameters stand for."""

from dataclasses import replace

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.plan import LabelModel, loss_of_wins
from embrm.heads.linear.win_loss import (
    DavidsonLoss,
    FlippedLoss,
    LogisticLoss,
    ProbitLoss,
    RaoKupperLoss,
)


@pytest.fixture
def comparisons():
    """Two wins and a tie."""
    pairs = Pairs(np.eye(6), np.arange(6).reshape(3, 2))
    return make_comparisons(pairs, [1.0, 0.0, 0.5])


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (LabelModel("logit", None), LogisticLoss),
        (LabelModel("probit", None), ProbitLoss),
        (LabelModel("logit", "rao-kupper", 2.0), RaoKupperLoss),
        (LabelModel("logit", "davidson", 1.0), DavidsonLoss),
        (LabelModel("logit", "rao-kupper", 1.0), LogisticLoss),
        (LabelModel("logit", "davidson", 0.0), LogisticLoss),
    ],
)
def test_parameters_choose_the_loss(comparisons, model, kind):
    """A tie parameter without ties is the plain model."""
    assert isinstance(model.loss(comparisons), kind)


@pytest.mark.parametrize(
    ("link", "clean"), [("logit", LogisticLoss), ("probit", ProbitLoss)]
)
def test_flips_that_comparisons_know_of_are_in_the_loss(comparisons, link, clean):
    """Win by win, on top of either link."""
    rate = np.linspace(0, 0.4, len(comparisons))
    loss = loss_of_wins(replace(comparisons, flip_rate=rate), link)
    assert isinstance(loss, FlippedLoss)
    assert isinstance(loss.clean, clean)
    np.testing.assert_array_equal(loss.rate, rate)
