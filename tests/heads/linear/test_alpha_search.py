"""The penalty is chosen on held-out prompts, and does not depend on units."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads import LinearBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.alpha_search import (
    STRONG_PRIOR,
    USUAL_PRIOR,
    AlphaSearch,
    search_alpha,
)
from embrm.heads.linear.training import make_problem, mean_square_difference, minimise


def search(pairs, y, **options):
    comparisons = make_comparisons(pairs, y, **options)
    problem = make_problem(comparisons)
    return search_alpha(comparisons, problem), mean_square_difference(problem)


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
    found = search_alpha(comparisons, make_problem(comparisons))
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
    alpha = search_alpha(comparisons, problem).alpha
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
        return AlphaSearch(1.0, nothing, nothing, nothing, np.array(losses), weight)

    good, bad = found([0.1, 0.2, 0.3]), found([0.5, 0.6, 0.8])
    assert bad.is_clearly_worse(good)
    assert not good.is_clearly_worse(bad)
    assert not found([0.1, 0.2, 0.4]).is_clearly_worse(found([0.2, 0.1, 0.39]))
    assert not found([]).is_clearly_worse(found([]))
