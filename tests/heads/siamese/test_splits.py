"""Members hold out what tells how well new items of interest are ordered."""

from dataclasses import replace

import numpy as np
import pytest

from embrm.heads import LinearBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.siamese._splits import draw_splits, enough_splits, linear_deltas


@pytest.fixture
def comparisons(make_preferences):
    data = make_preferences(n_prompts=60, error_rate=0.2)
    return make_comparisons(data.pairs, data.y)


def across(comparisons):
    """The same wins, as if each item were one of another prompt."""
    n_items = len(comparisons.items)
    groups = np.arange(n_items) % (n_items // 4)
    return replace(comparisons, groups=groups)


def units(comparisons, wins, per_item):
    ends = [comparisons.winner[wins], comparisons.loser[wins]]
    return set(per_item[np.concatenate(ends)].tolist())


def test_prompts_are_held_out_whole(comparisons):
    """No prompt is on both sides of a member's split."""
    for train, validation in draw_splits(comparisons, 0.1, 3, np.random.default_rng(0)):
        groups = comparisons.groups
        one, other = (units(comparisons, w, groups) for w in (train, validation))
        assert other
        assert not one & other


def test_items_are_held_out_where_wins_are_across_prompts(comparisons):
    """No item is on both sides, though its prompt is."""
    wins = across(comparisons)
    items = np.arange(len(wins.items))
    for train, validation in draw_splits(wins, 0.1, 2, np.random.default_rng(0)):
        assert not units(wins, train, items) & units(wins, validation, items)
        assert units(wins, train, wins.groups) & units(wins, validation, wins.groups)


def test_members_hold_out_different_wins(comparisons):
    """Together they see more than each alone."""
    one, other = draw_splits(comparisons, 0.2, 2, np.random.default_rng(0))
    assert not np.array_equal(one[1], other[1])


def test_too_few_wins_are_not_divided(comparisons):
    """Fewer than ten held-out wins say nothing."""
    few = comparisons.take(np.arange(12))
    assert draw_splits(few, 0.1, 2, np.random.default_rng(0)) == []


def test_no_more_splits_are_kept_than_needed():
    """Until there are a thousand held-out wins."""
    mask = np.ones(600, dtype=bool)
    assert len(enough_splits([(~mask, mask)] * 4)) == 2
    assert len(enough_splits([(~mask, mask & False)] * 4)) == 4


def test_linear_leads_are_those_of_heads_that_did_not_see_the_wins(comparisons):
    """Each split has a fit of its own, at the penalty of the whole."""
    linear = LinearBradleyTerry().fit_comparisons(comparisons)
    splits = draw_splits(comparisons, 0.1, 2, np.random.default_rng(0))
    expected = []
    for train, validation in splits:
        head = linear.with_selected_params()
        reward = head.fit_comparisons(comparisons.take(train)).reward(comparisons.items)
        held_out = comparisons.take(validation)
        expected.append(reward[held_out.winner] - reward[held_out.loser])
    found = linear_deltas(linear, comparisons, splits)
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-3, atol=1e-3)
