"""Losses on leads: their formulas, slopes, and corrections for wrong labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embrm.heads.siamese.losses import LOSSES, corrected

FORMULAS = {
    "logistic": lambda u: np.logaddexp(0, -u),
    "hinge": lambda u: np.maximum(0, 1 - u),
    "squared": lambda u: (u - 1) ** 2,
    "exponential": lambda u: np.exp(-u),
    "truncated_quadratic": lambda u: np.maximum(0, 1 - u) ** 2,
    "savage": lambda u: 1 / (1 + np.exp(u)) ** 2,
}
LEADS = np.linspace(-8, 8, 33)


def value(loss, leads):
    return loss(torch, torch.tensor(leads, dtype=torch.float64)).numpy()


@pytest.mark.parametrize("word", LOSSES)
def test_each_word_stands_for_its_formula(word):
    """Compared with numpy in float64."""
    np.testing.assert_allclose(
        value(LOSSES[word], LEADS), FORMULAS[word](LEADS), rtol=1e-12
    )


@pytest.mark.parametrize("word", LOSSES)
def test_slopes_agree_with_finite_differences(word):
    """Automatic slopes in float64 against central differences."""
    leads = LEADS + 0.013
    u = torch.tensor(leads, dtype=torch.float64, requires_grad=True)
    LOSSES[word](torch, u).sum().backward()
    step = 1e-6
    numeric = (FORMULAS[word](leads + step) - FORMULAS[word](leads - step)) / (2 * step)
    np.testing.assert_allclose(u.grad.numpy(), numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("word", LOSSES)
@pytest.mark.parametrize("lead", [-1e4, 1e4])
def test_huge_leads_give_finite_losses_and_slopes(word, lead):
    """In float32, as training computes."""
    u = torch.tensor([lead], dtype=torch.float32, requires_grad=True)
    loss = LOSSES[word](torch, u)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("word", LOSSES)
def test_losing_by_more_never_costs_less(word):
    """Every loss goes down in the lead as long as the pair is ordered wrongly."""
    losses = value(LOSSES[word], np.linspace(-30, 0, 61))
    assert np.all(np.diff(losses) <= 0)


@given(st.floats(0, 0.45), st.floats(-5, 5))
def test_the_robust_loss_is_unbiased_under_flips(rate, lead):
    """Natarajan et al. 2013, lemma 1: its mean over flips is the clean loss."""
    robust = corrected(LOSSES["logistic"], label_smoothing=0.0, flip_rate=rate)
    right, wrong = value(robust, [lead, -lead])
    mean = (1 - rate) * right + rate * wrong
    np.testing.assert_allclose(mean, FORMULAS["logistic"](lead), rtol=1e-9, atol=1e-12)


@given(st.floats(0, 0.45), st.floats(-5, 5))
def test_label_smoothing_mixes_both_sides(rate, lead):
    """(1 - e) l(u) + e l(-u)."""
    smooth = corrected(LOSSES["hinge"], label_smoothing=rate, flip_rate=0.0)
    expected = (1 - rate) * FORMULAS["hinge"](lead) + rate * FORMULAS["hinge"](-lead)
    np.testing.assert_allclose(value(smooth, [lead])[0], expected, rtol=1e-12)


def test_smoothing_and_flips_of_one_rate_cancel():
    """Each undoes the other: the robust form is the inverse of smoothing."""
    both = corrected(LOSSES["savage"], label_smoothing=0.2, flip_rate=0.2)
    np.testing.assert_allclose(value(both, LEADS), FORMULAS["savage"](LEADS), rtol=1e-9)


def test_nothing_to_correct_leaves_the_loss_itself():
    """The plain loss is not wrapped."""
    loss = LOSSES["logistic"]
    assert corrected(loss, label_smoothing=0.0, flip_rate=0.0) is loss
