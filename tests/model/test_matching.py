"""Vectors, encoder and head belong together."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.embed.base import Fingerprint
from embrm.exceptions import FingerprintMismatchError, InvalidInputError
from embrm.model.matching import check_dim, check_same_encoder

ONE = Fingerprint({"kind": "one"}, dim=4, dtype="float32")


def test_another_fingerprint_is_refused_and_both_are_named():
    """Equal dims are not enough."""
    other = Fingerprint({"kind": "two"}, dim=4, dtype="float32")
    check_same_encoder(ONE, ONE)
    with pytest.raises(FingerprintMismatchError, match=r"one \(.*two \(.*fit anew"):
        check_same_encoder(ONE, other)


def test_another_length_is_refused():
    """Vectors of d = 5 are not those of an encoder with d = 4."""
    check_dim(Pairs(np.zeros((2, 4)), [[0, 1]]), ONE)
    with pytest.raises(InvalidInputError, match="d = 4; got d = 5"):
        check_dim(Pairs(np.zeros((2, 5)), [[0, 1]]), ONE)
