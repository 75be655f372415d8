"""The gate: exact gradients, a true minimum, storage."""

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import HeadState
from embrm.heads.rated._gate import (
    BIAS_SPREAD,
    Gate,
    GateProblem,
    fit_gate,
    initial_gate,
    make_prompted_wins,
    search_gate,
)


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
        logit = reward[wins.winner[i]] - reward[wins.loser[i]] - wins.margin[i]
        wanted += wins.weight[i] * np.log1p(np.exp(-logit))
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


def make_problem(*, prompts_matter, n_prompts=150):
    rng = np.random.default_rng(0)
    vectors, items = (
        rng.normal(size=(n_prompts, 4)),
        rng.normal(size=(2 * n_prompts, 2)),
    )
    ids = np.arange(2 * n_prompts).reshape(-1, 2)
    lean = vectors[:, 0] > 0 if prompts_matter else np.ones(n_prompts, bool)
    gold = items[np.arange(len(items)), 1 - lean.repeat(2).astype(int)]
    y = gold[ids[:, 0]] > gold[ids[:, 1]]
    pairs = Pairs(items, ids, np.arange(n_prompts).repeat(2))
    wins, prompts, row = make_prompted_wins(pairs, vectors, y)
    return GateProblem(prompts, wins.items, row, wins)


def start_of(*hidden):
    rng = np.random.default_rng(0)
    return initial_gate(np.zeros(4), np.ones(4), (4, *hidden, 2), 10.0, rng)


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_a_prompt_that_matters_is_read(hidden):
    """Held-out loss falls below that of the constant gate."""
    problem = make_problem(prompts_matter=True)
    found = search_gate(problem, start_of(*hidden), alpha=None, max_iter=100)
    assert np.isfinite(found.alpha)
    assert found.held_out_loss.min() < 0.8 * found.held_out_loss[0]
    weights = found.gate(np.array([[2.0, 0, 0, 0], [-2.0, 0, 0, 0]]))
    assert weights[0, 0] > 0.7 > 0.3 > weights[1, 0]


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_a_prompt_that_does_not_matter_is_ignored(hidden):
    """The gate is constant, and still finds the one attribute that counts."""
    problem = make_problem(prompts_matter=False)
    found = search_gate(problem, start_of(*hidden), alpha=None, max_iter=100)
    assert found.alpha == np.inf
    weights = found.gate(problem.prompts)
    assert np.ptp(weights, axis=0).max() == 0
    assert weights[0, 0] > 0.8


def test_few_wins_leave_nothing_to_choose():
    """A prior instead."""
    problem = make_problem(prompts_matter=True, n_prompts=6)
    found = search_gate(problem, start_of(), alpha=None, max_iter=100)
    assert found.alphas.size == 0
    assert found.alpha == pytest.approx(4 / (0.3 * 10) ** 2)


def test_a_given_penalty_is_used():
    """Nothing is searched."""
    problem = make_problem(prompts_matter=True)
    found = search_gate(problem, start_of(), alpha=2.0, max_iter=100)
    assert (found.alpha, found.held_out_loss.size) == (2.0, 0)


def test_every_item_keeps_its_prompt():
    """Through reordering, and with prompts of equal vectors made one."""
    rng = np.random.default_rng(0)
    items, prompt = rng.normal(size=(12, 3)), np.arange(12) // 3
    vectors = rng.normal(size=(4, 2))
    vectors[3] = vectors[1]
    ids = np.array([[0, 1], [4, 3], [8, 7], [11, 10], [0, 2]])
    wins, prompts, row = make_prompted_wins(Pairs(items, ids, prompt), vectors)
    assert len(prompts) == 3
    for item, own in zip(wins.items, prompts[row], strict=True):
        at = int(np.flatnonzero((items == item).all(axis=1))[0])
        np.testing.assert_array_equal(own, vectors[prompt[at]])


def test_equal_items_of_different_prompts_stay_apart():
    """They may deserve different rewards."""
    pairs = Pairs(np.ones((2, 3)), [[0, 1]], [0, 1])
    wins, _, _ = make_prompted_wins(pairs, np.eye(2))
    assert len(wins.items) == 2


def test_half_precision_is_taken():
    """Of items and of prompts."""
    pairs = Pairs(np.eye(2, dtype=np.float16), [[0, 1]], [0, 0])
    wins, prompts, _ = make_prompted_wins(pairs, np.ones((1, 2), dtype=np.float16))
    assert wins.items.dtype == np.float32
    assert prompts.dtype == np.float64


@pytest.mark.parametrize(
    ("prompt_ids", "message"),
    [
        (None, "integer prompt_ids.*got none"),
        (["a", "b"], "integer prompt_ids.*got dtype <U1"),
        ([0, 7], r"prompt_ids in \[0, 3\).*got 7 at item 1"),
    ],
)
def test_prompt_ids_that_are_no_rows_are_refused(prompt_ids, message):
    """Words need numbers, numbers need vectors."""
    pairs = Pairs(np.eye(2), [[0, 1]], prompt_ids)
    with pytest.raises(InvalidInputError, match=message):
        make_prompted_wins(pairs, np.eye(3))


def test_dense_pairs_are_refused():
    """They do not say which prompt they answer."""
    with pytest.raises(InvalidInputError, match="Pairs with prompt_ids"):
        make_prompted_wins(np.ones((1, 2, 3)), np.eye(3))


def test_a_broken_prompt_vector_is_refused():
    """If it is used."""
    pairs = Pairs(np.eye(2), [[0, 1]], [0, 0])
    with pytest.raises(InvalidInputError, match="finite"):
        make_prompted_wins(pairs, [[np.nan]])
