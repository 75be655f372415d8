"""PlainAttributes: standardised predictions without length, on new items too."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from embrm.exceptions import InvalidInputError
from embrm.heads.rated._plain_attributes import (
    PlainAttributes,
    find_length_penalty,
    mean_and_scale,
    with_lengths,
)
from embrm.heads.rated._rated_items import make_rated_items


@pytest.fixture
def data():
    """Items, ratings that rise with length, and the length."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(4000, 6))
    ratings = items[:, :2] + items[:, [2]] + 0.5 * rng.normal(size=(4000, 2))
    return items, ratings, np.exp(items[:, 2] + 0.3 * rng.normal(size=4000))


def fitted(items, ratings, lengths):
    """Fit as the head does."""
    rated = make_rated_items(items, with_lengths(ratings, lengths))
    return PlainAttributes.fit(
        rated, alpha=None, has_length=lengths is not None, max_correlation=0.03
    )


def test_length_stays_out_of_new_items(data):
    """Penalties found on some items hold on others."""
    items, ratings, lengths = data
    with_it = fitted(items[:2000], ratings[:2000], None)
    without = fitted(items[:2000], ratings[:2000], lengths[:2000])
    for j in range(2):
        before = spearmanr(with_it(items[2000:])[:, j], lengths[2000:]).statistic
        after = spearmanr(without(items[2000:])[:, j], lengths[2000:]).statistic
        assert abs(after) < 0.1 < 0.5 < before
    assert np.abs(without.length.after).max() <= 0.03


def test_attributes_have_unit_spread(data):
    """Whatever the scale of the ratings."""
    items, ratings, _ = data
    plain = fitted(items, ratings * [1, 100], None)
    np.testing.assert_allclose(plain(items).std(axis=0), 1.0)
    assert np.isnan(plain.length.before).all()


def test_unknown_lengths_are_left_out(data):
    """NaN where unknown; the rest decides."""
    items, ratings, lengths = data
    lengths = np.where(np.arange(4000) % 3 == 0, np.nan, lengths)
    assert np.abs(fitted(items, ratings, lengths).length.after).max() <= 0.03


def test_stored_attributes_are_the_same_bits(data):
    """State and back."""
    plain = fitted(*data)
    again = PlainAttributes.from_state(plain.get_state())
    np.testing.assert_array_equal(again(data[0]), plain(data[0]))


def test_lengths_of_another_number_are_refused():
    """One per rated item."""
    with pytest.raises(InvalidInputError, match=r"lengths of shape \(2,\)"):
        with_lengths([1.0, 2.0], [1.0])


def test_a_constant_column_has_scale_one():
    """Also far from zero, where it has a deviation of rounding errors."""
    mean, scale = mean_and_scale(np.column_stack([np.full(7, 0.1), np.arange(7.0)]))
    assert scale[0] == 1.0
    assert mean[0] == pytest.approx(0.1)


@pytest.fixture
def planted():
    """Three attributes: rising with length, falling, and free of it."""
    rng = np.random.default_rng(0)
    length = rng.normal(size=400)
    attributes = rng.normal(size=(400, 3)) + np.outer(length, [1.0, -2.0, 0.0])
    return attributes, length


def test_the_target_is_met(planted):
    """In both directions, as scipy measures it."""
    attributes, length = planted
    found = find_length_penalty(attributes, length, length, 0.03)
    left = attributes - np.outer(length, found.penalty)
    for j in range(3):
        before = spearmanr(attributes[:, j], length).statistic
        after = spearmanr(left[:, j], length).statistic
        assert found.before[j] == pytest.approx(before)
        assert found.after[j] == pytest.approx(after)
        assert abs(after) <= 0.03
    assert found.penalty[0] > 0 > found.penalty[1]


def test_no_more_is_subtracted_than_needed(planted):
    """An attribute within the target is left alone; a step less would not do."""
    attributes, length = planted
    free = find_length_penalty(attributes[:, 2:], length, length, 0.2)
    assert free.penalty.tolist() == [0.0]
    found = find_length_penalty(attributes[:, :1], length, length, 0.03)
    less = attributes[:, 0] - (found.penalty[0] - 0.05) * length
    assert spearmanr(less, length).statistic > 0.03


def test_a_coarse_step_is_refined():
    """Target zero, between two points of the grid."""
    rng = np.random.default_rng(0)
    length = rng.normal(size=201)
    attribute = 0.02 * rng.normal(size=201) + 0.525 * length
    found = find_length_penalty(attribute[:, None], length, length, 0.03)
    assert abs(found.after[0]) <= 0.03
    assert found.penalty[0] == pytest.approx(0.525, abs=0.02)


def test_a_poor_prediction_of_length_takes_a_large_penalty(planted):
    """The grid goes on beyond 1."""
    attributes, length = planted
    poor = 0.1 * length + np.random.default_rng(1).normal(size=400)
    found = find_length_penalty(attributes[:, :1], poor, length, 0.03)
    assert found.penalty[0] > 1
    assert abs(found.after[0]) <= 0.03


def test_the_best_is_taken_where_length_cannot_be_told(planted):
    """A prediction that says nothing leaves the correlation as it can."""
    attributes, length = planted
    found = find_length_penalty(attributes[:, :1], np.zeros(400), length, 0.03)
    assert found.penalty[0] == 0
    assert found.after[0] == found.before[0] > 0.5


def test_a_constant_attribute_has_no_correlation():
    """Undefined is reported as 0, not as NaN."""
    found = find_length_penalty(np.ones((5, 1)), np.arange(5.0), np.arange(5.0), 0.03)
    assert (found.before[0], found.penalty[0]) == (0.0, 0.0)
