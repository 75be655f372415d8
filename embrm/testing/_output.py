"""Checks of what a fitted head returns, and that equal statements give equal heads."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from embrm._typing import FloatArray
from embrm.heads.base import order_consistency
from embrm.pairs import Pairs
from embrm.testing._samples import (
    expect,
    expect_close,
    expect_equal,
    fitted_sample,
    fresh,
    make_sample,
    tolerance_of,
)

_ALIKE = 0.8


def swapping_a_pair_negates_delta(head: Any) -> None:
    """Expect delta to change sign exactly, for Pairs and for dense arrays."""
    fitted, sample = fitted_sample(head)
    delta = fitted.decision_function(sample.pairs)
    expect_equal(
        fitted.decision_function(sample.pairs.swap()), -delta, "swap negates delta"
    )
    dense = fitted.decision_function(sample.dense[:, ::-1])
    expect_equal(
        dense, -fitted.decision_function(sample.dense), "swap negates delta (dense)"
    )


def delta_is_the_difference_of_rewards(head: Any) -> None:
    """Expect delta to be r(first) - r(second), or of its sign, as the head declares."""
    fitted, sample = fitted_sample(head)
    reward, delta = fitted.reward(sample.items), fitted.decision_function(sample.pairs)
    difference = reward[sample.pairs.first] - reward[sample.pairs.second]
    if fitted.delta_is_reward_difference:
        expect_close(
            delta,
            difference,
            "delta is r(first) - r(second)",
            tolerance=tolerance_of(head),
        )
    elif fitted.is_transitive:
        expect_equal(
            np.sign(delta), np.sign(difference), "delta has the sign of the rewards'"
        )


def probabilities_sum_to_one(head: Any) -> None:
    """Expect predict_proba to have shape (n_pairs, 2) and rows of sum 1."""
    fitted, sample = fitted_sample(head)
    proba = fitted.predict_proba(sample.pairs)
    expect(proba.shape == (len(sample.pairs), 2), f"proba has shape {proba.shape}")
    expect(proba.min() >= 0 and proba.max() <= 1, "proba lies in [0, 1]")
    expect_close(
        proba.sum(axis=1), np.ones(len(proba)), "rows sum to 1", tolerance=1e-12
    )


def probability_is_the_logistic_of_delta(head: Any) -> None:
    """Expect column 1 of predict_proba to be expit(delta): P(first preferred)."""
    fitted, sample = fitted_sample(head)
    expect_close(
        fitted.predict_proba(sample.pairs)[:, 1],
        expit(fitted.decision_function(sample.pairs)),
        "proba[:, 1] is expit(delta)",
        tolerance=1e-12,
    )


def predictions_follow_delta(head: Any) -> None:
    """Expect predict to be 1 where delta > 0, else 0, also for a tie."""
    fitted, sample = fitted_sample(head)
    pairs = Pairs(sample.items, np.vstack([sample.pairs.ids, [[0, 0]]]))
    prediction = fitted.predict(pairs)
    expect(prediction.dtype.kind == "i", f"predictions are {prediction.dtype}")
    wanted = (fitted.decision_function(pairs) > 0).astype(int)
    expect_equal(prediction, wanted, "predict is delta > 0")


def score_is_order_consistency(head: Any) -> None:
    """Expect score to be the weighted share of pairs ordered as labelled."""
    fitted, sample = fitted_sample(head)
    right = fitted.predict(sample.pairs) == sample.y
    wanted = np.average(right, weights=sample.weight)
    got = fitted.score(sample.pairs, sample.y, sample_weight=sample.weight)
    expect_close(got, wanted, "score is order consistency", tolerance=1e-12)


def score_counts_a_tie_of_the_head_one_half(head: Any) -> None:
    """Expect a pair of an item with itself, of delta 0, to score one half."""
    fitted, sample = fitted_sample(head)
    tied = Pairs(sample.items, [[0, 0], [1, 1]])
    for y in ([1, 1], [0, 0]):
        expect_equal(fitted.score(tied, y), 0.5, "a tie of the head scores 0.5")


def score_leaves_label_ties_out(head: Any) -> None:
    """Expect pairs with y = 0.5 not to change the score."""
    fitted, sample = fitted_sample(head)
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
    fitted, sample = fitted_sample(head)
    reward = fitted.reward(sample.items)
    expect(isinstance(reward, np.ndarray), f"reward is a {type(reward).__name__}")
    expect(reward.shape == (len(sample.items),), f"reward has shape {reward.shape}")
    expect(reward.dtype == np.float64, f"reward is {reward.dtype}")
    expect(np.isfinite(reward).all(), "rewards are finite")
    expect(fitted.reward(sample.items[:0]).shape == (0,), "no items, no rewards")


def rewards_do_not_depend_on_the_batch(head: Any) -> None:
    """Expect items scored alone, in reverse and at once to get the same reward."""
    fitted, sample = fitted_sample(head)
    reward = fitted.reward(sample.items)
    alone = np.concatenate([fitted.reward(item[None]) for item in sample.items])
    tolerance = tolerance_of(head)
    expect_close(alone, reward, "one by one is all at once", tolerance=tolerance)
    turned = fitted.reward(sample.items[::-1])[::-1]
    expect_close(turned, reward, "in reverse is in order", tolerance=tolerance)


def lists_are_taken_as_arrays(head: Any) -> None:
    """Expect nested lists to do as well as arrays."""
    fitted, sample = fitted_sample(head)
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


def _expect_same_delta(head: Any, claim: str, first: Any, second: Any) -> None:
    """Compare two fits, given as (pairs, y, weight), on the pairs of a sample."""
    pairs = make_sample().pairs
    one, other = (
        _fit(head, *arguments).decision_function(pairs) for arguments in (first, second)
    )
    expect_close(one, other, claim, tolerance=tolerance_of(head))


def _fit(head: Any, pairs: Any, y: Any, weight: FloatArray | None = None) -> Any:
    return fresh(head).fit(pairs, y, sample_weight=weight)


def the_order_of_pairs_does_not_matter(head: Any) -> None:
    """Expect shuffled pairs to give the same head."""
    s = make_sample()
    order = np.random.default_rng(1).permutation(len(s.pairs))
    shuffled = (s.pairs[order], s.y[order], s.weight[order])
    _expect_same_delta(
        head, "shuffled pairs give the same head", (s.pairs, s.y, s.weight), shuffled
    )


def the_order_of_items_does_not_matter(head: Any) -> None:
    """Expect shuffled rows of the item matrix to give the same head."""
    s = make_sample()
    order = np.random.default_rng(2).permutation(len(s.items))
    prompts = np.asarray(s.pairs.prompt_ids)[order]
    shuffled = Pairs(s.items[order], np.argsort(order)[s.pairs.ids], prompts)
    _expect_same_delta(
        head, "shuffled items give the same head", (s.pairs, s.y), (shuffled, s.y)
    )


def the_names_of_prompts_do_not_matter(head: Any) -> None:
    """Expect other prompt ids for the same groups to give the same head."""
    s = make_sample()
    _, codes = np.unique(np.asarray(s.pairs.prompt_ids), return_inverse=True)
    renamed = Pairs(s.items, s.pairs.ids, 1000 - codes)
    _expect_same_delta(
        head, "renamed prompts give the same head", (s.pairs, s.y), (renamed, s.y)
    )


def pairs_and_dense_arrays_are_the_same(head: Any) -> None:
    """Expect Pairs without prompts and their dense array to give the same head."""
    s = make_sample()
    bare = Pairs(s.items, s.pairs.ids)
    _expect_same_delta(
        head, "dense arrays give the same head", (bare, s.y), (s.dense, s.y)
    )


def memory_maps_are_arrays(head: Any) -> None:
    """Expect items in a read-only memory map to give the same head."""
    s = make_sample()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "items"
        s.items.tofile(path)
        mapped = np.memmap(path, dtype=s.items.dtype, mode="r", shape=s.items.shape)
        pairs = Pairs(mapped, s.pairs.ids, s.pairs.prompt_ids)
        _expect_same_delta(
            head, "a memory map gives the same head", (pairs, s.y), (s.pairs, s.y)
        )
        # Windows cannot delete a file that is still mapped.
        del mapped, pairs


def float16_and_float32_items_are_taken(head: Any) -> None:
    """Expect float16 and float32 items to give heads that order pairs alike."""
    s = make_sample()
    wanted = _fit(head, s.pairs, s.y).decision_function(s.pairs)
    for dtype in (np.float16, np.float32):
        pairs = Pairs(s.items.astype(dtype), s.pairs.ids, s.pairs.prompt_ids)
        got = _fit(head, pairs, s.y).decision_function(pairs)
        # The canonical order of items follows their bytes, and with it folds and
        # subsamples: the heads are alike, not equal.
        agreement = order_consistency(got, (wanted > 0).astype(float))
        expect(
            agreement > _ALIKE,
            f"{np.dtype(dtype)} items order {agreement:.2f} of pairs as float64 does",
        )


def equal_vectors_are_one_item(head: Any) -> None:
    """Expect an item that is stored twice to count as one."""
    s = make_sample()
    n = len(s.items)
    again = s.pairs.ids.copy()
    again[::2] += n
    prompts = np.tile(np.asarray(s.pairs.prompt_ids), 2)
    doubled = Pairs(np.vstack([s.items, s.items]), again, prompts)
    _expect_same_delta(
        head, "copies of items give the same head", (s.pairs, s.y), (doubled, s.y)
    )


def weight_k_is_k_copies(head: Any) -> None:
    """Expect a pair of weight k to count as k copies of it."""
    s = make_sample()
    copies = np.repeat(np.arange(len(s.y)), s.weight.astype(int))
    _expect_same_delta(
        head,
        "weight k is k copies",
        (s.pairs, s.y, s.weight),
        (s.pairs[copies], s.y[copies]),
    )


def weight_zero_is_removal(head: Any) -> None:
    """Expect a pair of weight 0 to count as if it were not there."""
    s = make_sample()
    weight = s.weight.copy()
    weight[::3] = 0
    kept = weight > 0
    _expect_same_delta(
        head,
        "weight 0 is removal",
        (s.pairs, s.y, weight),
        (s.pairs[kept], s.y[kept], weight[kept]),
    )


def a_soft_label_is_two_weighted_rows(head: Any) -> None:
    """Expect y = p to be (1, weight p) and (0, weight 1 - p), also for p = 0.5."""
    s = make_sample()
    soft = np.array([0.25, 0.5, 0.75, 1.0])[np.arange(len(s.y)) % 4]
    both = np.concatenate([np.arange(len(s.y))] * 2)
    hard = np.repeat([1, 0], len(s.y))
    weight = np.concatenate([s.weight * soft, s.weight * (1 - soft)])
    _expect_same_delta(
        head,
        "a soft label is two weighted rows",
        (s.pairs, soft, s.weight),
        (s.pairs[both], hard, weight),
    )


def a_flipped_label_is_a_swapped_pair(head: Any) -> None:
    """Expect label 1 - y on the swapped pair to be the same as y on the pair."""
    s = make_sample()
    _expect_same_delta(
        head,
        "a flipped label is a swapped pair",
        (s.pairs, s.y),
        (s.pairs.swap(), 1 - s.y),
    )


def no_labels_mean_first_is_preferred(head: Any) -> None:
    """Expect y = None to be y = 1 for all, and y = 0 for all swapped pairs."""
    s = make_sample()
    _expect_same_delta(
        head,
        "y=None is all ones",
        (s.pairs, None),
        (s.pairs, np.ones(len(s.y))),
    )
    _expect_same_delta(
        head,
        "y=None is all zeros on swapped pairs",
        (s.pairs, None),
        (s.pairs.swap(), np.zeros(len(s.y))),
    )


EQUIVALENCE_CHECKS = (
    the_order_of_pairs_does_not_matter,
    the_order_of_items_does_not_matter,
    the_names_of_prompts_do_not_matter,
    pairs_and_dense_arrays_are_the_same,
    memory_maps_are_arrays,
    float16_and_float32_items_are_taken,
    equal_vectors_are_one_item,
    weight_k_is_k_copies,
    weight_zero_is_removal,
    a_soft_label_is_two_weighted_rows,
    a_flipped_label_is_a_swapped_pair,
    no_labels_mean_first_is_preferred,
)
