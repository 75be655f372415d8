"""The prior is chosen on held-out prompts, and does not depend on units."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads import LinearBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import search as linear_search
from embrm.heads.linear.design import FitSettings
from embrm.heads.linear.problem import make_problem, mean_square_difference
from embrm.heads.linear.search import (
    STRONG_PRIOR,
    USUAL_PRIOR,
    PenaltySearch,
    Trial,
    choose_prior,
    penalty_at_scale_one,
)
from embrm.heads.validation_split import subsample_comparisons


def search(pairs, y, **options):
    comparisons = make_comparisons(pairs, y, **options)
    found = Trial.of(comparisons, FitSettings()).search(None)
    return found, mean_square_difference(make_problem(comparisons))


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


def test_the_choice_is_the_mean_over_likely_penalties(make_preferences):
    """Each tried penalty counts by its held-out likelihood times its prior."""
    data = make_preferences(n_prompts=40, error_rate=0.2)
    found, square = search(data.pairs, data.y)
    tau = np.sqrt(square / found.alphas)
    doubt = np.log(tau / USUAL_PRIOR) ** 2 / (2 * 1.5**2)
    cost = found.held_out_loss * found.weight.sum() + doubt
    likely = np.exp(cost.min() - cost)
    mean = np.exp(likely @ np.log(found.alphas) / likely.sum())
    assert found.alpha == pytest.approx(mean)


def test_the_order_decides_and_not_the_scale(make_preferences):
    """Shrinking every reward would lower the loss at scale one; here it is free."""
    data = make_preferences(n_prompts=60, d=40, error_rate=0.4, seed=4)
    comparisons = make_comparisons(data.pairs, data.y)
    found = Trial.of(comparisons, FitSettings()).search(None)
    fixed = Trial.of(comparisons, FitSettings(reward_scale=1.0)).search(None)
    assert fixed.scale == 1.0
    # The same grid: at its best scale no penalty has more loss than at scale one.
    n = min(len(found.alphas), len(fixed.alphas))
    excess = found.held_out_loss[:n] - fixed.held_out_loss[:n]
    assert (excess < 1e-4).all()
    assert excess[0] < -1e-4


def test_many_wins_are_searched_on_some_of_them():
    """Whole prompts are kept, all of whose wins are held out once."""
    items = np.random.default_rng(0).normal(size=(60_000, 2))
    prompts = np.repeat(np.arange(30_000), 2)
    pairs = Pairs(items, np.arange(60_000).reshape(-1, 2), prompts)
    comparisons = make_comparisons(pairs, items[::2, 0] > items[1::2, 0])
    found = Trial.of(comparisons, FitSettings()).search(None)
    assert len(found.weight) == 20_000


def test_the_path_goes_from_strong_to_weak_and_ends_early(make_preferences):
    """The weak end is left out where it is hopeless."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(2400, 300))
    y = items[::2, 0] + 3 * rng.normal(size=1200) > items[1::2, 0]
    pairs = Pairs(items, np.arange(2400).reshape(-1, 2), np.arange(2400) // 2)
    found, _ = search(pairs, y)
    assert (np.diff(found.alphas) < 0).all()
    assert len(found.alphas) == len(found.held_out_loss) < 16


def test_heads_that_do_not_scale_get_a_penalty_for_that(make_preferences):
    """It is weaker than where the scale is free: deltas must not be too small."""
    data = make_preferences(n_prompts=40, d=12, error_rate=0.2)
    comparisons = make_comparisons(data.pairs, data.y)
    assert penalty_at_scale_one(comparisons) < search(data.pairs, data.y)[0].alpha


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
    # Other bytes may fall into other folds; that moves the choice.
    assert 0.09 < other.alpha / (factor**2 * one.alpha) < 11


def test_weights_count_as_copies(make_preferences):
    """The held-out loss is that of the copied pairs."""
    data = make_preferences(n_prompts=20, error_rate=0.2)
    weight = np.random.default_rng(0).integers(1, 4, len(data.y))
    copies = np.repeat(np.arange(len(data.y)), weight)
    weighted, _ = search(data.pairs, data.y, sample_weight=weight)
    copied, _ = search(data.pairs[copies], data.y[copies])
    assert weighted.alpha == pytest.approx(copied.alpha, rel=1e-4)
    np.testing.assert_allclose(weighted.held_out_loss, copied.held_out_loss, rtol=1e-4)


def test_a_search_is_clearly_worse_by_more_than_one_error():
    """A search that held nothing out is never worse."""

    def found(losses):
        nothing = np.empty(0)
        weight = np.ones(len(losses))
        return PenaltySearch(1.0, nothing, losses=np.array(losses), weight=weight)

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
    made, follow = [], linear_search.follow
    monkeypatch.setattr(
        linear_search, "follow", lambda path: made.append(1) or follow(path)
    )
    choose_prior(make([1.0, 1.0, 1.0]), SETTINGS)
    assert len(made) == 1
    choose_prior(make([1.0, 2.0, 2.0]), SETTINGS)
    assert len(made) == 3


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


def test_across_prompts_penalty_and_scale_are_chosen_on_all_wins():
    """Folds of items would hold out few of them; those of separate pairs hold out all.

    Prompts are known here, and pairs are across them.
    """
    rng = np.random.default_rng(0)
    items = rng.normal(size=(1200, 8))
    ids = rng.permutation(1200).reshape(-1, 2)
    delta = 2 * (items[ids[:, 0], 0] - items[ids[:, 1], 0])
    y = (rng.random(600) < 1 / (1 + np.exp(-delta))).astype(float)
    wins = make_comparisons(Pairs(items, ids, np.arange(1200) // 4), y)
    found = Trial.of(wins, FitSettings()).search(None)
    assert len(found.weight) == 600
    assert found.scale_error < 0.1
    head = LinearBradleyTerry(prompt_effects=False).fit(Pairs(items, ids), y)
    assert 1.4 < head.coef_[0] < 2.8


@pytest.mark.parametrize("prompt_effects", ["auto", True])
def test_prompts_of_hardly_two_items_have_effects_where_asked_for(prompt_effects):
    """They are not chosen by a search that cannot tell prompts, and such a fit ends."""
    rng = np.random.default_rng(0)
    for n in (60, 100, 140):
        items = rng.normal(size=(2 * n, 24)) / np.sqrt(1 + np.arange(24))
        ids = rng.permutation(2 * n).reshape(-1, 2)
        pairs = Pairs(items, ids, np.arange(2 * n) * 2 // 3)
        y = (items[ids[:, 0], 0] > items[ids[:, 1], 0]) != (rng.random(n) < 0.2)
        head = LinearBradleyTerry(prompt_effects=prompt_effects).fit(pairs, y)
        assert head.coef_.shape == (24,)
        assert head.prompt_effects_ == (prompt_effects is True)
