"""A label model makes the loss that its parameters stand for."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.plan import FitPlan, LabelModel, first_labels
from embrm.heads.linear.win_loss import (
    DavidsonLoss,
    FlippedLoss,
    LogisticLoss,
    ProbitLoss,
    RaoKupperLoss,
)

NONE = np.empty(0)


@pytest.fixture
def comparisons():
    """Two wins and a tie, of two annotators."""
    pairs = Pairs(np.eye(6), np.arange(6).reshape(3, 2))
    return make_comparisons(pairs, [1.0, 0.0, 0.5], annotator=np.array([0, 1, 1]))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (LabelModel("logit", None, np.nan, 0.0, NONE), LogisticLoss),
        (LabelModel("probit", None, np.nan, 0.0, NONE), ProbitLoss),
        (LabelModel("probit", None, np.nan, 0.1, NONE), FlippedLoss),
        (LabelModel("logit", None, np.nan, 0.1, np.array([0.1, 0.2])), FlippedLoss),
        (LabelModel("logit", "rao-kupper", 2.0, 0.0, NONE), RaoKupperLoss),
        (LabelModel("logit", "davidson", 1.0, 0.0, NONE), DavidsonLoss),
        (LabelModel("logit", "rao-kupper", 1.0, 0.0, NONE), LogisticLoss),
        (LabelModel("logit", "davidson", 0.0, 0.0, NONE), LogisticLoss),
    ],
)
def test_parameters_choose_the_loss(comparisons, model, kind):
    """A rate of zero, and a tie parameter without ties, are the plain model."""
    assert isinstance(model.loss(comparisons), kind)


def test_each_annotator_has_a_first_rate_where_it_is_estimated(comparisons):
    """EM starts from the same rate for all."""
    plan = FitPlan(None, 0.0, None, "logit", None, None, None, False, 1e-8, 100)
    labels, loss = first_labels(comparisons, plan)
    assert labels.rates.tolist() == [0.1, 0.1]
    assert isinstance(loss, FlippedLoss)
