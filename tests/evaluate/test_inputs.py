"""The boundary of `embrm.evaluate` refuses what cannot be evaluated."""

import numpy as np
import pandas as pd
import pytest

from embrm.evaluate.inputs import (
    check_delta,
    check_labelled,
    check_lengths,
    check_scores,
    check_untied,
    group_codes,
    item_codes,
)
from embrm.exceptions import InvalidInputError


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        ([], "at least one pair"),
        ([[1.0]], r"shape \(1, 1\)"),
        ([1.0, np.nan], "nan at pair 1"),
        ([np.inf], "finite delta; got inf at pair 0"),
        (["a"], "numeric delta"),
    ],
)
def test_delta_must_be_finite_numbers(delta, words):
    """The message says what was got and where."""
    with pytest.raises(InvalidInputError, match=words):
        check_delta(delta)


def test_missing_labels_and_weights_mean_one():
    """No labels: first is always preferred; no weights: all alike."""
    _, labels, weights = check_labelled([1.0, 2.0], None, None)
    assert labels.tolist() == weights.tolist() == [1.0, 1.0]


def test_labels_outside_zero_and_one_are_refused():
    """Labels -1/+1 are the classic mistake."""
    with pytest.raises(InvalidInputError, match=r"labels y in \[0, 1\]"):
        check_labelled([1.0], [-1], None)


def test_ties_alone_are_refused():
    """Order consistency has nothing to count."""
    with pytest.raises(InvalidInputError, match="label is not a tie"):
        check_untied(np.array([0.5, 1.0]), np.array([1.0, 0.0]))


def test_scores_of_another_length_are_refused():
    """Gold and reward must describe the same items."""
    with pytest.raises(InvalidInputError, match=r"reward of shape \(3,\)"):
        check_scores([1.0, 2.0], "reward", 3)


@pytest.mark.parametrize(
    ("lengths", "n_pairs", "words"),
    [
        ([1, 2, 3], None, r"lengths of shape \(n_pairs, 2\)"),
        (np.empty((0, 2)), None, r"lengths of shape \(n_pairs, 2\)"),
        ([[1, 2]], 2, r"lengths of shape \(2, 2\)"),
        ([[1, 2], [3, -1]], 2, "another value at pair 1"),
    ],
)
def test_lengths_must_be_two_columns_of_sizes(lengths, n_pairs, words):
    """A length is finite and not negative."""
    with pytest.raises(InvalidInputError, match=words):
        check_lengths(lengths, n_pairs)


def test_groups_of_pairs_may_be_one_or_two_columns():
    """One id per pair stands for both its ends."""
    one, _ = group_codes(["b", "a", "b"])
    two, n_prompts = group_codes([["b", "b"], ["a", "a"], ["b", "b"]])
    assert one.tolist() == two.tolist()
    assert n_prompts == 2


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (np.zeros((2, 3)), r"groups of shape \(n_pairs,\) or \(n_pairs, 2\)"),
        ([1, 2, 3], "groups of 2 pairs; got groups of 3"),
        ([1.0, np.nan], "1 missing, the first in row 1"),
        (pd.Series(["a", None], dtype=object), "1 missing, the first in row 1"),
        (np.array(["a", pd.NA], dtype=object), "1 missing, the first in row 1"),
        (np.array([["a", "b"], ["a", None]], dtype=object), "the first in row 1"),
        (np.array(["a", 1], dtype=object), "mixture of types"),
    ],
)
def test_groups_must_name_every_prompt(groups, words):
    """A missing prompt id is not a prompt."""
    with pytest.raises(InvalidInputError, match=words):
        group_codes(groups, 2)


def test_items_need_one_prompt_id_each():
    """The shapes must agree."""
    with pytest.raises(InvalidInputError, match=r"prompt_ids of shape \(3,\)"):
        item_codes(["a", "b"], 3)
