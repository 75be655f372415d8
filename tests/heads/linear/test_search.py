"""The prior is chosen on held-out prompts, and does not depend on units."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads import LinearBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import problem as linear_problem
from embrm.heads.linear import search as linear_search
from embrm.heads.linear.design import FitSettings
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import make_problem, mean_square_difference
from embrm.heads.linear.search import (
    STRONG_PRIOR,
    USUAL_PRIOR,
    PenaltySearch,
    choose_prior,
    search_penalty,
    subsample_comparisons,
)
from embrm.heads.validation_split import grouped_folds


def search(pairs, y, **options):
    comparisons = make_comparisons(pairs, y, **options)
    problem = make_problem(comparisons)
    found = search_penalty(problem, grouped_folds(comparisons, 5))
    return found, mean_square_difference(problem)


def test_noisier_labels_get_a_stronger_penalty(make_preferences):
    """What cannot be trusted is shrunk."""
    clean = make_preferences(n_prompts=40)
    noisy = make_preferences(n_prompts=40, error_rate=0.4)
    assert search(clean.pairs, clean.y)[0].alpha < search(noisy.pairs, noisy.y)[0].alpha


def test_random_labels_get_a_strong_penalty(make_preferences):
    """There is nothing to learn."""
    data = make_preferences(n_prompts=40, error_rate=0.5, seed=3)
    found, square = search(data.pairs, data.y)
    assert found.alpha > square


def test_with_few_held_out_wins_the_penalty_stays_near_the_usual_one(make_preferences):
    """Forty wins cannot tell penalties apart, whatever their labels say."""
    data = make_preferences(n_prompts=8, error_rate=0.5, seed=1)
    found, square = search(data.pairs[:40], data.y[:40])
    tau = np.sqrt(square / found.alpha)
    assert USUAL_PRIOR / 3 < tau < USUAL_PRIOR * 3


def test_the_choice_is_the_most_probable_penalty(make_preferences):
    """No tried penalty has more held-out likelihood times prior."""
    data = make_preferences(n_prompts=40, error_rate=0.2)
    found, square = search(data.pairs, data.y)
    tau = np.sqrt(square / found.alphas)
    doubt = np.log(tau / USUAL_PRIOR) ** 2 / (2 * 0.7**2)
    cost = found.held_out_loss * found.weight.sum() + doubt
    assert found.alpha == found.alphas[np.argmin(cost)]


def test_many_wins_need_few_folds():
    """A few thousand held-out wins tell penalties apart; one fold holds them out."""
    items = np.random.default_rng(0).normal(size=(60_000, 2))
    prompts = np.repeat(np.arange(30_000), 2)
    pairs = Pairs(items, np.arange(60_000).reshape(-1, 2), prompts)
    comparisons = make_comparisons(pairs, items[::2, 0] > items[1::2, 0])
    found = search_penalty(make_problem(comparisons), grouped_folds(comparisons, 5))
    assert len(found.weight) == 6_000


def test_the_path_goes_from_strong_to_weak_and_ends_early(make_preferences):
    """Noisy labels do not need the weak end."""
    data = make_preferences(n_prompts=40, error_rate=0.4)
    found, _ = search(data.pairs, data.y)
    assert (np.diff(found.alphas) < 0).all()
    assert len(found.alphas) == len(found.held_out_loss) < 13


def test_heads_with_a_linear_part_get_the_prior_of_the_linear_head(make_preferences):
    """Penalty and weights are those of the plain ridge."""
    data = make_preferences(n_prompts=40, d=12, error_rate=0.2)
    comparisons = make_comparisons(data.pairs, data.y)
    problem = make_problem(comparisons)
    alpha = search_penalty(problem, grouped_folds(comparisons, 5)).alpha
    head = LinearBradleyTerry(standardise=False).fit(data.pairs, data.y)
    assert alpha == head.alpha_
    w, *_ = minimise(problem, alpha, np.zeros(12), tol=1e-9, max_iter=50)
    np.testing.assert_allclose(problem.basis @ w, head.coef_, atol=1e-6)


def test_too_few_wins_get_the_strong_prior(make_preferences):
    """With a handful of pairs a choice would be a guess."""
    data = make_preferences(n_prompts=3, n_responses=2)
    found, square = search(data.pairs, data.y)
    assert found.alpha == pytest.approx(square / STRONG_PRIOR**2)
    assert len(found.alphas) == 0


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_the_scale_of_items_does_not_matter(make_preferences, factor):
    """alpha goes with the square of the items, so that rewards stay the same."""
    data = make_preferences(n_prompts=20, error_rate=0.2)
    scaled = Pairs(factor * data.pairs.items, data.pairs.ids, data.pairs.prompt_ids)
    one, other = search(data.pairs, data.y)[0], search(scaled, data.y)[0]
    # Other bytes may fall into other folds; the grid has half a decade per step.
    assert 0.09 < other.alpha / (factor**2 * one.alpha) < 11


def test_weights_count_as_copies(make_preferences):
    """The held-out loss is that of the copied pairs."""
    data = make_preferences(n_prompts=20, error_rate=0.2)
    weight = np.random.default_rng(0).integers(1, 4, len(data.y))
    copies = np.repeat(np.arange(len(data.y)), weight)
    weighted, _ = search(data.pairs, data.y, sample_weight=weight)
    copied, _ = search(data.pairs[copies], data.y[copies])
    assert weighted.alpha == copied.alpha
    np.testing.assert_allclose(weighted.held_out_loss, copied.held_out_loss)


def test_a_search_is_clearly_worse_by_more_than_one_error():
    """A search that held nothing out is never worse."""

    def found(losses):
        nothing = np.empty(0)
        weight = np.ones(len(losses))
        return PenaltySearch(1.0, nothing, nothing, nothing, np.array(losses), weight)

    good, bad = found([0.1, 0.2, 0.3]), found([0.5, 0.6, 0.8])
    assert bad.is_clearly_worse(good)
    assert not good.is_clearly_worse(bad)
    assert not found([0.1, 0.2, 0.4]).is_clearly_worse(found([0.2, 0.1, 0.39]))
    assert not found([]).is_clearly_worse(found([]))


SETTINGS = FitSettings(prompt_effects=False)


def make(widths, *, ruled_by=0, n=600, seed=0):
    """Draw wins that one column decides, among columns of some widths."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(n, len(widths))).astype(np.float32)
    gold = 3 * items[:, ruled_by]
    ids = rng.permutation(n).reshape(-1, 2)
    y = rng.random(len(ids)) < 1 / (1 + np.exp(gold[ids[:, 1]] - gold[ids[:, 0]]))
    pairs = Pairs(items * np.asarray(widths, np.float32), ids, np.arange(n) // 2)
    return make_comparisons(pairs, y)


def test_columns_of_different_width_are_standardised():
    """A narrow column may carry the reward."""
    comparisons = make([0.1, 1.0, 1.0, 1.0])
    scale = choose_prior(comparisons, SETTINGS).scale
    np.testing.assert_allclose(scale, comparisons.items.std(axis=0), rtol=1e-5)


def test_a_column_that_rules_is_left_as_it_is():
    """Who made it wider than all others together chose its scale."""
    scale = choose_prior(make([9.0, 1.0, 1.0]), SETTINGS).scale
    assert scale is None


def test_columns_of_one_width_are_searched_once(monkeypatch):
    """To standardise them or not is the same."""
    made = []
    search = linear_search.search_penalty
    monkeypatch.setattr(
        linear_search,
        "search_penalty",
        lambda *a, **k: made.append(1) or search(*a, **k),
    )
    choose_prior(make([1.0, 1.0, 1.0]), SETTINGS)
    assert len(made) == 1
    choose_prior(make([1.0, 2.0, 2.0]), SETTINGS)
    assert len(made) == 3


@pytest.mark.parametrize("widths", [[1.0, 1.0, 1.0], [0.2, 1.0, 3.0, 4.0]])
def test_a_low_precision_search_in_place_chooses_the_same(monkeypatch, widths):
    """Float32 and a shared Hessian do not change the penalty, nor the scale."""
    comparisons = make(widths)
    exact = choose_prior(comparisons, SETTINGS)
    monkeypatch.setattr(linear_problem, "_LARGEST_COPY", 0)
    low_precision = choose_prior(comparisons, SETTINGS)
    np.testing.assert_array_equal(low_precision.scale, exact.scale)
    assert low_precision.search.alpha == pytest.approx(exact.search.alpha, rel=1e-4)
    np.testing.assert_allclose(
        low_precision.search.held_out_loss, exact.search.held_out_loss, rtol=1e-3
    )


def test_few_wins_are_left_as_they_are(make_preferences):
    """There is nothing to leave out."""
    data = make_preferences(n_prompts=5)
    wins = make_comparisons(data.pairs, data.y)
    assert subsample_comparisons(wins, len(wins)) is wins


def test_prompts_are_kept_whole(make_preferences):
    """All wins within a kept prompt are kept, and about as many as asked for."""
    data = make_preferences(n_prompts=40)
    wins = make_comparisons(data.pairs, data.y)
    few = subsample_comparisons(wins, 60)
    assert 60 <= len(few) < len(wins)
    before = np.bincount(wins.groups[wins.winner])
    after = np.bincount(few.groups[few.winner], minlength=len(before))
    assert set(after) - {0} <= set(before)


def test_wins_keep_their_vectors_and_weights(make_preferences):
    """Items are numbered anew, and mean the same."""
    data = make_preferences(n_prompts=40, error_rate=0.2)
    weight = np.random.default_rng(0).uniform(1, 2, len(data.y))
    wins = make_comparisons(data.pairs, data.y, weight)
    few = subsample_comparisons(wins, 50)

    def content(comparisons):
        ends = [comparisons.items[comparisons.winner]]
        ends += [comparisons.items[comparisons.loser], comparisons.weight[:, None]]
        return {row.tobytes() for row in np.hstack(ends)}

    assert content(few) <= content(wins)
    assert len(np.unique([few.winner, few.loser])) == len(few.items)
