"""Length: the baseline beside every accuracy, and accuracy without it."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from embrm.evaluate import (
    length_baseline,
    length_correlation,
    length_matched_order_consistency,
    order_consistency,
)
from embrm.exceptions import InvalidInputError


def test_the_baseline_prefers_the_longer():
    """Its delta is the difference in length."""
    assert length_baseline([[9, 4], [2, 5], [3, 3]]).tolist() == [5, -3, 0]


@given(lengths=hnp.arrays(np.uint16, (8, 2)), y=hnp.arrays(np.uint8, 8))
@settings(max_examples=40)
def test_the_shorter_baseline_is_right_where_the_longer_is_wrong(lengths, y):
    """Their order consistencies add up to one, ties of length included."""
    longer = order_consistency(length_baseline(lengths), y % 2)
    shorter = order_consistency(length_baseline(lengths, "shorter"), y % 2)
    assert shorter == pytest.approx(1 - longer)


def test_the_baseline_knows_two_directions():
    """The message lists them."""
    with pytest.raises(InvalidInputError, match="prefer one of longer, shorter"):
        length_baseline([[1, 2]], prefer="long")


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        ("spearman", scipy.stats.spearmanr),
        ("pearson", scipy.stats.pearsonr),
        ("kendall", scipy.stats.kendalltau),
    ],
)
def test_correlation_with_length_agrees_with_scipy(kind, reference):
    """Within each prompt."""
    rng = np.random.default_rng(0)
    prompts, lengths = np.repeat([0, 1], 9), rng.integers(1, 50, size=18)
    reward = lengths / 30 + rng.normal(size=18)
    result = length_correlation(reward, lengths, prompts, kind)
    expected = [
        reference(reward[prompts == p], lengths[prompts == p]).statistic for p in (0, 1)
    ]
    np.testing.assert_allclose(result.per_prompt, expected)


def test_an_unknown_correlation_is_refused():
    """The message lists the known ones."""
    with pytest.raises(InvalidInputError, match="kind one of spearman, pearson"):
        length_correlation([1], [1], ["a"], "cosine")


def test_matched_pairs_differ_by_a_tenth_at_most():
    """Of the longer length, bound included; two empty responses match."""
    lengths = [[100, 90], [100, 89], [0, 0], [10, 11]]
    result = length_matched_order_consistency([1, 1, -1, 1], lengths)
    assert result == (2 / 3, 3)


def test_matched_pairs_with_tied_labels_or_no_weight_are_left_out():
    """They are not counted either."""
    result = length_matched_order_consistency(
        [1, 1, 1], [[9, 9]] * 3, [1, 0.5, 0], sample_weight=[1, 1, 0]
    )
    assert result == (1.0, 1)


def test_a_head_that_is_a_baseline_is_unmasked():
    """Its accuracy falls to chance where lengths are equal."""
    rng = np.random.default_rng(1)
    lengths = np.repeat(rng.integers(50, 60, size=(400, 1)), 2, axis=1)
    result = length_matched_order_consistency(
        length_baseline(lengths), lengths, rng.integers(2, size=400)
    )
    assert result.order_consistency == 0.5


def test_no_matched_pair_is_refused():
    """The message gives the tolerance."""
    with pytest.raises(InvalidInputError, match=r"none in 1 pairs at tolerance 0\.1"):
        length_matched_order_consistency([1.0], [[1, 2]])


def test_tolerance_is_a_share():
    """10 is not 10%."""
    with pytest.raises(InvalidInputError, match=r"tolerance in \[0, 1\]"):
        length_matched_order_consistency([1.0], [[1, 2]], tolerance=10)


@pytest.mark.realdata
def test_a_baseline_orders_three_quarters_of_the_real_pool(shared_data):
    """The judge of this pool favours long answers, as its account says: 76%."""
    pool = pd.read_parquet(
        shared_data / "pool_dev.parquet", columns=["prompt_id", "response", "gold"]
    )
    rng = np.random.default_rng(0)
    pool = pool.assign(length=pool["response"].str.len(), draw=rng.random(len(pool)))
    pool = pool.sort_values(["prompt_id", "draw"])
    first, second = pool.iloc[:-1], pool.iloc[1:]
    same = first["prompt_id"].to_numpy() == second["prompt_id"].to_numpy()
    lengths = np.column_stack([first["length"], second["length"]])[same]
    difference = (first["gold"].to_numpy() - second["gold"].to_numpy())[same]
    y = (np.sign(difference) + 1) / 2
    assert order_consistency(length_baseline(lengths), y) == pytest.approx(
        0.76, abs=0.02
    )
