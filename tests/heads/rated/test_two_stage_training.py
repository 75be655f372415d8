"""The second stage's parts: scale, extrapolation, and their choice."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.problem import make_problem
from embrm.heads.rated.two_stage_training import (
    best_extrapolation,
    choose,
    positive_scale,
)


def wins_from(delta, rng):
    """Sign deltas by labels drawn from them."""
    won = rng.random(len(delta)) < 1 / (1 + np.exp(-delta))
    return np.where(won, 1, -1)


def test_the_scale_of_a_bradley_terry_model_is_found():
    """Deltas in other units come back in nats."""
    rng = np.random.default_rng(0)
    delta = rng.normal(0, 2, 20_000)
    sign, ones = wins_from(delta, rng), np.ones(20_000)
    scale = positive_scale(sign * delta / 7, 0 * ones, ones)
    assert scale == pytest.approx(7, rel=0.05)


@pytest.mark.parametrize("labels", ["ties", "reversed"])
def test_the_scale_stays_positive(labels):
    """Whatever the labels say: the direction is that of the ratings."""
    delta = np.random.default_rng(0).normal(size=500)
    delta = np.concatenate([delta, -delta]) if labels == "ties" else -np.abs(delta)
    scale = positive_scale(delta, np.zeros(len(delta)), np.ones(len(delta)))
    assert 0 < scale < 0.5


def test_no_differences_have_scale_one():
    """Nothing to be scaled."""
    assert positive_scale(np.zeros(3), np.zeros(3), np.ones(3)) == 1.0


def test_the_extrapolation_is_the_best_on_its_grid():
    """As brute force over every hundredth, where the loss has one minimum."""
    rng = np.random.default_rng(0)
    lead, move = rng.normal(size=(2, 3000))
    sign = wins_from(lead + 1.5 * move, rng)
    found = best_extrapolation(sign * lead, sign * move, np.ones(3000))

    def loss(a):
        return np.logaddexp(0, -sign * (lead + a * move)).sum()

    grid = np.round(np.arange(1, 2.001, 0.01), 2)
    assert found == grid[np.argmin([loss(a) for a in grid])]
    free = minimize_scalar(loss, bounds=(1, 2), method="bounded").x
    assert found == pytest.approx(free, abs=0.006)


@pytest.mark.parametrize(("sign", "wanted"), [(1.0, 2.0), (-1.0, 1.0), (0.0, 1.0)])
def test_the_extrapolation_stays_between_one_and_two(sign, wanted):
    """A step that always helps, always harms, or is none."""
    move = np.full(10, 0.5 * sign)
    assert best_extrapolation(np.zeros(10), move, np.ones(10)) == wanted


def test_each_fold_starts_without_its_held_out_wins(make_preferences):
    """Masks are disjoint, and every start is asked for once a fold."""
    data = make_preferences(error_rate=0.2)
    comparisons = make_comparisons(data.pairs, data.y)
    asked = []

    def start_of(train, held):
        asked.append((train, held))
        return np.zeros(len(comparisons))

    problem = make_problem(comparisons)
    choice = choose(comparisons, problem, start_of, alpha=None, extrapolation=None)
    assert len(asked) == 5
    assert not any((train & held).any() for train, held in asked)
    assert choice.alphas[0] == np.inf
    assert choice.held_out_loss[0] == pytest.approx(np.log(2))


def test_a_given_penalty_leaves_the_extrapolation_to_be_chosen(make_preferences):
    """Two losses: of not moving, and of moving under that penalty."""
    data = make_preferences(error_rate=0.2)
    comparisons = make_comparisons(data.pairs, data.y)
    problem = make_problem(comparisons)

    def start_of(train, held):
        return np.zeros(len(comparisons))

    choice = choose(comparisons, problem, start_of, alpha=50.0, extrapolation=None)
    assert choice.alpha == 50.0
    assert len(choice.held_out_loss) == 2
    assert choice.extrapolation > 1
