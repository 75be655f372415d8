"""Order consistency counts what a head orders as the labels do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embrm.exceptions import InvalidInputError
from embrm.heads.order import order_consistency


def test_a_tie_of_the_head_counts_one_half():
    """delta = 0 is neither right nor wrong."""
    assert order_consistency([0.0], [1]) == 0.5


def test_label_ties_are_left_out():
    """y = 0.5 has no right answer."""
    assert order_consistency([1.0, -5.0], [1, 0.5]) == 1.0


def test_soft_labels_count_by_their_side_of_one_half():
    """0.6 says first as 1.0 does."""
    assert order_consistency([1.0, 1.0], [0.6, 0.4]) == 0.5


def test_no_labels_mean_first_is_preferred():
    """Chosen/rejected data need no y."""
    assert order_consistency([1.0, 2.0, -1.0, 3.0]) == 0.75


def test_weights_weigh():
    """A pair of weight 3 counts three times."""
    assert order_consistency([1.0, -1.0], [1, 1], [3, 1]) == 0.75


@given(
    st.lists(
        st.tuples(st.integers(-2, 2), st.sampled_from([0.0, 0.5, 1.0])), min_size=1
    )
)
def test_it_is_the_share_that_a_loop_counts(rows):
    """Brute force over pairs gives the same number."""
    delta, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    counted = [
        0.5 if d == 0 else float((d > 0) == (label > 0.5))
        for d, label in rows
        if label != 0.5
    ]
    if not counted:
        with pytest.raises(InvalidInputError, match="not a tie"):
            order_consistency(delta, y)
    else:
        assert order_consistency(delta, y) == pytest.approx(np.mean(counted), abs=1e-12)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_it_and_that_of_the_opposite_labels_sum_to_one(delta):
    """What agrees with y disagrees with 1 - y."""
    y = (np.arange(len(delta)) % 2).astype(float)
    total = order_consistency(delta, y) + order_consistency(delta, 1 - y)
    assert total == pytest.approx(1)


def test_nan_is_refused():
    """A missing score is not a wrong one."""
    with pytest.raises(InvalidInputError, match=r"NaN at pair 1.*score every item"):
        order_consistency([0.0, np.nan], [1, 1])


def test_only_label_ties_are_refused():
    """There is nothing to count."""
    with pytest.raises(InvalidInputError, match="2 pairs, none of them"):
        order_consistency([0.0, 1.0], [0.5, 0.5])
