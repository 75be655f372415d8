"""The error rate is a share of the pairs on which there is something to err."""

import math

import numpy as np
import pytest

from embrm.simulate import gold_error


def test_an_error_is_a_label_on_the_wrong_side():
    """Two of four."""
    delta = np.array([1.0, 2.0, -1.0, -2.0])
    assert gold_error(np.array([1.0, 0.0, 0.0, 1.0]), delta) == 0.5


def test_pairs_of_equal_gold_do_not_count():
    """No label of theirs is wrong."""
    labels = np.array([1.0, 0.0, 1.0])
    assert gold_error(labels, np.array([0.0, 0.0, 1.0])) == 0.0


def test_a_tie_is_half_an_error():
    """As it is half a win when scores are compared."""
    assert gold_error(np.array([0.5, 1.0]), np.array([1.0, 1.0])) == 0.25


def test_the_error_of_probabilities_is_the_expected_error():
    """The mean over many draws of labels."""
    rng = np.random.default_rng(0)
    delta, chance = rng.normal(size=50), rng.random(50)
    draws = (rng.random((4000, 50)) < chance).astype(float)
    mean = np.mean([gold_error(labels, delta) for labels in draws])
    assert gold_error(chance, delta) == pytest.approx(mean, abs=0.005)


def test_without_a_difference_there_is_no_rate():
    """NaN, not zero."""
    assert math.isnan(gold_error(np.array([1.0]), np.array([0.0])))
