"""Metrics agree with independent references and survive extreme deltas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

import embrm.heads
from embrm.evaluate import (
    brier_score,
    log_loss,
    order_consistency,
    order_consistency_by_delta,
)
from embrm.exceptions import InvalidInputError

DELTAS = hnp.arrays(float, st.integers(1, 20), elements=st.floats(-1e4, 1e4))
SOFT = st.floats(0, 1)


@pytest.fixture
def judged():
    rng = np.random.default_rng(0)
    delta = rng.normal(scale=2, size=200)
    return delta, (rng.random(200) < 0.6).astype(float), rng.integers(0, 4, size=200)


def test_order_consistency_is_the_one_of_the_heads():
    """There is one definition, which heads score by."""
    assert order_consistency is embrm.heads.order_consistency


def test_log_loss_agrees_with_scikit_learn(judged):
    """On hard labels and moderate deltas."""
    delta, y, weight = judged
    expected = sklearn_log_loss(y, 1 / (1 + np.exp(-delta)), sample_weight=weight)
    assert log_loss(delta, y, weight) == pytest.approx(expected)


def test_brier_score_agrees_with_scikit_learn(judged):
    """On hard labels."""
    delta, y, weight = judged
    expected = brier_score_loss(y, 1 / (1 + np.exp(-delta)), sample_weight=weight)
    assert brier_score(delta, y, weight) == pytest.approx(expected)


@pytest.mark.parametrize("size", [800.0, 1e4])
def test_log_loss_is_exact_where_a_sigmoid_overflows(size):
    """The loss of a wrong and certain head is its delta; of a right one zero."""
    assert log_loss([size], [0]) == size
    assert log_loss([size], [1]) == 0.0
    assert log_loss([-size], [0.25]) == 0.25 * size


def test_log_loss_keeps_small_losses():
    """No cancellation: exp(-40) is far below one unit in the last place of 40."""
    assert log_loss([40.0], [1]) == pytest.approx(np.exp(-40), rel=1e-12)


@pytest.mark.parametrize("metric", [log_loss, brier_score])
@given(delta=DELTAS, data=st.data())
@settings(max_examples=30)
def test_losses_do_not_depend_on_orientation(metric, delta, data):
    """Swapping a pair and its label leaves the loss as it is."""
    y = data.draw(hnp.arrays(float, len(delta), elements=SOFT))
    assert metric(delta, y) == pytest.approx(metric(-delta, 1 - y), abs=1e-12)


@given(delta=DELTAS, data=st.data())
@settings(max_examples=30)
def test_a_soft_label_is_two_weighted_rows_in_log_loss(delta, data):
    """y = p equals (1, weight p) and (0, weight 1 - p)."""
    y = data.draw(hnp.arrays(float, len(delta), elements=SOFT))
    hard = np.repeat([1.0, 0.0], len(delta))
    twice = log_loss(np.tile(delta, 2), hard, np.concatenate([y, 1 - y]))
    assert log_loss(delta, y) == pytest.approx(twice, abs=1e-9)


@pytest.mark.parametrize("metric", [log_loss, brier_score])
def test_a_weight_counts_copies(metric, judged):
    """Weight k equals k copies of the pair, weight 0 its removal."""
    delta, y, weight = judged
    copies = metric(np.repeat(delta, weight), np.repeat(y, weight))
    assert metric(delta, y, weight) == pytest.approx(copies)


@pytest.mark.parametrize("metric", [log_loss, brier_score])
def test_no_labels_mean_that_first_is_preferred(metric):
    """Chosen/rejected data needs no labels."""
    assert metric([0.3, -2.0]) == metric([0.3, -2.0], [1, 1])


def test_order_consistency_is_a_weighted_mean_of_right_wrong_and_half(judged):
    """Of the pairs whose label is no tie; a tie of the head is half right."""
    delta, y, weight = judged
    y, delta = np.where(y < delta / 3, 0.5, y), np.round(delta)
    weight = np.where(y == 0.5, 0, weight)
    right = (1 + np.sign(delta) * np.sign(y - 0.5)) / 2
    mean = np.average(right, weights=weight)
    assert order_consistency(delta, y, weight) == pytest.approx(mean)


def test_bins_of_delta_add_up_to_order_consistency(judged):
    """The bins part the pairs."""
    delta, y, weight = judged
    bins = order_consistency_by_delta(delta, y, sample_weight=weight)
    whole = np.average(bins.order_consistency, weights=bins.count)
    assert whole == pytest.approx(order_consistency(delta, y, weight))
    assert bins.count.sum() == weight.sum()


def test_bins_of_delta_agree_with_sorted_chunks():
    """Without ties or weights a bin is a tenth of the pairs sorted by abs(delta)."""
    rng = np.random.default_rng(1)
    delta = rng.normal(size=100)
    y = (rng.random(100) < 0.5).astype(float)
    y[y == 0.5] = 1
    chunks = np.argsort(np.abs(delta)).reshape(10, 10)
    bins = order_consistency_by_delta(delta, y)
    expected = [np.mean((delta[rows] > 0) == (y[rows] > 0.5)) for rows in chunks]
    np.testing.assert_allclose(bins.order_consistency, expected)
    np.testing.assert_array_equal(bins.low, np.abs(delta)[chunks[:, 0]])
    np.testing.assert_array_equal(bins.high, np.abs(delta)[chunks[:, -1]])


def test_a_constant_head_has_one_bin_of_delta():
    """Equal values never part, and no bin is empty."""
    bins = order_consistency_by_delta([0.0] * 8, [1, 0] * 4)
    assert bins.order_consistency.tolist() == [0.5]
    assert bins.count.tolist() == [8]


def test_bins_of_delta_need_a_labelled_pair():
    """Ties alone have no order."""
    with pytest.raises(InvalidInputError, match="label is not a tie"):
        order_consistency_by_delta([1.0, 2.0], [0.5, 0.5])


def test_bins_of_delta_take_a_weight_for_copies():
    """Weighted values are cut where their copies would be."""
    delta, weights = np.array([3.0, 1.0, 2.0]), np.array([1, 4, 1])
    bins = order_consistency_by_delta(delta, n_bins=3, sample_weight=weights)
    again = order_consistency_by_delta(np.repeat(delta, weights), n_bins=3)
    assert bins.low.tolist() == again.low.tolist() == [1.0, 2.0]
    assert bins.high.tolist() == again.high.tolist() == [1.0, 3.0]
    assert bins.count.tolist() == again.count.tolist() == [4.0, 2.0]
