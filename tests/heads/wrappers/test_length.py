"""Length stays with its item, and its direction can be taken out."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import make_comparisons
from embrm.heads.wrappers._length import (
    append_covariate,
    center_by_unit,
    check_item_lengths,
    covarying_direction,
    erase,
    nuisance_column,
    rank_correlations,
    remove_covariate,
    report_length,
    taking_part,
)

PAIRS = Pairs(np.eye(4), [[0, 1], [2, 1]])


def test_lengths_by_item_are_taken_as_they_are():
    """In float64."""
    np.testing.assert_array_equal(check_item_lengths([5, 6, 7, 8], PAIRS), [5, 6, 7, 8])


def test_lengths_by_pair_go_to_their_items():
    """The mean over an item's occurrences, 0 where it has none."""
    got = check_item_lengths([[5, 6], [7, 8]], PAIRS)
    np.testing.assert_array_equal(got, [5, 7, 7, 0])


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (None, "the lengths of items; got none"),
        ([1, 2, 3], r"lengths of shape \(4,\).*or \(2, 2\).*got shape \(3,\)"),
        ([1, 2, 3, -4], "finite lengths >= 0; got -4 at index 3"),
        ([[1, 2], [np.nan, 4]], r"got nan at index \(1, 0\)"),
        (["a"] * 4, "numeric lengths"),
    ],
)
def test_bad_lengths_are_refused(lengths, message):
    """With what was expected, got, and to do."""
    with pytest.raises(InvalidInputError, match=message):
        check_item_lengths(lengths, PAIRS)


def test_a_covariate_follows_its_item_through_sorting(make_preferences):
    """Canonical comparisons reorder items; each keeps its length."""
    data = make_preferences()
    covariate = data.gold + 10
    wins = make_comparisons(append_covariate(data.pairs, covariate), data.y)
    plain, got = remove_covariate(wins)
    direct = make_comparisons(data.pairs, data.y)
    np.testing.assert_array_equal(plain.items, direct.items)
    np.testing.assert_array_equal(plain.winner, direct.winner)
    np.testing.assert_array_equal(plain.groups, direct.groups)
    np.testing.assert_allclose(got, plain.items @ np.linspace(1, -1, 5) + 10)


def test_equal_vectors_of_different_length_remain_two():
    """They can be told apart by length, and by nothing else."""
    pairs = Pairs(np.ones((2, 3)), [[0, 1]])
    plain, covariate = remove_covariate(
        make_comparisons(append_covariate(pairs, np.array([1.0, 2.0])))
    )
    assert len(plain.items) == 2
    assert sorted(covariate) == [1.0, 2.0]


def test_float16_items_carry_lengths_in_float32():
    """2,049 characters are not 2,048."""
    pairs = Pairs(np.eye(2, dtype=np.float16), [[0, 1]])
    items = append_covariate(pairs, np.array([2048.0, 2049.0])).items
    assert items.dtype == np.float32
    np.testing.assert_array_equal(items[:, -1], [2048.0, 2049.0])


