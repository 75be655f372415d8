"""All folds are fitted at once as each would be alone, and judged by their order."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.design import PromptEffects
from embrm.heads.linear.differences import Differences
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.path import FoldPath
from embrm.heads.linear.problem import make_problem
from embrm.heads.validation_split import grouped_folds, held_out_by_item
from embrm.heads.win_loss import HeldOut, LogisticLoss, best_scale


def make(*, d=8, n_prompts=30, across=False, seed=0):
    """Draw noisy wins within prompts of four responses, or across them."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(4 * n_prompts, d)) + 0.3
    prompts = np.repeat(np.arange(n_prompts), 4)
    ids = rng.permutation(len(items)).reshape(-1, 2)
    if not across:
        ids = np.arange(len(items)).reshape(-1, 2)
    y = items[ids[:, 0], 0] - items[ids[:, 1], 0] + rng.normal(size=len(ids)) > 0
    return make_comparisons(Pairs(items, ids, prompts), y)


def path_of(wins, **options):
    differences = Differences.of(wins, None, **options)
    folds = grouped_folds(held_out_by_item(wins), 5)
    return FoldPath(differences, LogisticLoss(), wins.margin, folds), folds


@pytest.mark.parametrize("d", [8, 200])
@pytest.mark.parametrize("penalty", [100.0, 1.0, 0.01])
def test_every_fold_is_fitted_as_it_would_be_alone(d, penalty):
    """With more wins than columns, or fewer."""
    wins = make(d=d)
    path, folds = path_of(wins)
    fit = path.fit(penalty)
    problem, root = make_problem(wins), path.whole.root
    for k, (train, _) in enumerate(folds):
        part = problem.take(train)
        start = np.zeros(len(part.curvature))
        w, *_ = minimise(part, penalty * root**2, start, tol=1e-9, max_iter=99)
        expected = root * part.to_user(w)
        got = fit.weights[:, k]
        assert np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def test_held_out_wins_are_judged_at_their_best_scale():
    """No other factor has less loss."""
    wins = make()
    path, folds = path_of(wins)
    fit = path.fit(30.0)
    rows = [wins.items[wins.winner[v]] - wins.items[wins.loser[v]] for _, v in folds]
    deltas = [row @ fit.weights[:, k] / path.whole.root for k, row in enumerate(rows)]
    held = np.concatenate(deltas)
    told = HeldOut(np.zeros(len(held)), path.held_weight, None)
    assert fit.scale == pytest.approx(best_scale(held, told, (-3.0, 8.0)), rel=0.01)
    expected = np.logaddexp(0, -fit.scale * held)
    np.testing.assert_allclose(fit.losses, expected, rtol=1e-3)


def test_what_prompts_are_worth_has_a_scale_of_its_own():
    """A level of each prompt that swamps the responses changes no judgement."""
    wins = make(across=True, n_prompts=40)
    path, _ = path_of(wins, groups=wins.groups)
    folds = [(np.ones(len(wins), bool), np.ones(len(wins), bool))]
    path = FoldPath(path.whole, LogisticLoss(), wins.margin, folds)
    within = np.random.default_rng(0).normal(size=len(wins)) + 0.5
    between = np.random.default_rng(1).normal(size=len(wins)) + 0.1
    small, scale = path._judge(within, between)
    large, same = path._judge(within, 50 * between)
    np.testing.assert_allclose(large, small, rtol=1e-6)
    assert same == pytest.approx(scale)


def test_effects_of_prompts_are_columns():
    """Products, Gram matrix and curvature are those of the indicator columns."""
    wins = make(across=True, n_prompts=6)
    differences = Differences.of(wins, None, groups=wins.groups)
    effects = PromptEffects(2.0, 6)
    sparse = differences.with_effects(2.0 / differences.root)
    made = effects.append_to(wins).items
    dense = (made[wins.winner] - made[wins.loser]) / differences.root
    w = np.random.default_rng(0).normal(size=(dense.shape[1], 2)).astype(np.float32)
    np.testing.assert_allclose(sparse.times(w), dense @ w, atol=1e-5)
    v = dense @ w
    np.testing.assert_allclose(sparse.gather(v), dense.T @ v, atol=1e-3)
    np.testing.assert_allclose(sparse.gram, dense.T @ dense, atol=1e-3)


def test_between_prompts_is_what_their_means_differ_by():
    """The rest compares responses with the mean of their prompt."""
    wins = make(across=True, n_prompts=6)
    differences = Differences.of(wins, None, groups=wins.groups)
    w = np.ones((wins.items.shape[1], 1), np.float32)
    reward = wins.items @ w[:, 0]
    means = np.bincount(wins.groups, reward) / np.bincount(wins.groups)
    level = means[wins.groups] / differences.root
    expected = level[wins.winner] - level[wins.loser]
    np.testing.assert_allclose(
        differences.between_prompts(w)[:, 0], expected, atol=1e-5
    )


def test_separable_held_out_wins_have_a_finite_scale():
    """A small ridge stands for the doubt."""
    items = np.arange(40.0)[:, None]
    wins = make_comparisons(Pairs(items, np.arange(40).reshape(-1, 2)[:, ::-1]))
    path, _ = path_of(wins)
    fit = path.fit(1.0)
    assert 1.0 < fit.scale < 1e5
    assert np.isfinite(fit.losses).all()


def test_a_penalty_begins_where_the_last_one_ended(monkeypatch):
    """With what is known there: the same penalty again reads no wins."""
    path, _ = path_of(make())
    first = path.fit(3.0)
    n_read = []
    through = Differences.through
    monkeypatch.setattr(
        Differences, "through", lambda *a: n_read.append(1) or through(*a)
    )
    again = path.fit(3.0)
    assert not n_read
    np.testing.assert_array_equal(again.losses, first.losses)
    path.fit(1.0)
    assert n_read
    path.restart(path.position.copy())
    n_read.clear()
    path.fit(1.0)
    assert len(n_read) == 1
