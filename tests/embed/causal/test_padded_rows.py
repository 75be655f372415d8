"""Padded rows: the plain way, on both sides."""

import numpy as np
import pytest
import torch

from embrm.embed.causal.hidden_layers import HiddenLayers
from embrm.embed.causal.padded_rows import run_padded
from embrm.embed.pooling import LAST, POOLINGS, Column

COLUMNS = [Column(layer, name) for layer in (LAST, 1) for name in POOLINGS]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "mistral"])
def test_vectors_are_means_of_the_states_of_each_text(
    make_causal_model, grouped_tokens, name, side
):
    """Run one by one without padding, and averaged over the span by hand."""
    model = make_causal_model(name, padding_side=side)
    lean = HiddenLayers(model.torch_model, (LAST, 1), n_layers=3)
    got = run_padded(model, lean, grouped_tokens, COLUMNS)
    for row, text in enumerate(grouped_tokens):
        with torch.inference_mode():
            output = model.torch_model(
                torch.as_tensor(text.ids[None]).long(), output_hidden_states=True
            )
        for (layer, pooling), vectors in zip(COLUMNS, got, strict=True):
            begin, end = (int(part[0]) for part in POOLINGS[pooling]([text]))
            expected = output.hidden_states[layer][0, begin:end].mean(dim=0)
            np.testing.assert_allclose(vectors[row], expected, atol=2e-5, rtol=1e-4)
