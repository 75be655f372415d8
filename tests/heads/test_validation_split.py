"""Splits inside a head hold whole groups out, and never part a pair from its mirror."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm import Pairs
from embrm.heads import make_comparisons
from embrm.heads.validation_split import (
    grouped_folds,
    held_out_by_item,
    holdout,
    share_across_prompts,
    split_units,
    strongest_within_one_error,
    subsample_comparisons,
)


def groups_of(comparisons, wins):
    """Groups of both ends of some wins."""
    ends = np.stack([comparisons.winner, comparisons.loser])[:, wins]
    return set(comparisons.groups[ends].ravel())


def items_of(comparisons, wins):
    return set(comparisons.winner[wins]) | set(comparisons.loser[wins])


@pytest.fixture
def cross_prompt():
    """300 pairs of items of different prompts."""
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(50), 4)
    ids = rng.integers(0, 200, (600, 2))
    ids = ids[prompts[ids[:, 0]] != prompts[ids[:, 1]]][:300]
    return make_comparisons(Pairs(rng.normal(size=(200, 2)), ids, prompts))


def test_folds_of_one_prompt_pairs_hold_every_win_out_once(make_preferences):
    """Training and validation are complementary, and every win is validated."""
    data = make_preferences(n_prompts=10)
    comparisons = make_comparisons(data.pairs, data.y)
    folds = grouped_folds(comparisons, 5)
    assert len(folds) == 5
    np.testing.assert_array_equal(sum(v.astype(int) for _, v in folds), 1)
    for train, validation in folds:
        np.testing.assert_array_equal(train, ~validation)


def test_folds_share_no_prompt_group(make_preferences):
    """No group is on both sides."""
    data = make_preferences(n_prompts=10)
    comparisons = make_comparisons(data.pairs, data.y)
    for train, validation in grouped_folds(comparisons, 4):
        assert not groups_of(comparisons, train) & groups_of(comparisons, validation)


def test_folds_are_of_similar_size(make_preferences):
    """Equal groups give equal folds."""
    data = make_preferences(n_prompts=20)
    comparisons = make_comparisons(data.pairs, data.y)
    sizes = [validation.sum() for _, validation in grouped_folds(comparisons, 5)]
    assert max(sizes) == min(sizes)


def test_both_ends_of_a_cross_prompt_win_are_held_out(cross_prompt):
    """Mixed wins are on neither side: the split would leak through the other end."""
    for train, validation in grouped_folds(cross_prompt, 3):
        assert not (train & validation).any()
        assert not groups_of(cross_prompt, train) & groups_of(cross_prompt, validation)
        assert not (train | validation).all()


def test_items_are_held_out_where_most_wins_cross_prompts(
    cross_prompt, make_preferences
):
    """And whole prompts where they do not, or are unknown."""
    assert share_across_prompts(cross_prompt) == 1.0
    by_item = held_out_by_item(cross_prompt)
    linked = [split_units(cross_prompt), split_units(by_item)]
    assert len(np.unique(linked[1])) > len(np.unique(linked[0]))
    for train, validation in grouped_folds(by_item, 5):
        assert not items_of(by_item, train) & items_of(by_item, validation)
    data = make_preferences()
    within = make_comparisons(data.pairs, data.y)
    unknown = make_comparisons(Pairs(data.pairs.items, data.pairs.ids), data.y)
    for comparisons in (within, unknown):
        assert share_across_prompts(comparisons) == 0.0
        assert held_out_by_item(comparisons) is comparisons


def test_every_win_across_prompts_is_held_out_once_where_items_are_in_few():
    """Pairs of fresh items are linked to no others: none is lost between folds."""
    ids = np.arange(40).reshape(-1, 2)
    prompts = np.random.default_rng(0).permutation(np.arange(40) // 4)
    wins = make_comparisons(Pairs(np.eye(40), ids, prompts))
    assert share_across_prompts(wins) > 0.5
    folds = grouped_folds(held_out_by_item(wins), 5)
    held_out = np.sum([validation for _, validation in folds], axis=0)
    assert (held_out == 1).all()
    assert all((train != validation).all() for train, validation in folds)


def test_unknown_prompts_are_split_by_connected_component():
    """Items that are linked by pairs stay together."""
    ids = [[0, 1], [1, 2], [3, 4], [4, 5], [6, 7], [8, 9]]
    comparisons = make_comparisons(Pairs(np.arange(10.0)[:, None], ids))
    folds = grouped_folds(comparisons, 2)
    assert folds
    for train, validation in folds:
        assert not items_of(comparisons, train) & items_of(comparisons, validation)


def test_one_component_is_split_by_item():
    """A connected tournament has no groups to hold out."""
    ids = [[i, j] for i in range(12) for j in range(i)]
    comparisons = make_comparisons(Pairs(np.arange(12.0)[:, None], ids))
    assert len(np.unique(split_units(comparisons))) == 12
    for train, validation in grouped_folds(comparisons, 3):
        assert not items_of(comparisons, train) & items_of(comparisons, validation)


def test_a_single_prompt_is_split_by_item():
    """With one prompt there is nothing else to split."""
    ids = [[i, j] for i in range(8) for j in range(i)]
    pairs = Pairs(np.arange(8.0)[:, None], ids, prompt_ids=["only"] * 8)
    assert len(np.unique(split_units(make_comparisons(pairs)))) == 8


def test_a_single_pair_makes_no_fold():
    """One item each side leaves no win on either."""
    assert grouped_folds(make_comparisons(Pairs(np.eye(2), [[0, 1]])), 5) == []


def test_a_single_pair_is_not_held_out():
    """All of it is for training."""
    comparisons = make_comparisons(Pairs(np.eye(2), [[0, 1]]))
    train, validation = holdout(comparisons, 0.1, np.random.default_rng(0))
    assert train.all()
    assert not validation.any()


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_about_the_asked_fraction_is_held_out(make_preferences, fraction):
    """As many groups are drawn as are needed, and no more."""
    data = make_preferences(n_prompts=100)
    comparisons = make_comparisons(data.pairs, data.y)
    _, validation = holdout(comparisons, fraction, np.random.default_rng(1))
    assert fraction <= validation.mean() < fraction + 0.02


def test_cross_prompt_data_keep_most_of_their_training_wins(cross_prompt):
    """At most twice the fraction of the groups is drawn."""
    train, validation = holdout(cross_prompt, 0.1, np.random.default_rng(0))
    assert train.mean() > 0.5
    assert validation.any()


def test_the_same_seed_holds_the_same_wins_out(cross_prompt):
    """All randomness is the generator's."""
    one = holdout(cross_prompt, 0.2, np.random.default_rng(3))
    other = holdout(cross_prompt, 0.2, np.random.default_rng(3))
    np.testing.assert_array_equal(one, other)


