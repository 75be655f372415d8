"""Uncertainty: decompositions, abstention, conformal sets and their coverage."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from embrm import RewardModel
from embrm.evaluate import (
    ConformalDifferences,
    ConformalPairs,
    brier_decomposition,
    order_consistency,
    risk_coverage,
)
from embrm.exceptions import InvalidInputError

DELTAS = st.lists(st.floats(-5, 5), min_size=4, max_size=40)


@given(DELTAS, st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_the_parts_add_up_to_the_brier_score(deltas, seed):
    """And reliability, resolution and uncertainty are not negative."""
    y = np.random.default_rng(seed).integers(0, 2, len(deltas))
    parts = brier_decomposition(deltas, y)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    assert total == pytest.approx(parts.brier)
    assert min(parts.reliability, parts.resolution, parts.uncertainty) >= -1e-12


def test_a_calibrated_head_has_little_to_lose_by_reliability():
    """An overconfident one has."""
    rng = np.random.default_rng(0)
    delta = rng.normal(size=20_000)
    y = (rng.random(20_000) < expit(delta)).astype(float)
    assert brier_decomposition(delta, y).reliability < 0.001
    assert brier_decomposition(4 * delta, y).reliability > 0.01
    # The same order: the same resolution.
    assert brier_decomposition(4 * delta, y).resolution == pytest.approx(
        brier_decomposition(delta, y).resolution
    )


@given(DELTAS)
@settings(max_examples=50)
def test_deciding_all_pairs_has_the_error_of_the_head(deltas):
    """The curve ends there, and coverage ascends."""
    curve = risk_coverage(deltas)
    assert curve.coverage[-1] == pytest.approx(1.0)
    assert (np.diff(curve.coverage) > 0).all()
    assert curve.risk[-1] == pytest.approx(
        1 - order_consistency(deltas, np.ones(len(deltas)))
    )


def test_abstention_keeps_the_risk_that_is_asked_for():
    """Or says that none will do."""
    curve = risk_coverage([4.0, 3.0, -2.0, 1.0])
    assert curve.at_risk(0.0) == (0.5, pytest.approx(expit(3.0)))
    assert curve.at_risk(0.3) == (1.0, pytest.approx(expit(1.0)))
    assert risk_coverage([-4.0, 3.0]).at_risk(0.2) == (0.0, 1.0)


def test_confidence_that_means_something_lowers_the_area():
    """Random confidence does not."""
    rng = np.random.default_rng(0)
    delta = rng.normal(size=5000)
    y = (rng.random(5000) < expit(2 * delta)).astype(float)
    scrambled = np.sign(delta) * rng.permutation(np.abs(delta))
    assert risk_coverage(delta, y).area < 0.8 * risk_coverage(scrambled, y).area


def pairs_of_prompts(rng, n_prompts, slope=1.0):
    """Pairs of prompts that have hardness in common, one to five each."""
    prompts = np.repeat(np.arange(n_prompts), rng.integers(1, 6, n_prompts))
    truth = rng.normal(size=len(prompts)) * rng.gamma(2, 1, n_prompts)[prompts]
    delta = slope * truth + rng.normal(size=n_prompts)[prompts]
    return prompts, truth, delta


def test_label_sets_cover_new_prompts_as_asked():
    """95 +- 2% over 1,000 calibrations, of one pair of a new prompt each."""
    rng = np.random.default_rng(0)
    n_sets, covered = 1000, 0
    for _ in range(n_sets):
        prompts, truth, delta = pairs_of_prompts(rng, 101)
        y = (rng.random(len(truth)) < expit(truth)).astype(int)
        new = prompts == 100
        sets = ConformalPairs.fit(delta[~new], y[~new], prompts[~new], level=0.95)
        held = sets.predict(delta[new])
        at = rng.integers(new.sum())
        covered += held[at, 1 - y[new][at]]
    assert covered / n_sets == pytest.approx(0.95, abs=0.02)


def test_gold_differences_are_covered_as_asked():
    """95 +- 2% over 1,000 calibrations."""
    rng = np.random.default_rng(1)
    n_sets, covered = 1000, 0
    for _ in range(n_sets):
        prompts, truth, delta = pairs_of_prompts(rng, 121, slope=0.5)
        new = prompts == 120
        low, high = ConformalDifferences.fit(
            delta[~new], truth[~new], prompts[~new]
        ).predict(delta[new])
        at = rng.integers(new.sum())
        covered += low[at] <= truth[new][at] <= high[at]
    assert covered / n_sets == pytest.approx(0.95, abs=0.02)


def test_few_prompts_decide_nothing():
    """There is no 95% quantile of ten."""
    sets = ConformalPairs.fit(np.ones(10), np.ones(10))
    assert sets.threshold == np.inf
    assert sets.predict([9.0]).all()
    assert ConformalDifferences.fit([1.0, 2.0], [1.0, 2.0]).radius == np.inf


def test_the_preferred_label_is_always_in():
    """A set is never empty, and both sides of a tie are in."""
    sets = ConformalPairs.fit(np.full(200, 5.0), np.ones(200), level=0.5)
    assert sets.predict([0.1, -0.1, 0.0]).tolist() == [
        [True, False],
        [False, True],
        [True, True],
    ]


@pytest.mark.parametrize(
    ("y", "groups", "words"),
    [
        ([0.7, 1.0], None, "labels 0, 1, or 0.5"),
        ([0.0, 1.0], [["a", "b"], ["a", "a"]], "pairs of one prompt each"),
    ],
)
def test_soft_labels_and_pairs_across_prompts_are_refused(y, groups, words):
    """Neither has a guarantee."""
    with pytest.raises(InvalidInputError, match=words):
        ConformalPairs.fit([1.0, 2.0], y, groups)


def test_rewards_come_with_bounds_on_demand():
    """From heads that know how sure they are."""
    rows = [
        {"prompt": f"q{n}", "chosen": f"good {n}", "rejected": f"bad {n}"}
        for n in range(12)
    ]
    items = pd.DataFrame({"prompt": ["q1"] * 2, "response": ["good", "bad"]}, [7, 9])
    model = RewardModel(encoder="hashing:32").fit(rows)
    bounds = model.reward(items, level=0.9)
    assert list(bounds.columns) == ["reward", "lower", "upper"]
    assert list(bounds.index) == [7, 9]
    assert (bounds["lower"] < bounds["reward"]).all()
    assert (bounds["upper"] > bounds["reward"]).all()
    pd.testing.assert_series_equal(bounds["reward"], model.reward(items))
    other = RewardModel(encoder="hashing:32", head="mlp").fit(rows)
    with pytest.raises(InvalidInputError, match="standard deviations"):
        other.reward(items, level=0.9)
