"""Checks of what a fitted head returns."""

from typing import Any

import numpy as np
from scipy.special import expit

from embrm.pairs import Pairs
from embrm.testing.expectations import expect, expect_close, expect_equal
from embrm.testing.samples import Sample, fresh, make_sample, tolerance_of


def _fitted(head: Any) -> tuple[Any, Sample]:
    sample = make_sample()
    return fresh(head).fit(sample.pairs, sample.y), sample


def swapping_a_pair_negates_delta(head: Any) -> None:
    """Expect delta to change sign exactly, for Pairs and for dense arrays."""
    fitted, sample = _fitted(head)
    delta = fitted.decision_function(sample.pairs)
    expect_equal(
        fitted.decision_function(sample.pairs.swap()), -delta, "swap negates delta"
    )
    dense = fitted.decision_function(sample.dense[:, ::-1])
    expect_equal(
        dense, -fitted.decision_function(sample.dense), "swap negates delta (dense)"
    )


def delta_is_the_difference_of_rewards(head: Any) -> None:
    """Expect decision_function(pairs) to be reward(first) - reward(second)."""
    fitted, sample = _fitted(head)
    reward = fitted.reward(sample.items)
    expect_close(
        fitted.decision_function(sample.pairs),
        reward[sample.pairs.first] - reward[sample.pairs.second],
        "delta is r(first) - r(second)",
        tolerance=tolerance_of(head),
    )


def probabilities_sum_to_one(head: Any) -> None:
    """Expect predict_proba to have shape (n_pairs, 2) and rows of sum 1."""
    fitted, sample = _fitted(head)
    proba = fitted.predict_proba(sample.pairs)
    expect(proba.shape == (len(sample.pairs), 2), f"proba has shape {proba.shape}")
    expect(proba.min() >= 0 and proba.max() <= 1, "proba lies in [0, 1]")
    expect_close(
        proba.sum(axis=1), np.ones(len(proba)), "rows sum to 1", tolerance=1e-12
    )


def probability_is_the_logistic_of_delta(head: Any) -> None:
    """Expect column 1 of predict_proba to be expit(delta): P(first preferred)."""
    fitted, sample = _fitted(head)
    expect_close(
        fitted.predict_proba(sample.pairs)[:, 1],
        expit(fitted.decision_function(sample.pairs)),
        "proba[:, 1] is expit(delta)",
        tolerance=1e-12,
    )


def predictions_follow_delta(head: Any) -> None:
    """Expect predict to say 1 where delta > 0, else 0, also for a tie."""
    fitted, sample = _fitted(head)
    pairs = Pairs(sample.items, np.vstack([sample.pairs.ids, [[0, 0]]]))
    prediction = fitted.predict(pairs)
    expect(prediction.dtype.kind == "i", f"predictions are {prediction.dtype}")
    wanted = (fitted.decision_function(pairs) > 0).astype(int)
    expect_equal(prediction, wanted, "predict is delta > 0")


def score_is_order_consistency(head: Any) -> None:
    """Expect score to be the weighted share of pairs ordered as labelled."""
    fitted, sample = _fitted(head)
    right = fitted.predict(sample.pairs) == sample.y
    wanted = np.average(right, weights=sample.weight)
    got = fitted.score(sample.pairs, sample.y, sample_weight=sample.weight)
    expect_close(got, wanted, "score is order consistency", tolerance=1e-12)


def score_counts_a_tie_of_the_head_one_half(head: Any) -> None:
    """Expect a pair of an item with itself, of delta 0, to score one half."""
    fitted, sample = _fitted(head)
    tied = Pairs(sample.items, [[0, 0], [1, 1]])
    for y in ([1, 1], [0, 0]):
        expect_equal(fitted.score(tied, y), 0.5, "a tie of the head scores 0.5")


def score_leaves_label_ties_out(head: Any) -> None:
    """Expect pairs with y = 0.5 not to change the score."""
    fitted, sample = _fitted(head)
    some = sample.y.astype(float)
    some[::3] = 0.5
    rest = some != 0.5
    expect_close(
        fitted.score(sample.pairs, some),
        fitted.score(sample.pairs[rest], some[rest]),
        "label ties are left out of the score",
        tolerance=1e-12,
    )


def rewards_are_one_float64_per_item(head: Any) -> None:
    """Expect finite float64 rewards of shape (n_items,), none for no item."""
    fitted, sample = _fitted(head)
    reward = fitted.reward(sample.items)
    expect(isinstance(reward, np.ndarray), f"reward is a {type(reward).__name__}")
    expect(reward.shape == (len(sample.items),), f"reward has shape {reward.shape}")
    expect(reward.dtype == np.float64, f"reward is {reward.dtype}")
    expect(np.isfinite(reward).all(), "rewards are finite")
    expect(fitted.reward(sample.items[:0]).shape == (0,), "no items, no rewards")


def rewards_do_not_depend_on_the_batch(head: Any) -> None:
    """Expect items scored alone, in reverse and at once to get the same reward."""
    fitted, sample = _fitted(head)
    reward = fitted.reward(sample.items)
    alone = np.concatenate([fitted.reward(item[None]) for item in sample.items])
    tolerance = tolerance_of(head)
    expect_close(alone, reward, "one by one is all at once", tolerance=tolerance)
    turned = fitted.reward(sample.items[::-1])[::-1]
    expect_close(turned, reward, "in reverse is in order", tolerance=tolerance)


def lists_are_taken_as_arrays(head: Any) -> None:
    """Expect nested lists to do as well as arrays."""
    fitted, sample = _fitted(head)
    expect_close(
        fitted.decision_function(sample.dense.tolist()),
        fitted.decision_function(sample.dense),
        "delta of lists is delta of arrays",
        tolerance=tolerance_of(head),
    )


OUTPUT_CHECKS = (
    swapping_a_pair_negates_delta,
    delta_is_the_difference_of_rewards,
    probabilities_sum_to_one,
    probability_is_the_logistic_of_delta,
    predictions_follow_delta,
    score_is_order_consistency,
    score_counts_a_tie_of_the_head_one_half,
    score_leaves_label_ties_out,
    rewards_are_one_float64_per_item,
    rewards_do_not_depend_on_the_batch,
    lists_are_taken_as_arrays,
)
