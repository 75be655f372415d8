"""The likelihoods of games have the derivatives that they claim."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from embrm.heads.unpaired._tie_models import TIE_MODELS

DELTA = np.array([-3.0, -0.2, 0.0, 0.7, 4.0])
T = 0.4


@pytest.mark.parametrize("name", TIE_MODELS)
@pytest.mark.parametrize("outcome", [0.0, 0.5, 1.0])
def test_derivatives_are_those_of_finite_differences(name, outcome):
    """First and second ones, in delta and in the tie parameter."""
    model = TIE_MODELS[name]
    tie = T if model.has_parameter else 0.0
    for delta in DELTA:

        def at(v, field, delta=delta):
            y = np.array([outcome])
            t = v[1] if model.has_parameter else 0.0
            return getattr(model.loss(v[:1], t, y), field)[0]

        here = np.array([delta, tie])
        for field, derivatives in (
            ("value", ("by_delta", "by_tie")),
            ("by_delta", ("delta_delta", "delta_tie")),
            ("by_tie", ("delta_tie", "tie_tie")),
        ):
            wanted = approx_fprime(here, lambda v, f=field: at(v, f), 1e-7)
            got = [at(here, derivative) for derivative in derivatives]
            np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("name", TIE_MODELS)
def test_losses_are_those_of_the_probabilities(name):
    """Which sum to one."""
    model = TIE_MODELS[name]
    tie = T if model.has_parameter else 0.0
    chances = model.probabilities(DELTA, model.public(tie))
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    for column, outcome in ((0, 0.0), (1, 0.5), (2, 1.0)):
        if outcome == 0.5 and not model.has_parameter:
            continue
        losses = model.loss(DELTA, tie, np.full(5, outcome)).value
        np.testing.assert_allclose(losses, -np.log(chances[:, column]), atol=1e-12)


@pytest.mark.parametrize("name", ["rao-kupper", "davidson"])
def test_the_start_gives_equals_the_share_of_ties(name):
    """At delta 0."""
    model = TIE_MODELS[name]
    chances = model.probabilities(np.zeros(1), model.public(model.start(0.3)))
    assert chances[0, 1] == pytest.approx(0.3)


@pytest.mark.parametrize("name", TIE_MODELS)
def test_extreme_deltas_have_finite_losses(name):
    """No exponential overflows."""
    model = TIE_MODELS[name]
    tie = T if model.has_parameter else 0.0
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for outcome in (0.0, 0.5, 1.0):
            loss = model.loss(np.array([-1e4, 1e4]), tie, np.full(2, outcome))
            assert np.isfinite(loss.value).all()


@pytest.mark.parametrize("name", ["rao-kupper", "davidson"])
def test_a_parameter_at_its_bound_is_bradley_terry(name):
    """No ties, and no warning on the way."""
    chances = TIE_MODELS[name].probabilities(DELTA, TIE_MODELS[name].without_ties)
    half = TIE_MODELS["half"].probabilities(DELTA, np.nan)
    np.testing.assert_allclose(chances, half, atol=1e-12)


def test_each_model_knows_its_domain():
    """A threshold is positive, the log of a ratio any number."""
    assert TIE_MODELS["half"].is_valid(0.0)
    assert not TIE_MODELS["rao-kupper"].is_valid(-0.1)
    assert TIE_MODELS["davidson"].is_valid(-0.1)
