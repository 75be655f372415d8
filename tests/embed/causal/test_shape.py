"""Sizes of a model, as config.json says."""

import pytest

from embrm.embed.causal.shape import CausalShape
from embrm.exceptions import InvalidInputError


@pytest.mark.parametrize(
    ("number", "layer"), [(-1, -1), (3, -1), (-2, 2), (2, 2), (0, 0), (-4, 0)]
)
def test_a_layer_has_one_spelling(number, layer):
    """The last is -1 however it is counted."""
    assert CausalShape("llama", 8, 3, 64).layer(number) == layer


@pytest.mark.parametrize("number", [4, -5])
def test_a_layer_that_is_not_there_is_refused(number):
    """Three blocks have four states."""
    with pytest.raises(InvalidInputError, match="from -4 to 3"):
        CausalShape("llama", 8, 3, 64).layer(number)
