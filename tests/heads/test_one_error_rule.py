"""The one-standard-error rule prefers strong penalties where the data cannot tell."""

import numpy as np

from embrm.heads.one_error_rule import strongest_within_one_error


def test_a_difference_within_noise_takes_the_stronger_penalty():
    """The second row is best by less than its error."""
    losses = np.array([[0.3, 0.1, 0.3, 0.1], [0.1, 0.25, 0.1, 0.25]])
    assert strongest_within_one_error(losses, np.ones(4)) == 0


def test_a_clear_difference_takes_the_best():
    """All units agree."""
    losses = np.array([[0.3, 0.4], [0.2, 0.3], [0.25, 0.35]])
    assert strongest_within_one_error(losses, np.ones(2)) == 1


def test_units_without_weight_do_not_count():
    """Only the first unit has a say."""
    losses = np.array([[0.3, 0.0], [0.2, 9.0]])
    assert strongest_within_one_error(losses, np.array([1.0, 0.0])) == 1
