"""What a plan leaves open is fitted."""

import numpy as np

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.fit import fit_linear
from embrm.heads.linear.plan import FitPlan

PLAN = FitPlan(
    alpha=1.0,
    whitening=0.0,
    standardise=False,
    link="logit",
    ties=None,
    start=None,
    posterior=True,
    tol=1e-8,
    max_iter=50,
)
WINS = make_comparisons(Pairs(np.eye(3), [[0, 1], [1, 2]]))


def test_above_the_largest_dimension_no_posterior_is_kept(monkeypatch):
    """It would take too much memory."""
    assert fit_linear(WINS, PLAN).posterior is not None
    monkeypatch.setattr("embrm.heads.linear.fit.LARGEST_POSTERIOR", 2)
    assert fit_linear(WINS, PLAN).posterior is None
