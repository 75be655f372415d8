"""Losses on logits: their formulas, slopes, and corrections for wrong labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embrm.heads.siamese.losses import LOSSES, of_flipped, smoothed, weight_of_flipped
from embrm.heads.win_loss import FlippedLoss, LogisticLoss

FORMULAS = {
    "logistic": lambda u: np.logaddexp(0, -u),
    "hinge": lambda u: np.maximum(0, 1 - u),
    "squared": lambda u: (u - 1) ** 2,
    "exponential": lambda u: np.exp(-u),
    "truncated_quadratic": lambda u: np.maximum(0, 1 - u) ** 2,
    "savage": lambda u: 1 / (1 + np.exp(u)) ** 2,
    "robust": lambda u: np.logaddexp(0, -u),
}
LOGITS = np.linspace(-8, 8, 33)


def value(loss, logits):
    return loss(torch, torch.tensor(logits, dtype=torch.float64)).numpy()


@pytest.mark.parametrize("word", LOSSES)
def test_each_word_stands_for_its_formula(word):
    """Compared with numpy in float64."""
    np.testing.assert_allclose(
        value(LOSSES[word], LOGITS), FORMULAS[word](LOGITS), rtol=1e-12
    )


@pytest.mark.parametrize("word", LOSSES)
def test_slopes_agree_with_finite_differences(word):
    """Automatic slopes in float64 against central differences."""
    logits = LOGITS + 0.013
    u = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    LOSSES[word](torch, u).sum().backward()
    step = 1e-6
    numeric = (FORMULAS[word](logits + step) - FORMULAS[word](logits - step)) / (
        2 * step
    )
    np.testing.assert_allclose(u.grad.numpy(), numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("word", LOSSES)
@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_huge_logits_give_finite_losses_and_slopes(word, logit):
    """In float32, as training computes."""
    u = torch.tensor([logit], dtype=torch.float32, requires_grad=True)
    loss = LOSSES[word](torch, u)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("word", LOSSES)
def test_losing_by_more_never_costs_less(word):
    """Every loss goes down in the logit as long as the pair is ordered wrongly."""
    losses = value(LOSSES[word], np.linspace(-30, 0, 61))
    assert np.all(np.diff(losses) <= 0)


def value_of_flipped(word, logits, rate):
    rates = torch.full((len(logits),), rate, dtype=torch.float64)
    logits = torch.tensor(logits, dtype=torch.float64)
    return of_flipped(torch, LOSSES[word], logits, rates).numpy()


@pytest.mark.parametrize("word", sorted(set(LOSSES) - {"logistic"}))
@given(st.floats(0, 0.45), st.floats(-5, 5))
def test_the_robust_form_is_unbiased_under_flips(word, rate, logit):
    """Natarajan et al. 2013, lemma 1: its mean over flips is the clean loss."""
    right, wrong = value_of_flipped(word, [logit, -logit], rate)
    mean = (1 - rate) * right + rate * wrong
    np.testing.assert_allclose(mean, FORMULAS[word](logit), rtol=1e-9, atol=1e-12)


@given(st.floats(0, 0.49), st.floats(-30, 30))
def test_the_logistic_loss_of_flipped_labels_is_their_likelihood(rate, logit):
    """-log(e + (1 - 2e) sigma(u)), as for the linear head."""
    wanted, *_ = FlippedLoss(LogisticLoss(), np.array([rate])).evaluate(
        np.array([logit])
    )
    got = value_of_flipped("logistic", [logit], rate)
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11)


def test_robust_losses_of_coin_tosses_have_next_to_no_weight():
    """Their slopes are multiplied by up to 50; a likelihood has no such factor."""
    rate = np.array([0.0, 0.25, 0.49])
    weight = weight_of_flipped(LOSSES["hinge"], rate)
    np.testing.assert_allclose(weight, [1.0, 0.25, 0.0004])
    np.testing.assert_array_equal(weight_of_flipped(LOSSES["logistic"], rate), 1.0)


@pytest.mark.parametrize("word", LOSSES)
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_far_logits_of_flipped_labels_have_finite_slopes(word, rate):
    """In float32, a rate of nothing among others included."""
    u = torch.tensor([-1e3, 0.0, 1e3], requires_grad=True)
    of_flipped(torch, LOSSES[word], u, torch.full((3,), rate)).sum().backward()
    assert torch.isfinite(u.grad).all()


@given(st.floats(0, 0.45), st.floats(-5, 5))
def test_label_smoothing_mixes_both_sides(rate, logit):
    """(1 - e) l(u) + e l(-u)."""
    smooth = smoothed(LOSSES["hinge"], rate)
    expected = (1 - rate) * FORMULAS["hinge"](logit) + rate * FORMULAS["hinge"](-logit)
    np.testing.assert_allclose(value(smooth, [logit])[0], expected, rtol=1e-12)


def test_nothing_to_smooth_leaves_the_loss_itself():
    """The plain loss is not wrapped."""
    loss = LOSSES["logistic"]
    assert smoothed(loss, 0.0) is loss
