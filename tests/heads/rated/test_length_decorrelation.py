"""Length is taken out down to the target, and no further than it takes."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from embrm.heads.rated.length_decorrelation import find_length_penalty


@pytest.fixture
def data():
    """Three attributes: rising with length, falling, and free of it."""
    rng = np.random.default_rng(0)
    length = rng.normal(size=400)
    attributes = rng.normal(size=(400, 3)) + np.outer(length, [1.0, -2.0, 0.0])
    return attributes, length


def test_the_target_is_met(data):
    """In both directions, as scipy measures it."""
    attributes, length = data
    found = find_length_penalty(attributes, length, length, 0.03)
    left = attributes - np.outer(length, found.penalty)
    for j in range(3):
        before = spearmanr(attributes[:, j], length).statistic
        after = spearmanr(left[:, j], length).statistic
        assert found.before[j] == pytest.approx(before)
        assert found.after[j] == pytest.approx(after)
        assert abs(after) <= 0.03
    assert found.penalty[0] > 0 > found.penalty[1]


def test_no_more_is_subtracted_than_needed(data):
    """An attribute within the target is left alone; a step less would not do."""
    attributes, length = data
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


def test_a_poor_prediction_of_length_takes_a_large_penalty(data):
    """The grid goes on beyond 1."""
    attributes, length = data
    poor = 0.1 * length + np.random.default_rng(1).normal(size=400)
    found = find_length_penalty(attributes[:, :1], poor, length, 0.03)
    assert found.penalty[0] > 1
    assert abs(found.after[0]) <= 0.03


def test_the_best_is_taken_where_length_cannot_be_told(data):
    """A prediction that says nothing leaves the correlation as it can."""
    attributes, length = data
    found = find_length_penalty(attributes[:, :1], np.zeros(400), length, 0.03)
    assert found.penalty[0] == 0
    assert found.after[0] == found.before[0] > 0.5


def test_a_constant_attribute_has_no_correlation():
    """Undefined is reported as 0, not as NaN."""
    found = find_length_penalty(np.ones((5, 1)), np.arange(5.0), np.arange(5.0), 0.03)
    assert (found.before[0], found.penalty[0]) == (0.0, 0.0)
