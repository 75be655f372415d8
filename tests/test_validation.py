"""Arrays from outside are checked in one place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from embrm._validation import (
    Integer,
    Real,
    check_items,
    check_labels,
    check_margin,
    check_pair_ids,
    check_parameters,
    check_random_state,
    check_sample_weight,
)
from embrm.exceptions import InvalidInputError


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_items_are_not_copied(dtype):
    """A floating matrix passes through as it is."""
    items = np.ones((3, 2), dtype=dtype)
    assert check_items(items) is items


def test_integers_and_lists_become_float64():
    """Counts and nested lists are converted."""
    assert check_items([[1, 2], [3, 4]]).dtype == np.float64
    assert check_items(np.ones((2, 2), dtype=bool)).dtype == np.float64


@given(st_numpy.arrays(np.float32, (4, 3), elements=st.floats(width=32)))
def test_items_are_refused_exactly_when_something_is_not_finite(items):
    """The fast sum test agrees with looking at every entry."""
    if np.isfinite(items).all():
        assert check_items(items) is items
    else:
        with pytest.raises(InvalidInputError, match="finite items"):
            check_items(items)


def test_large_finite_items_whose_sum_overflows_pass():
    """An infinite sum alone is no reason to refuse."""
    items = np.full((2, 2), 1.7e308)
    assert check_items(items) is items


def test_the_first_bad_entry_is_named():
    """The message holds the index of the entry, and its value."""
    items = np.ones((3, 2))
    items[2, 1] = np.nan
    with pytest.raises(InvalidInputError, match=r"got nan at index \(2, 1\)"):
        check_items(items)


def test_another_width_names_both():
    """d must be that of fit."""
    with pytest.raises(InvalidInputError, match="d = 3, as in fit; got d = 2"):
        check_items(np.ones((1, 2)), n_features=3)


def test_labels_default_to_first_preferred():
    """No labels: chosen/rejected data."""
    assert check_labels(None, n_pairs=2).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("values", [[True, False], [1, 0], [0.25, 1.0]])
def test_labels_may_be_boolean_integer_or_soft(values):
    """All of them become float64."""
    labels = check_labels(values, n_pairs=2)
    assert labels.dtype == np.float64
    assert labels.tolist() == [float(value) for value in values]


@pytest.mark.parametrize(
    ("check", "values", "message"),
    [
        (check_labels, [1, -1], r"\(y \+ 1\) / 2"),
        (check_labels, [1, 2], "got 2 at pair 1"),
        (check_labels, ["a", "b"], "numeric y; got dtype <U1"),
        (check_labels, [1, np.nan], "finite y; got nan at index 1"),
        (check_labels, [1], r"y of shape \(2,\), one per pair; got shape \(1,\)"),
        (check_sample_weight, [1, -2], "sample_weight >= 0; got -2 at pair 1"),
        (check_sample_weight, [0, 0], "at least one positive sample_weight"),
        (check_sample_weight, [[1, 1]], r"got shape \(1, 2\)"),
        (check_margin, [0.5, -0.5], "margin >= 0; got -0.5 at pair 1"),
        (check_margin, [0.5, np.inf], "finite margin"),
    ],
)
def test_bad_values_per_pair_are_refused(check, values, message):
    """Labels, weights and margins outside their range are named by position."""
    with pytest.raises(InvalidInputError, match=message):
        check(values, n_pairs=2)


def test_no_pairs_need_no_weights():
    """Zero pairs with zero weights is not the error of all-zero weights."""
    assert check_sample_weight([], n_pairs=0).shape == (0,)
    assert check_pair_ids([], n_items=3).shape == (0, 2)


def test_equal_seeds_give_equal_draws():
    """Seeds, generators and legacy states all become one generator."""
    draws = [check_random_state(7).integers(100) for _ in range(2)]
    assert draws[0] == draws[1]
    generator = np.random.default_rng(0)
    assert check_random_state(generator) is generator
    legacy = [check_random_state(np.random.RandomState(3)) for _ in range(2)]
    assert legacy[0].integers(100) == legacy[1].integers(100)


@pytest.mark.parametrize("seed", [-1, 1.5, "seed"])
def test_what_is_no_seed_is_refused(seed):
    """The error says what to pass."""
    with pytest.raises(InvalidInputError, match="pass an integer seed"):
        check_random_state(seed)


@pytest.mark.parametrize(
    ("constraint", "good", "bad", "message"),
    [
        (Real(), [0, 2.5, np.float32(1)], [-1, np.inf, np.nan, True, "1"], ">= 0;"),
        (Real(0, closed="neither"), [1e-9], [0, -1], "a finite number > 0;"),
        (Real(0, 1), [0, 0.5], [1, 2], r"a number in \[0, 1\);"),
        (Real(0, 1, closed="both"), [0, 1], [1.5], r"a number in \[0, 1\];"),
        (Real(0, 1, closed="right"), [1], [0], r"a number in \(0, 1\];"),
        (Real(0, closed="right"), [np.inf], [0], "a number > 0;"),
        (Integer(1), [1, np.int64(7)], [0, 1.0, True, "1"], "an integer >= 1;"),
        (Integer(2, 9), [2, 9], [1, 10], r"an integer in \[2, 9\];"),
        ("auto", ["auto"], ["Auto", None, ["auto"]], "'auto';"),
        (bool, [True, np.False_], [0, 3, "no", None], "True or False;"),
        (None, [None], [0, ""], "None;"),
        (dict, [{}], [[]], "a dict;"),
    ],
)
def test_each_constraint_takes_what_it_describes(constraint, good, bad, message):
    """And nothing else: True is no number, 3 is no switch."""
    for value in good:
        check_parameters({"p": value}, {"p": [constraint]})
    for value in bad:
        with pytest.raises(InvalidInputError, match=f"expected p: .*{message}"):
            check_parameters({"p": value}, {"p": [constraint]})


def test_a_parameter_may_be_any_of_its_constraints():
    """The message lists them, and says how to change the parameter."""
    constraints = {"alpha": [Real(), "auto", None]}
    for value in (1.0, "auto", None):
        check_parameters({"alpha": value, "other": object()}, constraints)
    with pytest.raises(
        InvalidInputError,
        match=r"a finite number >= 0, 'auto' or None; got 'best'.*set_params\(alpha=",
    ):
        check_parameters({"alpha": "best"}, constraints)
