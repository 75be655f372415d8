"""The search frees the gate where prompts matter, and only there."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.rated.gate import GateProblem, initial_gate
from embrm.heads.rated.gate_search import search_gate
from embrm.heads.rated.prompted_wins import make_prompted_wins


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
