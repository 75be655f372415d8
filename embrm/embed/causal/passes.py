"""Forward passes: each text in a row of its own, or behind a shared beginning.

Behind a shared beginning, each continuation has a copy of its keys and values. The
cache comes from the model's own config, so that layers with a sliding window keep
what such a layer keeps. Beginnings of several lengths are padded on the left: window
and causality go by columns, and so a beginning must lie next to what follows it.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm._typing import IntArray
from embrm.embed.batching import PaddedBatch, pad, pad_ids
from embrm.embed.causal.hidden_layers import HiddenLayers
from embrm.embed.causal.language_model import CausalModel
from embrm.embed.causal.sharing_plan import KVStep
from embrm.embed.pooling import Column, ColumnMeans, Placed
from embrm.embed.steps import to_device
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


def run_kv(
    model: CausalModel,
    states: HiddenLayers,
    tokens: Sequence[FittedTokens],
    step: KVStep,
    columns: Sequence[Column],
) -> list[Any]:
    """Compute the vectors of the texts of some groups.

    Parameters
    ----------
    model : CausalModel
    states : HiddenLayers
    tokens : sequence of FittedTokens
        Of all texts; the step says which.
    step : KVStep
    columns : sequence of Column

    Returns
    -------
    list of torch.Tensor of shape (n_rows, d), float32
        One for each column, in the order of `step.rows`.
    """
    transformers = import_optional("transformers", extra="embed")
    texts = [tokens[row] for row in step.rows]
    means = ColumnMeans(columns, texts)
    sizes = [len(group.rows) for group in step.groups]
    group_of = np.repeat(np.arange(len(sizes)), sizes)
    n_shared = np.array([group.n_shared for group in step.groups])
    prefixes = pad_ids(
        [tokens[group.rows[0]].ids[: group.n_shared] for group in step.groups],
        pad_id=model.pad_id,
        side="left",
    )
    cache = transformers.DynamicCache(config=model.torch_model.config)
    _add_prefixes(model, states, prefixes, cache, means, group_of, n_shared)
    for batch in step.passes:
        rows = np.array(batch)
        groups = group_of[rows]
        own = pad_ids(
            [texts[n].ids[n_shared[group_of[n]] :] for n in batch], pad_id=model.pad_id
        )
        lengths = own.mask.sum(axis=1)
        placed = Placed(
            slot=np.arange(len(rows)) * own.ids.shape[1] - n_shared[groups],
            first=n_shared[groups],
            stop=n_shared[groups] + lengths,
        )
        # A pad's position must be one that the model has.
        offset = np.minimum(np.arange(own.ids.shape[1]), lengths[:, None] - 1)
        inputs = _inputs(
            model,
            own.ids,
            np.concatenate([prefixes.mask[groups], own.mask], axis=1),
            n_shared[groups][:, None] + offset,
        )
        inputs |= {
            "past_key_values": _copied(cache, groups, model.device),
            "use_cache": True,
        }
        means.add(states(inputs, means.wanted(placed, batch)), placed, batch)
    return means.vectors()


def _add_prefixes(
    model: CausalModel,
    states: HiddenLayers,
    prefixes: PaddedBatch,
    cache: Any,
    means: ColumnMeans,
    group_of: IntArray,
    n_shared: IntArray,
) -> None:
    """Run the shared prefixes, fill the cache, and pool what lies in them."""
    rows = range(len(group_of))
    slot = np.arange(len(n_shared)) * prefixes.ids.shape[1] + prefixes.shift
    placed = Placed(
        slot=slot[group_of],
        first=np.zeros_like(group_of),
        stop=n_shared[group_of],
    )
    inputs = _inputs(model, prefixes.ids, prefixes.mask, prefixes.position_ids)
    inputs |= {"past_key_values": cache, "use_cache": True}
    hidden = states(inputs, means.wanted(placed, rows))
    if means.is_touched(placed, rows):
        means.add(hidden, placed, rows)


def _inputs(
    model: CausalModel,
    ids: NDArray[np.int64],
    mask: NDArray[np.bool_],
    positions: NDArray[np.int64],
) -> dict[str, Any]:
    arrays = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
    if model.takes_positions:
        arrays["position_ids"] = positions
    return {name: to_device(values, model.device) for name, values in arrays.items()}


def _copied(cache: Any, groups: IntArray, device: Any) -> Any:
    """Copy a cache with one row for each text, its beginning's keys and values.

    These layers append out of place, so that copies may share memory with what they
    came from: a single beginning is not copied at all before the model appends to it.
    Layers that hold other states (hybrid models') overwrite them, and are refused.
    """
    torch = import_optional("torch", extra="embed")
    index = torch.as_tensor(groups, device=device)
    result = copy.copy(cache)
    result.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in result.layers:
        if type(layer).__name__ not in _KNOWN_LAYERS:
            raise TypeError(f"no prefix sharing with a {type(layer).__name__}")
        if layer.keys is None:
            # Blocks above the highest wanted layer have not been run.
            continue
        if len(layer.keys) == 1:
            layer.keys = layer.keys.expand(len(groups), -1, -1, -1)
            layer.values = layer.values.expand(len(groups), -1, -1, -1)
        else:
            layer.batch_select_indices(index)
    return result


_KNOWN_LAYERS = frozenset({"DynamicLayer", "DynamicSlidingWindowLayer", "DummyLayer"})
