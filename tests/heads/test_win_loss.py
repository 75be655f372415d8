"""Losses of a win: their derivatives are right, and they never overflow."""

import numpy as np
import pytest

from embrm.heads.win_loss import (
    DavidsonLoss,
    FlippedLoss,
    LogisticLoss,
    ProbitLoss,
    RaoKupperLoss,
    log_loss,
)

LOGIT = np.linspace(-6, 6, 25)
TIED = np.tile([0.0, 1.0, 0.3, 0.5, 0.0], 5)
LOSSES = {
    "logistic": LogisticLoss(),
    "probit": ProbitLoss(),
    "flipped": FlippedLoss(LogisticLoss(), np.full(25, 0.2)),
    "flipped probit": FlippedLoss(ProbitLoss(), np.full(25, 0.1)),
    "rao-kupper": RaoKupperLoss(TIED, 0.7),
    "davidson": DavidsonLoss(TIED, -0.4),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_slope_is_that_of_the_value(name):
    """Central differences agree."""
    loss, step = LOSSES[name], 1e-5
    numeric = (loss.evaluate(LOGIT + step)[0] - loss.evaluate(LOGIT - step)[0]) / 2e-5
    np.testing.assert_allclose(loss.evaluate(LOGIT)[1], numeric, atol=1e-8)


@pytest.mark.parametrize("name", ["logistic", "probit", "rao-kupper", "davidson"])
def test_the_curvature_is_that_of_the_slope(name):
    """Where the loss is convex."""
    loss, step = LOSSES[name], 1e-5
    numeric = (loss.evaluate(LOGIT + step)[1] - loss.evaluate(LOGIT - step)[1]) / 2e-5
    np.testing.assert_allclose(loss.evaluate(LOGIT)[2], numeric, atol=1e-8)


@pytest.mark.parametrize("clean", [LogisticLoss(), ProbitLoss()])
def test_the_curvature_under_flips_is_that_of_the_slope_where_it_is_positive(clean):
    """Elsewhere it is a twentieth of slope squared, on average over both labels."""
    loss, step = FlippedLoss(clean, np.full(25, 0.15)), 1e-5
    numeric = (loss.evaluate(LOGIT + step)[1] - loss.evaluate(LOGIT - step)[1]) / 2e-5
    value, slope, curvature = loss.evaluate(LOGIT)
    other_value, other_slope, _ = loss.evaluate(-LOGIT)
    expected = np.exp(-value) * slope**2 + np.exp(-other_value) * other_slope**2
    wanted = np.maximum(numeric, 0.05 * expected)
    assert (numeric < 0).any()
    np.testing.assert_allclose(curvature, wanted, rtol=1e-6, atol=1e-9)


def test_flips_at_rate_zero_change_nothing():
    """Value and slope are the clean ones."""
    for got, wanted in zip(
        FlippedLoss(LogisticLoss(), np.zeros(25)).evaluate(LOGIT),
        LogisticLoss().evaluate(LOGIT),
        strict=True,
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [40.0, 1e4, 1e8])
def test_huge_leads_are_finite(name, size):
    """Values, slopes and curvatures, on both sides; curvatures never negative."""
    loss = LOSSES[name].take(np.arange(2))
    value, slope, curvature = loss.evaluate(np.array([-size, size]))
    assert np.isfinite([value, slope, curvature]).all()
    assert (curvature >= 0).all()


def test_the_probit_tail_is_exact():
    """-log Phi(-20) and its slope, from tables of the inverse Mills ratio."""
    value, slope, curvature = ProbitLoss().evaluate(np.array([-20.0]))
    assert value[0] == pytest.approx(203.91715537, abs=1e-7)
    assert -slope[0] == pytest.approx(20.04975317, abs=1e-6)
    assert curvature[0] == pytest.approx(0.9975, abs=1e-3)


@pytest.mark.parametrize("name", ["rao-kupper", "davidson"])
def test_win_loss_and_tie_share_all_probability(name):
    """They add up to one at every difference."""
    loss = LOSSES[name].take(np.zeros(25, dtype=int))
    win, lose = (np.exp(-loss.evaluate(logit)[0]) for logit in (LOGIT, -LOGIT))
    np.testing.assert_allclose(win + lose + loss.tie_probability(LOGIT), 1.0)


@pytest.mark.parametrize("name", ["rao-kupper", "davidson"])
def test_the_value_of_a_tie_is_that_of_its_probability(name):
    """With a share of one in the tie."""
    loss = LOSSES[name].take(np.ones(25, dtype=int))
    np.testing.assert_allclose(
        np.exp(-loss.evaluate(LOGIT)[0]), loss.tie_probability(LOGIT)
    )


@pytest.mark.parametrize(("name", "at"), [("rao-kupper", 0.7), ("davidson", -0.4)])
def test_the_slope_in_the_tie_parameter_is_that_of_the_value(name, at):
    """Central differences agree."""
    low, high = (
        LOSSES[name].with_parameter(at + step).evaluate(LOGIT)[0]
        for step in (-1e-5, 1e-5)
    )
    slope = LOSSES[name].slope_in_parameter(LOGIT)
    np.testing.assert_allclose(slope, (high - low) / 2e-5, atol=1e-8)


def test_taking_wins_takes_their_rates_and_ties():
    """Those of the wins that are kept."""
    some = np.array([1, 3])
    rates = FlippedLoss(LogisticLoss(), np.linspace(0, 0.4, 5))
    np.testing.assert_allclose(rates.take(some).rate, [0.1, 0.3])
    np.testing.assert_allclose(LOSSES["davidson"].take(some).tied, [1.0, 0.5])


def test_log_loss_is_finite_for_huge_logits():
    """softplus does not overflow where log(sigmoid) does."""
    assert log_loss(np.array([-1e4, 1e4]), np.ones(2)) == pytest.approx(1e4)
