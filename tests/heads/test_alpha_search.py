"""The penalty is chosen by held-out loss, and does not depend on units."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.alpha_search import STRONG_PRIOR, search_alpha
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear_training import make_problem, mean_square_difference


def search(pairs, y, **options):
    comparisons = make_comparisons(pairs, y, **options)
    problem = make_problem(comparisons)
    return search_alpha(comparisons, problem), mean_square_difference(problem)


def test_noisier_labels_get_a_stronger_penalty(make_preferences):
    """What cannot be trusted is shrunk."""
    clean = make_preferences(n_prompts=40)
    noisy = make_preferences(n_prompts=40, error_rate=0.4)
    assert search(clean.pairs, clean.y)[0].alpha < search(noisy.pairs, noisy.y)[0].alpha


def test_random_labels_get_the_strongest_penalty(make_preferences):
    """There is nothing to learn, and the rule prefers the strongest of equals."""
    data = make_preferences(n_prompts=40, error_rate=0.5, seed=3)
    found, _ = search(data.pairs, data.y)
    assert found.alpha >= found.alphas[2]


def test_the_choice_is_within_one_standard_error_of_the_best(make_preferences):
    """It is never weaker than the best, and never far from it."""
    data = make_preferences(n_prompts=40, error_rate=0.2)
    found, _ = search(data.pairs, data.y)
    chosen = int(np.flatnonzero(found.alphas == found.alpha)[0])
    best = int(np.argmin(found.held_out_loss))
    assert chosen <= best
    assert found.held_out_loss[chosen] < np.log(2)


def test_the_path_goes_from_strong_to_weak_and_ends_early(make_preferences):
    """Noisy labels do not need the weak end."""
    data = make_preferences(n_prompts=40, error_rate=0.4)
    found, _ = search(data.pairs, data.y)
    assert (np.diff(found.alphas) < 0).all()
    assert len(found.alphas) == len(found.held_out_loss) < 13


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
    """Folds and standard errors are those of the copied pairs."""
    data = make_preferences(n_prompts=20, error_rate=0.2)
    weight = np.random.default_rng(0).integers(1, 4, len(data.y))
    copies = np.repeat(np.arange(len(data.y)), weight)
    weighted, _ = search(data.pairs, data.y, sample_weight=weight)
    copied, _ = search(data.pairs[copies], data.y[copies])
    assert weighted.alpha == copied.alpha
    np.testing.assert_allclose(weighted.held_out_loss, copied.held_out_loss)
