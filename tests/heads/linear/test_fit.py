"""What a plan leaves open is fitted, and the label model speaks for new pairs."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.fit import fit_linear
from embrm.heads.linear.plan import FitPlan, LabelModel
from embrm.heads.linear.win_loss import (
    DavidsonLoss,
    FlippedLoss,
    LogisticLoss,
    ProbitLoss,
)

PLAN = FitPlan(
    alpha=1.0,
    whitening=0.0,
    standardise=False,
    link="logit",
    ties=None,
    noise=0.0,
    start=None,
    posterior=True,
    tol=1e-8,
    max_iter=50,
)
WINS = make_comparisons(Pairs(np.eye(3), [[0, 1], [1, 2]]))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (LabelModel("logit", None, np.nan, 0.0, np.empty(0)), LogisticLoss),
        (LabelModel("probit", None, np.nan, 0.0, np.empty(0)), ProbitLoss),
        (LabelModel("logit", None, np.nan, 0.1, np.empty(0)), FlippedLoss),
        (LabelModel("logit", "davidson", 0.5, 0.0, np.empty(0)), DavidsonLoss),
        (LabelModel("logit", "davidson", 0.0, 0.0, np.empty(0)), LogisticLoss),
    ],
)
def test_a_label_model_makes_its_loss(labels, kind):
    """Parameters at the edge of their range make the plain one."""
    assert isinstance(labels.loss(WINS), kind)


def test_above_the_largest_dimension_no_posterior_is_kept(monkeypatch):
    """It would take too much memory."""
    assert fit_linear(WINS, PLAN).posterior is not None
    monkeypatch.setattr("embrm.heads.linear.fit.LARGEST_POSTERIOR", 2)
    assert fit_linear(WINS, PLAN).posterior is None
