"""Order consistency by subset."""

import json

import numpy as np
import pandas as pd
import pytest

from embrm.datasets import read_preferences
from embrm.evaluate import (
    evaluate_by,
    evaluate_deltas,
    order_consistency,
    subset_column,
)
from embrm.exceptions import InvalidInputError


def test_each_subset_has_the_order_consistency_of_its_own_pairs():
    """The largest subset stands first."""
    rng = np.random.default_rng(0)
    delta, by = rng.normal(size=90), np.array(list("aab") * 30)
    table = evaluate_by(delta, by).table
    assert list(table.index) == ["a", "b"]
    assert table.loc["b", "order_consistency"] == order_consistency(
        delta[by == "b"], np.ones(30)
    )


def test_twelve_right_of_twelve_do_not_make_a_sure_thing():
    """The interval has width, and stays within 1."""
    row = evaluate_by(np.ones(12), ["a"] * 12).table.loc["a"]
    assert row["low"] == pytest.approx(0.712, abs=0.001)
    assert row["high"] == 1.0


@pytest.mark.parametrize("share", [0.7, 0.97])
def test_intervals_cover_the_truth(share):
    """Of 20 prompts with 3 pairs each, which have a share in common."""
    rng = np.random.default_rng(1)
    n_sets, covered = 1000, 0
    concentration = 8.0
    for _ in range(n_sets):
        of_prompt = rng.beta(share * concentration, (1 - share) * concentration, 20)
        right = rng.random((20, 3)) < of_prompt[:, None]
        table = evaluate_by(
            np.where(right.ravel(), 1.0, -1.0),
            ["a"] * 60,
            groups=np.repeat(np.arange(20), 3),
            n_resamples=1,
        ).table
        covered += table["low"].iloc[0] <= share <= table["high"].iloc[0]
    assert covered / n_sets == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("nested", [True, False])
def test_equal_subsets_are_told_apart_in_one_of_twenty_data_sets(nested):
    """Whether prompts lie in one subset or in several."""
    flagged, n_sets = 0, 200
    for seed in range(n_sets):
        rng = np.random.default_rng(seed)
        prompts = np.repeat(np.arange(40), 3)
        by = prompts % 4 if nested else rng.integers(4, size=120)
        delta = 0.5 + rng.normal(size=40)[prompts] + rng.normal(size=120)
        flagged += (
            evaluate_by(delta, by, groups=prompts, n_resamples=199).p_differ < 0.05
        )
    assert flagged / n_sets <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / n_sets)


def test_different_subsets_differ():
    """And it is said in words."""
    delta = np.concatenate([np.ones(40), np.tile([1.0, -1.0], 20)])
    subsets = evaluate_by(delta, pd.Series(["a"] * 40 + ["b"] * 40, name="source"))
    assert subsets.p_differ < 0.01
    assert "The 2 subsets by source differ" in str(subsets)


def test_estimates_are_drawn_together_where_subsets_do_not_differ():
    """And hardly where they do."""
    rng = np.random.default_rng(0)
    by = np.repeat(np.arange(10), 30)
    same = evaluate_by(rng.normal(0.5, 1, size=300), by).table
    assert same["shrunk"].std() < 0.3 * same["order_consistency"].std()
    apart = evaluate_by(rng.normal(np.where(by < 5, 3.0, 0.0), 1), by).table
    assert apart["shrunk"].std() > 0.8 * apart["order_consistency"].std()


def test_missing_subsets_are_one_of_their_own():
    """No pair is lost."""
    table = evaluate_by(np.ones(3), ["a", None, float("nan")]).table
    assert table["n_pairs"].to_dict() == {"(none)": 2, "a": 1}


def test_one_subset_has_nothing_to_differ_from():
    """P is unknown."""
    subsets = evaluate_by([1.0, -1.0], ["a", "a"])
    assert np.isnan(subsets.p_differ)
    assert "one subset only" in str(subsets)
    assert json.loads(json.dumps(subsets.to_json()))["p_differ"] is None


def test_subsets_are_of_the_same_pairs():
    """One for each."""
    with pytest.raises(InvalidInputError, match=r"by of shape \(2,\)"):
        evaluate_by([1.0, -1.0], ["a"])


def test_an_evaluation_has_its_subsets():
    """In print and in JSON."""
    evaluation = evaluate_deltas([1.0, 2.0, -1.0, 1.0], by=["a", "a", "b", "b"])
    assert "by subset" in str(evaluation)
    names = [row["by"] for row in evaluation.to_json()["subsets"]["subsets"]]
    assert names == ["a", "b"]


def test_columns_of_pairs_or_of_items_divide_pairs():
    """Others are refused with those there are."""
    rows = [
        {"prompt": "q", "chosen": "a", "rejected": "b", "language": "en"},
        {"prompt": "r", "chosen": "a", "rejected": "b", "language": "de"},
    ]
    preferences = read_preferences(rows)
    assert subset_column(preferences, "language").tolist() == ["en", "de"]
    prompts = subset_column(preferences, "prompt_id")
    assert len(set(prompts)) == 2
    with pytest.raises(InvalidInputError, match="language"):
        subset_column(preferences, "planet")
