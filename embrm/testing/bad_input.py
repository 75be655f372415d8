"""Checks that bad input is refused with a message that says what to do."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from embrm.pairs import Pairs
from embrm.testing.expectations import expect_refusal
from embrm.testing.samples import Sample, fresh, make_sample


def _spoiled(sample: Sample, value: float) -> Pairs:
    items = sample.items.copy()
    items[int(sample.pairs.first[0]), 0] = value
    return Pairs(items, sample.pairs.ids, sample.pairs.prompt_ids)


def nan_in_items_is_refused(head: Any) -> None:
    """Refuse NaN in a training item, or in an item to score."""
    s = make_sample()
    bad = _spoiled(s, np.nan)
    expect_refusal(lambda: fresh(head).fit(bad, s.y), "finite", claim="NaN in fit")
    fitted = fresh(head).fit(s.pairs, s.y)
    expect_refusal(lambda: fitted.reward(bad.items), "finite", claim="NaN in reward")
    expect_refusal(
        lambda: fitted.decision_function(bad), "finite", claim="NaN in delta"
    )


def infinity_in_items_is_refused(head: Any) -> None:
    """Refuse infinity in a training item, or in an item to score."""
    s = make_sample()
    bad = _spoiled(s, np.inf)
    expect_refusal(lambda: fresh(head).fit(bad, s.y), "finite", claim="infinity in fit")
    fitted = fresh(head).fit(s.pairs, s.y)
    expect_refusal(
        lambda: fitted.reward(bad.items), "finite", claim="infinity in reward"
    )


def no_pairs_are_refused(head: Any) -> None:
    """Refuse a fit on no pairs."""
    s = make_sample()
    expect_refusal(
        lambda: fresh(head).fit(s.pairs[:0], s.y[:0]), "one pair", claim="no pairs"
    )


def another_width_is_refused(head: Any) -> None:
    """Refuse items of another d than in fit."""
    s = make_sample()
    fitted = fresh(head).fit(s.pairs, s.y)
    narrow = s.items[:, :-1]
    expect_refusal(lambda: fitted.reward(narrow), "d = ", claim="wrong d in reward")
    expect_refusal(
        lambda: fitted.predict_proba(Pairs(narrow, s.pairs.ids)),
        "d = ",
        claim="wrong d in predict_proba",
    )


def items_instead_of_pairs_are_refused(head: Any) -> None:
    """Refuse items where pairs belong, with a message that names reward(X)."""
    s = make_sample()
    fitted = fresh(head).fit(s.pairs, s.y)
    for method in (fitted.predict, fitted.decision_function, fitted.predict_proba):
        expect_refusal(partial(method, s.items), "reward(X)", claim="2-D items")


def pairs_instead_of_items_are_refused(head: Any) -> None:
    """Refuse pairs where items belong."""
    s = make_sample()
    fitted = fresh(head).fit(s.pairs, s.y)
    expect_refusal(
        lambda: fitted.reward(s.dense), "(n_items, d)", claim="3-D pairs in reward"
    )


def frames_are_refused(head: Any) -> None:
    """Refuse a frame of text, with a message that names RewardModel."""
    frame = pd.DataFrame({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"]})
    expect_refusal(lambda: fresh(head).fit(frame), "RewardModel", claim="a frame")


def an_item_against_itself_is_refused(head: Any) -> None:
    """Refuse a training pair of an item with itself."""
    s = make_sample()
    bad = Pairs(s.items, np.vstack([s.pairs.ids, [[3, 3]]]))
    expect_refusal(
        lambda: fresh(head).fit(bad), "two different items", claim="a self pair"
    )


def labels_out_of_range_are_refused(head: Any) -> None:
    """Refuse labels of -1, above 1, NaN, or that are no numbers."""
    s = make_sample()
    for value in (-1.0, 1.5, np.nan):
        bad = s.y.astype(float)
        bad[4] = value
        expect_refusal(
            partial(fresh(head).fit, s.pairs, bad), "y", claim=f"y = {value}"
        )
    words = np.where(s.y == 1, "first", "second")
    expect_refusal(
        lambda: fresh(head).fit(s.pairs, words), "numeric y", claim="labels of str"
    )


def labels_of_another_length_are_refused(head: Any) -> None:
    """Refuse one label fewer than pairs, in fit and in score."""
    s = make_sample()
    short = s.y[1:]
    expect_refusal(lambda: fresh(head).fit(s.pairs, short), "shape", claim="short y")
    fitted = fresh(head).fit(s.pairs, s.y)
    expect_refusal(
        lambda: fitted.score(s.pairs, short), "shape", claim="short y in score"
    )


def bad_weights_are_refused(head: Any) -> None:
    """Refuse negative, missing, all-zero or too few weights."""
    s = make_sample()
    negative, missing = s.weight.copy(), s.weight.copy()
    negative[2], missing[2] = -1, np.nan
    for weight in (negative, missing, 0 * s.weight, s.weight[1:]):
        expect_refusal(
            partial(fresh(head).fit, s.pairs, s.y, sample_weight=weight),
            "sample_weight",
            claim="bad weights",
        )


def bad_margins_are_refused(head: Any) -> None:
    """Refuse negative, infinite or too few margins."""
    s = make_sample()
    n = len(s.y)
    for margin in (np.full(n, -1.0), np.full(n, np.inf), np.ones(n - 1)):
        expect_refusal(
            partial(fresh(head).fit, s.pairs, s.y, margin=margin),
            "margin",
            claim="bad margins",
        )


BAD_INPUT_CHECKS = (
    nan_in_items_is_refused,
    infinity_in_items_is_refused,
    no_pairs_are_refused,
    another_width_is_refused,
    items_instead_of_pairs_are_refused,
    pairs_instead_of_items_are_refused,
    frames_are_refused,
    an_item_against_itself_is_refused,
    labels_out_of_range_are_refused,
    labels_of_another_length_are_refused,
    bad_weights_are_refused,
    bad_margins_are_refused,
)
