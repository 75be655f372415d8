"""Each text in a row of its own: the plain way, with nothing shared."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from embrm.embed.batching import pad
from embrm.embed.causal.hidden_layers import HiddenLayers
from embrm.embed.causal.language_model import CausalModel
from embrm.embed.host_copies import to_device
from embrm.embed.pooling import Column, ColumnMeans, Placed
from embrm.embed.truncation import FittedTokens


def run_padded(
    model: CausalModel,
    states: HiddenLayers,
    tokens: Sequence[FittedTokens],
    columns: Sequence[Column],
    *,
    side: str = "right",
) -> list[Any]:
    """Compute the vectors of one batch of texts.

    Parameters
    ----------
    model : CausalModel
    states : HiddenLayers
    tokens : sequence of FittedTokens
    columns : sequence of Column
    side : {"right", "left"}, default="right"
        Of the padding.

    Returns
    -------
    list of torch.Tensor of shape (n_texts, d), float32
        One for each column.
    """
    batch = pad(tokens, pad_id=model.pad_id, side=side)
    inputs = {"input_ids": batch.ids, "attention_mask": batch.mask.astype(np.int64)}
    if side == "left" and model.takes_positions:
        # Models with absolute positions would count the pads.
        inputs["position_ids"] = batch.position_ids
    rows = range(len(tokens))
    width = batch.ids.shape[1]
    lengths = np.array([len(fitted) for fitted in tokens])
    placed = Placed(
        slot=np.arange(len(tokens)) * width + batch.shift,
        first=np.zeros_like(lengths),
        stop=lengths,
    )
    means = ColumnMeans(columns, tokens)
    on_device = {
        name: to_device(values, model.device) for name, values in inputs.items()
    }
    means.add(states(on_device, means.wanted(placed, rows)), placed, rows)
    return means.vectors()
