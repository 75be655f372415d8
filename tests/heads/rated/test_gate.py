"""The gate: exact gradients, a true minimum, storage."""

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

from embrm import Pairs
from embrm.exceptions import IntegrityError
from embrm.heads.rated.gate import (
    BIAS_SPREAD,
    Gate,
    GateProblem,
    fit_gate,
    initial_gate,
)
from embrm.heads.rated.prompted_wins import make_prompted_wins
from embrm.heads.state import HeadState


@pytest.fixture
def problem():
    """Forty pairs of twenty prompts, with margins and weights."""
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(20), 3)
    ids = np.concatenate([[[3 * p, 3 * p + 1], [3 * p + 2, 3 * p]] for p in range(20)])
    wins, prompts, row = make_prompted_wins(
        Pairs(rng.normal(size=(60, 3)), ids, prompt),
        rng.normal(size=(20, 2)),
        rng.random(40),
        rng.uniform(0.5, 2, 40),
        rng.uniform(0, 1, 40),
    )
    return GateProblem(prompts, wins.items.copy(), row, wins)


def gate_of(sizes, seed=0):
    return initial_gate(
        np.zeros(2), np.ones(2), sizes, 3.0, np.random.default_rng(seed)
    )


@pytest.mark.parametrize("sizes", [(2, 3), (2, 4, 3), (2, 4, 5, 3)])
def test_the_gradient_is_that_of_finite_differences(problem, sizes):
    """In every layer, the bias and the factor."""
    initial = gate_of(sizes)
    at = initial.vector() + 0.3 * np.random.default_rng(1).normal(
        size=len(initial.vector())
    )
    error = check_grad(
        lambda v: problem.loss(initial.with_vector(v), initial, 0.7)[0],
        lambda v: problem.loss(initial.with_vector(v), initial, 0.7)[1],
        at,
    )
    assert error < 1e-4


def test_the_loss_is_what_it_says(problem):
    """Written out win by win."""
    rng = np.random.default_rng(2)
    initial = gate_of((2, 3))
    gate = initial.with_vector(rng.normal(size=len(initial.vector())))
    weights = np.exp((problem.prompts @ gate.weights[0] + gate.biases[0]) / 3.0)
    weights /= weights.sum(axis=1, keepdims=True)
    reward = np.exp(gate.log_factor) * (
        weights[problem.prompt] * problem.attributes
    ).sum(axis=1)
    wanted = 0.7 / 2 * np.sum(gate.weights[0] ** 2) + gate.log_factor**2 / 2
    wanted += np.sum(gate.biases[0] ** 2) / (2 * (BIAS_SPREAD * 3.0) ** 2)
    wins = problem.wins
    for i in range(len(wins)):
        lead = reward[wins.winner[i]] - reward[wins.loser[i]] - wins.margin[i]
        wanted += wins.weight[i] * np.log1p(np.exp(-lead))
    assert problem.loss(gate, initial, 0.7)[0] == pytest.approx(wanted)


def test_the_fit_is_as_low_as_another_optimiser_gets(problem):
    """BFGS without gradients, from the same start."""
    initial = gate_of((2, 3))
    gate = fit_gate(problem, initial, initial, 0.5, 500)
    other = minimize(
        lambda v: problem.loss(initial.with_vector(v), initial, 0.5)[0],
        initial.vector(),
    )
    assert problem.loss(gate, initial, 0.5)[0] <= other.fun + 1e-6


def test_an_initial_gate_weighs_all_attributes_alike():
    """Hidden layers or not."""
    for sizes in ((2, 3), (2, 8, 3)):
        np.testing.assert_allclose(gate_of(sizes)(np.eye(2)), 1 / 3)


def test_a_stored_gate_weighs_with_the_same_bits(problem):
    """State and back."""
    initial = gate_of((2, 4, 3))
    gate = fit_gate(problem, initial, initial, 0.5, 20)
    again = Gate.from_state(gate.get_state())
    np.testing.assert_array_equal(again(problem.prompts), gate(problem.prompts))
    assert again.log_factor == gate.log_factor


def test_layers_that_do_not_fit_are_refused():
    """A damaged state is named as such."""
    state = gate_of((2, 3)).get_state() | HeadState({"weight0": np.ones((5, 3))})
    with pytest.raises(IntegrityError, match="layers that fit each other"):
        Gate.from_state(state)
