"""canonical: equal parameters, equal JSON; anything else is refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.decomposition import PCA

from embrm.exceptions import InvalidInputError
from embrm.experiment.factors import (
    array_digest,
    canonical,
    canonical_bytes,
    digest_of,
)
from embrm.heads import LinearBradleyTerry
from embrm.simulate import BiasedAnnotator, CallableAnnotator, PerfectAnnotator


@dataclass(frozen=True)
class Curve:
    """A xi whose parameter is a field."""

    floor: float = 0.0

    def __call__(self, distance):
        return 1 - 0.5 * np.exp(-distance)


def digest(value):
    return digest_of(canonical(value, "it"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LinearBradleyTerry(alpha=1.0), LinearBradleyTerry(alpha=1.0 + 1e-15)),
        (
            LinearBradleyTerry(preprocessor=PCA(2)),
            LinearBradleyTerry(preprocessor=PCA(3)),
        ),
        (
            BiasedAnnotator(PerfectAnnotator(), np.arange(3.0)),
            BiasedAnnotator(PerfectAnnotator(), np.arange(1.0, 4.0)),
        ),
        (CallableAnnotator(Curve()), CallableAnnotator(Curve(0.1))),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 1.5}),
        (np.zeros(4), np.zeros((2, 2))),
        (np.zeros(4), np.zeros(4, dtype=np.float32)),
        (float("nan"), float("inf")),
        (True, 1),
    ],
)
def test_a_changed_parameter_has_another_digest(one, other):
    """What differs in a parameter, however deep, differs in its digest."""
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LinearBradleyTerry(alpha=1.0), LinearBradleyTerry(alpha=np.float64(1.0))),
        ((1, 2), [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2, order="F").T * 1),
        (np.array(2.0), 2.0),
    ],
)
def test_spelling_does_not_matter(one, other):
    """Numpy scalars, tuples, key order and strides are no differences."""
    if isinstance(one, np.ndarray) and one.ndim == 2:
        other = np.asfortranarray(one)
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    "value",
    [
        LinearBradleyTerry(preprocessor=lambda items: items),
        CallableAnnotator(lambda distance: 1 - 0.5 * np.exp(-distance)),
        np.random.default_rng(0),
        np.array([object()]),
        {1: 2},
        PCA,
    ],
)
def test_what_cannot_be_written_down_is_refused(value):
    """Functions, generators and classes have no canonical form."""
    with pytest.raises(InvalidInputError, match=r"can be written down.*Fix: repl"):
        canonical(value, "it")


def test_an_array_is_digested_in_blocks(monkeypatch):
    """The digest does not depend on how many rows are read at a time."""
    array = np.arange(60.0).reshape(20, 3)
    whole = array_digest(array)
    monkeypatch.setattr("embrm.experiment.factors._BLOCK_BYTES", 50)
    assert array_digest(array) == whole


def test_the_bytes_are_strict_json():
    """NaN, which JSON lacks, is never written as itself."""
    assert canonical_bytes(canonical([float("nan")], "it")) == b'[{"float":"nan"}]'
