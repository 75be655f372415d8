"""The probe tells whether a head scores as it did."""

import hashlib

import numpy as np
import pytest

from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.persist.probe import MAX_DIM, check_probe, probe_vectors, take_probe


class Head:
    """Scores by the first coordinate, or as it is told."""

    def __init__(self, factor=1.0, n_features=8, error=None, sharpness=1.0):
        self.factor = factor
        self.sharpness = sharpness
        self.n_features_in_ = n_features
        self.error = error

    def reward(self, items):
        if self.error is not None:
            raise self.error
        return items[:, 0].astype(np.float64) * self.factor

    def decision_function(self, pairs):
        reward = self.reward(pairs.items)
        return (reward[pairs.ids[:, 0]] - reward[pairs.ids[:, 1]]) * self.sharpness


def test_the_vectors_are_the_same_on_every_machine():
    """Integers and correctly rounded operations only: the bits are fixed."""
    data = probe_vectors(384).astype("<f4").tobytes()
    assert hashlib.sha256(data).hexdigest() == (
        "6f0374a5c830da69de8fd835e0821f01a85abc37c04795f57bb9d0b98f4e27ae"
    )


def test_the_vectors_are_like_an_encoders():
    """About unit length, different from one another, finite."""
    vectors = probe_vectors(384)
    np.testing.assert_allclose((vectors**2).sum(1), 1, atol=0.1)
    assert np.abs(np.corrcoef(vectors) - np.eye(16)).max() < 0.2


def test_a_head_that_scores_alike_passes():
    """Differences of rounding are no damage."""
    expected = take_probe(Head(), 8)
    check_probe(Head(), 8, expected)
    check_probe(Head(1 + 1e-6), 8, expected)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (Head(1.01), "the rewards of the probe"),
        (Head(sharpness=1.1), "the rewards of the probe"),
        (Head(np.nan), "the rewards of the probe"),
        (Head(np.inf), "the rewards of the probe"),
        (Head(n_features=9), "with d = 8"),
        (Head(error=ValueError("matmul")), "can score; got ValueError: matmul"),
        (Head(error=ZeroDivisionError()), "can score"),
    ],
)
def test_a_head_that_scores_otherwise_is_refused(head, message):
    """Whatever it raises is an IntegrityError."""
    with pytest.raises(IntegrityError, match=message):
        check_probe(head, 8, take_probe(Head(), 8))


@pytest.mark.parametrize("dim", [0, -1, MAX_DIM + 1, 10**18])
def test_impossible_dims_allocate_nothing(dim):
    """A manifest may say what it likes."""
    with pytest.raises(IntegrityError, match="d = "):
        check_probe(Head(n_features=dim), dim, [0.0] * 16)


def test_a_probe_of_another_length_is_refused():
    """Sixteen rewards and eight deltas, no fewer."""
    with pytest.raises(IntegrityError, match="rewards of the probe"):
        check_probe(Head(), 8, take_probe(Head(), 8)[:3])


def test_a_head_that_is_not_finite_cannot_be_saved():
    """NaN has no place in JSON, and none in a reward."""
    with pytest.raises(InvalidInputError, match="rewards are finite"):
        take_probe(Head(np.nan), 8)