def test_the_nuisance_column_has_three_times_the_spread_of_the_items():
    """And mean 0."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(200, 7)) * 5 + 3
    column = nuisance_column(items, rng.normal(size=200) + 100)
    assert column.mean() == pytest.approx(0, abs=1e-9)
    assert column.var() == pytest.approx(9 * items.var(axis=0).sum())


def test_a_constant_covariate_gives_a_column_of_zeros():
    """Equal lengths explain nothing."""
    column = nuisance_column(np.eye(3), np.full(3, 0.1))
    np.testing.assert_array_equal(column, 0.0)


def test_constant_items_leave_the_column_a_spread():
    """Nothing to compare it with is no reason to drop it."""
    assert nuisance_column(np.ones((2, 3)), np.array([1.0, 2.0])).any()


def test_after_erasure_nothing_covaries_within_units():
    """The covariance of each column with the covariate is zero."""
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(30), 5)
    covariate = rng.normal(size=150) + unit
    items = rng.normal(size=(150, 6)) + np.outer(covariate, rng.normal(size=6))
    direction = covarying_direction(items, covariate, unit)
    level = float(items.mean(axis=0) @ direction)
    erased = erase(items, direction, level)
    within = center_by_unit(covariate, unit)
    assert np.abs(items.T @ within).max() > 10
    np.testing.assert_allclose(erased.T @ within, 0, atol=1e-9)


def test_erasure_changes_one_direction_only():
    """What is orthogonal to it stays; along it all items are level."""
    rng = np.random.default_rng(0)
    items, direction = rng.normal(size=(20, 3)), np.array([0.6, 0.8, 0.0])
    erased = erase(items, direction, 1.5)
    np.testing.assert_allclose(erased @ direction, 1.5)
    for other in ([-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]):
        np.testing.assert_allclose(erased @ other, items @ other)


def test_no_direction_erases_nothing():
    """A covariate that is constant within units covaries with nothing."""
    items = np.random.default_rng(0).normal(size=(6, 3))
    unit = np.array([0, 0, 1, 1, 2, 2])
    direction = covarying_direction(items, unit * 1.0, unit)
    np.testing.assert_array_equal(direction, 0)
    np.testing.assert_array_equal(erase(items, direction, 0.0), items)


def test_items_of_no_win_take_no_part():
    """A fold keeps all items and some wins."""
    wins = make_comparisons(Pairs(np.eye(4), [[0, 1], [2, 3]]))
    assert taking_part(wins.take(np.array([0]))).sum() == 2


def test_rank_correlations_are_scipys():
    """Unit by unit, with ties."""
    rng = np.random.default_rng(0)
    unit = rng.integers(0, 20, 200)
    first, second = rng.integers(0, 5, 200) * 1.0, rng.normal(size=200)
    wanted = [
        spearmanr(first[unit == u], second[unit == u]).statistic for u in range(20)
    ]
    np.testing.assert_allclose(rank_correlations(first, second, unit), wanted)


def test_constant_units_are_left_out():
    """A correlation needs two values on both sides."""
    unit = np.array([0, 0, 1, 1, 2])
    first, second = np.array([1.0, 1, 2, 3, 4]), np.array([1.0, 2, 5, 4, 3])
    assert rank_correlations(first, second, unit).tolist() == [-1.0]


def test_unknown_prompts_are_connected_components():
    """Items that were compared, directly or not, are of one unit."""
    wins = make_comparisons(Pairs(np.eye(5), [[0, 1], [1, 2], [3, 4]]))
    units = wins.units()
    assert sorted(np.bincount(units)) == [2, 3]


@pytest.fixture
def wins(make_preferences):
    """Comparisons, with a covariate that is the planted reward."""
    data = make_preferences(n_prompts=20)
    wins = make_comparisons(data.pairs, data.y)
    return wins, wins.items @ np.linspace(1, -1, 5)


def test_scorers_are_fitted_on_other_prompts_than_they_score(wins):
    """No training prompt among the items to score."""
    comparisons, covariate = wins
    prompt_of = {row.tobytes(): g for row, g in zip(*_items(comparisons), strict=True)}

    def fit(train):
        known = set(comparisons.groups[train.winner])

        def score(items, ids):
            scored = {prompt_of[item.tobytes()] for item in items}
            assert scored.isdisjoint(known)
            return np.zeros(len(items)), np.zeros(len(ids))

        return score

    report = report_length(comparisons, covariate, fit, fit, 4)
    assert report.n_wins == len(comparisons)


def test_figures_are_those_of_the_scorers(wins):
    """A perfect scorer, and one that is upside down."""
    comparisons, covariate = wins
    gold = np.linspace(1, -1, 5)
    report = report_length(
        comparisons,
        covariate,
        lambda _: lambda items, ids: (items @ gold, items[ids] @ gold @ [1.0, -1.0]),
        lambda _: lambda items, ids: (-items @ gold, items[ids] @ gold @ [-1.0, 1.0]),
        5,
    )
    assert report == pytest.approx((1.0, -1.0, 1.0, 0.0, 20, len(comparisons)))


def test_equal_rewards_have_no_correlation_and_half_consistency(wins):
    """NaN where no prompt has one; ties are one half."""
    comparisons, covariate = wins

    def blind(_):
        return lambda items, ids: (np.zeros(len(items)), np.zeros(len(ids)))

    report = report_length(comparisons, covariate, blind, blind, 5)
    assert np.isnan(report.spearman_before)
    assert report.order_consistency_after == 0.5
    assert report.n_prompts == 0


def test_one_pair_has_no_report():
    """There is nothing to hold out."""
    comparisons = make_comparisons(Pairs(np.eye(2), [[0, 1]]))
    assert report_length(comparisons, np.zeros(2), None, None, 5) is None


def _items(comparisons):
    return comparisons.items, comparisons.groups
