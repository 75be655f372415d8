"""What the encoders that load a model have in common."""

import copy

import numpy as np
import pytest
from sklearn.base import clone

from embrm.embed.token_encoder import TokenEncoder


@pytest.fixture(scope="module")
def vectors(minilm) -> np.ndarray:
    return minilm.encode([("Why?", "So.")])


def test_sentence_encoders_are_token_encoders(minilm):
    """The common half is inherited, not copied."""
    assert isinstance(minilm, TokenEncoder)


@pytest.mark.usefixtures("vectors")
def test_copies_leave_the_loaded_model_behind(minilm):
    """Another process gets the description, not 90 MB of weights."""
    other = copy.deepcopy(minilm)
    assert "_loaded" not in vars(other)
    assert other == minilm


def test_cloning_an_estimator_keeps_the_encoder(minilm):
    """Cross-validation does not load the model in every fold."""
    assert clone(minilm, safe=False) is minilm