def test_another_seed_holds_other_wins_out(cross_prompt):
    """The draw is random."""
    one = holdout(cross_prompt, 0.2, np.random.default_rng(3))
    other = holdout(cross_prompt, 0.2, np.random.default_rng(4))
    assert (one[1] != other[1]).any()


@st.composite
def mirrored(draw):
    """Random pairs, each with its mirror, with or without prompts."""
    n_items = draw(st.integers(3, 20))
    n_pairs = draw(st.integers(1, 30))
    ends = st.tuples(st.integers(0, n_items - 1), st.integers(1, n_items - 1))
    ids = np.array([draw(ends) for _ in range(n_pairs)])
    ids[:, 1] = (ids[:, 0] + ids[:, 1]) % n_items
    ids = np.concatenate([ids, ids[:, ::-1]])
    labels = st.lists(st.integers(0, 4), min_size=n_items, max_size=n_items)
    prompts = draw(st.none() | labels)
    items = np.random.default_rng(0).normal(size=(n_items, 2))
    return make_comparisons(Pairs(items, ids, prompts))


def assert_no_leak(comparisons, train, validation):
    assert not (train & validation).any()
    assert not items_of(comparisons, train) & items_of(comparisons, validation)
    ends = np.stack([comparisons.winner, comparisons.loser])
    for one, other in ((train, validation), (validation, train)):
        held = {tuple(end) for end in ends[:, one].T}
        assert not held & {tuple(end[::-1]) for end in ends[:, other].T}


@settings(max_examples=100)
@given(mirrored(), st.integers(2, 6))
def test_no_fold_parts_a_pair_from_its_mirror(comparisons, n_folds):
    """Whatever the graph, the two sides share no item, so no mirror either."""
    for train, validation in grouped_folds(comparisons, n_folds):
        assert_no_leak(comparisons, train, validation)
        assert train.any()
        assert validation.any()


@settings(max_examples=100)
@given(mirrored(), st.floats(0.01, 0.9), st.integers(0, 99))
def test_no_holdout_parts_a_pair_from_its_mirror(comparisons, fraction, seed):
    """The same holds for the random split, which leaves wins to train on."""
    train, validation = holdout(comparisons, fraction, np.random.default_rng(seed))
    assert_no_leak(comparisons, train, validation)
    assert train.any()


def test_a_difference_within_noise_takes_the_stronger_penalty():
    """The second row is best by less than its error."""
    losses = np.array([[0.3, 0.1, 0.3, 0.1], [0.1, 0.25, 0.1, 0.25]])
    assert strongest_within_one_error(losses, np.ones(4)) == 0


def test_a_clear_difference_takes_the_best():
    """All units agree."""
    losses = np.array([[0.3, 0.4], [0.2, 0.3], [0.25, 0.35]])
    assert strongest_within_one_error(losses, np.ones(2)) == 1


def test_units_without_weight_do_not_count():
    """Only the first unit has a say."""
    losses = np.array([[0.3, 0.0], [0.2, 9.0]])
    assert strongest_within_one_error(losses, np.array([1.0, 0.0])) == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_sample_of_wins_copies_items_only_where_prompts_are_known(known):
    """Else items that are in none of them matter to no split: it is the same."""
    rng = np.random.default_rng(0)
    items, ids = rng.normal(size=(600, 2)), np.arange(600).reshape(-1, 2)
    wins = make_comparisons(Pairs(items, ids, np.arange(600) // 4 if known else None))
    few = subsample_comparisons(wins, 100)
    rows, ends = np.unique(np.stack([few.winner, few.loser]), return_inverse=True)
    winner, loser = ends.reshape(2, -1)
    groups = None if few.groups is None else few.groups[rows]
    alone = replace(
        few, items=few.items[rows], winner=winner, loser=loser, groups=groups
    )
    assert (few.items is wins.items) is not known
    for one, other in zip(grouped_folds(few, 5), grouped_folds(alone, 5), strict=True):
        np.testing.assert_array_equal(one, other)
