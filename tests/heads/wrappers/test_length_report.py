"""The report on length is made on prompts that were held out."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.wrappers.length_report import (
    prompt_units,
    rank_correlations,
    report_length,
)


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
    units = prompt_units(wins)
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

        def score(items):
            scored = {prompt_of[item.tobytes()] for item in items}
            assert scored.isdisjoint(known)
            return np.zeros(len(items))

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
        lambda _: lambda items: items @ gold,
        lambda _: lambda items: -items @ gold,
        5,
    )
    assert report == pytest.approx((1.0, -1.0, 1.0, 0.0, 20, len(comparisons)))


def test_equal_rewards_have_no_correlation_and_half_consistency(wins):
    """NaN where no prompt has one; ties are one half."""
    comparisons, covariate = wins

    def blind(_):
        return lambda items: np.zeros(len(items))

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
