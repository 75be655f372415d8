"""A linear start is honest about wins that it was fitted to."""

import numpy as np
import pytest
from scipy.optimize import minimize

from embrm import Pairs
from embrm.heads import Comparisons, LinearBradleyTerry, make_comparisons
from embrm.heads.boosted.bradley_terry import fit_linear_start
from embrm.heads.win_loss import best_scale


def accuracy(logit):
    return np.mean(logit > 0)


def test_logits_are_out_of_fold(make_preferences):
    """Labels that are coin tosses are right in sample, and a guess out of fold."""
    data = make_preferences(n_prompts=60, d=100, error_rate=0.5)
    comparisons = make_comparisons(data.pairs, data.y)
    head = LinearBradleyTerry(alpha=1e-3).fit_comparisons(comparisons)
    reward = head.reward(comparisons.items)
    in_sample = reward[comparisons.winner] - reward[comparisons.loser]
    assert accuracy(in_sample) > 0.68
    assert 0.35 < accuracy(fit_linear_start(comparisons).logit) < 0.65


def test_the_head_is_the_linear_head_on_all_wins(make_preferences):
    """Only its scale is judged out of fold."""
    data = make_preferences(error_rate=0.2)
    start = fit_linear_start(make_comparisons(data.pairs, data.y))
    linear = LinearBradleyTerry().fit(data.pairs, data.y)
    np.testing.assert_allclose(
        start.reward(data.pairs.items),
        start.scale * linear.reward(data.pairs.items),
        rtol=1e-12,
    )


def test_logits_know_what_prompts_are_worth():
    """Trees are not to grow on differences between prompts."""
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(40), 6)
    items = rng.normal(size=(240, 5))
    gold = items[:, 0] + 3 * rng.normal(size=40)[prompt]
    ids = rng.integers(240, size=(3000, 2))
    ids = ids[prompt[ids[:, 0]] != prompt[ids[:, 1]]]
    y = gold[ids[:, 0]] > gold[ids[:, 1]]
    start = fit_linear_start(make_comparisons(Pairs(items, ids, prompt), y))
    assert start.head.prompt_effects_
    assert accuracy(start.logit) > 0.85
    assert start.head.score(Pairs(items, ids), y) < 0.7


def test_one_pair_has_no_folds(make_preferences):
    """Nothing can be held out: logits are in sample, the scale is 1."""
    data = make_preferences()
    start = fit_linear_start(make_comparisons(data.pairs[:1]))
    assert start.scale == 1.0
    assert start.logit[0] > 0


BOUNDS = (-0.7, 10.0)


def wins_of(n, **columns):
    """Wins of which nothing counts but what they are told."""
    nobody = np.zeros(n, dtype=int)
    told = {"margin": np.zeros(n), "weight": np.ones(n)} | columns
    return Comparisons(np.empty((0, 1)), nobody, nobody, groups=None, **told)


def test_the_scale_is_that_of_clean_labels_where_flips_are_known():
    """Without knowing it is smaller."""
    rng = np.random.default_rng(0)
    delta = rng.normal(size=50_000)
    right = np.where(rng.random(50_000) < 1 / (1 + np.exp(-2 * delta)), 1, -1)
    said = np.where(rng.random(50_000) < 0.2, -right, right)
    known = wins_of(50_000, flip_rate=np.full(50_000, 0.2))
    assert best_scale(said * delta, known, BOUNDS) == pytest.approx(2.0, rel=0.05)
    assert best_scale(said * delta, wins_of(50_000), BOUNDS) < 1.3


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_the_scale_minimises_the_log_loss(margin):
    """As a general-purpose optimiser says."""
    rng = np.random.default_rng(0)
    delta, weight = rng.normal(size=500) + 0.5, rng.uniform(0.5, 2, 500)
    wanted = minimize(
        lambda s: weight @ np.logaddexp(0, margin - s[0] * delta), [1.0]
    ).x[0]
    wins = wins_of(500, margin=np.full(500, margin), weight=weight)
    got = best_scale(delta, wins, BOUNDS)
    assert got == pytest.approx(wanted, rel=0.02)


def test_separable_wins_have_a_finite_scale():
    """A label counts as (n + 1) / (n + 2)."""
    scale = best_scale(np.full(20, 0.5), wins_of(20), BOUNDS, doubt=1 / 22)
    assert scale * 0.5 == pytest.approx(np.log(21), rel=1e-3)
