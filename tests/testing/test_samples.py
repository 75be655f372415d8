"""Samples for checks are what they say they are."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError, format_error
from embrm.heads import LinearBradleyTerry, SiameseBradleyTerry
from embrm.testing._samples import (
    expect,
    expect_close,
    expect_equal,
    expect_refusal,
    fresh,
    make_sample,
    tolerance_of,
)


def test_items_are_exact_in_float16():
    """So that precision is all that differs between dtypes."""
    items = make_sample(n_prompts=50).items
    np.testing.assert_array_equal(items, items.astype(np.float16))


def test_labels_follow_the_planted_reward_up_to_errors():
    """Without errors all do; with errors, about as many as asked do not."""
    for rate in (0.0, 0.2):
        sample = make_sample(n_prompts=100, error_rate=rate)
        delta = sample.gold[sample.pairs.first] - sample.gold[sample.pairs.second]
        wrong = np.mean((delta > 0) != (sample.y == 1))
        assert abs(wrong - rate) < 0.06


def test_pairs_are_of_one_prompt():
    """Each prompt has all its pairs."""
    pairs = make_sample(n_prompts=4, n_responses=3).pairs
    assert len(pairs) == 12
    assert pairs.groups.shape == (12,)


def test_fresh_heads_have_a_seed_where_they_take_one():
    """And are unfitted clones."""
    head = SiameseBradleyTerry()
    assert fresh(head).random_state == 0
    assert head.random_state is None
    assert fresh(LinearBradleyTerry(alpha=2.0)).alpha == 2.0


def test_a_head_may_set_its_tolerance():
    """By a class attribute."""

    class Rough(LinearBradleyTerry):
        check_tolerance = 0.1

    assert tolerance_of(LinearBradleyTerry()) == 1e-6
    assert tolerance_of(Rough()) == 0.1


def refuse(message):
    def call():
        raise InvalidInputError(message)

    return call


MESSAGE = format_error(expected="finite items", got="nan", fix="drop them")


def test_a_claim_that_does_not_hold_is_the_message():
    """The claim says what was expected."""
    with pytest.raises(AssertionError, match="one is two"):
        expect(1 == 2, "one is two")


def test_arrays_that_differ_say_by_how_much():
    """The largest gap is reported."""
    with pytest.raises(AssertionError, match=r"same: they differ by 0\.5"):
        expect_equal([1.0, 2.0], [1.0, 2.5], "same")


def test_arrays_of_other_shapes_differ():
    """No broadcasting."""
    with pytest.raises(AssertionError, match=r"shapes \(1,\), \(2,\)"):
        expect_equal([1.0], [1.0, 1.0], "same")


def test_nan_equals_nothing():
    """A NaN is never what was wanted."""
    with pytest.raises(AssertionError, match="nan"):
        expect_equal([np.nan], [np.nan], "same")


def test_the_tolerance_is_relative_to_the_largest_value():
    """A gap of 1e-4 beside values of 1000 is 1e-7."""
    expect_close([1000.0001], [1000.0], "near", tolerance=1e-6)
    with pytest.raises(AssertionError, match="near"):
        expect_close([1.0001], [1.0], "near", tolerance=1e-6)


def test_no_values_agree():
    """Empty arrays of one shape are equal."""
    expect_equal([], [], "same")


def test_a_good_refusal_is_accepted():
    """Right type, three parts, and the words."""
    expect_refusal(refuse(MESSAGE), "finite", claim="NaN")


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: None, "NaN: it was accepted"),
        (lambda: {}["x"], "NaN: KeyError instead of InvalidInputError"),
        (refuse("bad"), r"NaN: the message lacks \['expected ', '; got '"),
        (refuse(MESSAGE.replace("finite", "good")), r"NaN: the message lacks \['fin"),
    ],
    ids=["accepted", "another error", "not three parts", "without the word"],
)
def test_a_bad_refusal_is_reported(call, reason):
    """Acceptance, another error, and an unhelpful message are told apart."""
    with pytest.raises(AssertionError, match=reason):
        expect_refusal(call, "finite", claim="NaN")
