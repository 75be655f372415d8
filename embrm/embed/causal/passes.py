"""Forward passes: texts in rows of their own, behind a shared beginning, or in a tree.

Behind a shared beginning, each continuation has a copy of its keys and values. The
cache comes from the model's own config, so that layers with a sliding window keep
what such a layer keeps. Beginnings of several lengths are padded on the left: window
and causality go by columns, and so a beginning must lie next to what follows it.

In a tree, the beginning and all continuations are one row, each token seeing its own
text. Positions start again behind the beginning for every continuation, and so a
sliding window goes by positions, not by columns: masks are passed for each kind of
layer that the model has. On a GPU flex_attention skips the blocks that are masked;
elsewhere the mask is dense, and the row's length is limited.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm._typing import IntArray
from embrm.embed.batching import PaddedBatch, pad, pad_ids
from embrm.embed.causal.language_model import CausalModel, HiddenLayers
from embrm.embed.causal.sharing_plan import KVStep, TreeStep
from embrm.embed.pooling import Column, ColumnMeans, Placed
from embrm.embed.steps import to_device
from embrm.embed.truncation import FittedTokens

_KNOWN_LAYERS = frozenset({"DynamicLayer", "DynamicSlidingWindowLayer", "DummyLayer"})
# flex_attention works in blocks of 128, and compiles again for other lengths.
_BLOCK = 128
_FLEX = "flex_attention"


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
    """Run the shared prefixes, fill the cache, and pool their tokens."""
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


class TreeBatch(NamedTuple):
    """Rows that hold groups, as arrays of shape (n_lines, n_columns).

    Attributes
    ----------
    ids : ndarray of int64
    positions : ndarray of int64
        Of each token in its text.
    group : ndarray of int64
        Number of the group; -1 at pads.
    part : ndarray of int64
        Number of the continuation; 0 in the shared beginning, -1 at pads.
    slot : ndarray of int of shape (n_texts,)
        Where each continuation begins, in a line.
    start : ndarray of int of shape (n_texts,)
        Where the beginning of each text's group begins, in a line.
    n_shared : ndarray of int of shape (n_texts,)
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    group: NDArray[np.int64]
    part: NDArray[np.int64]
    slot: NDArray[np.intp]
    start: NDArray[np.intp]
    n_shared: NDArray[np.intp]


def run_tree(
    model: CausalModel,
    states: HiddenLayers,
    tokens: Sequence[FittedTokens],
    step: TreeStep,
    columns: Sequence[Column],
) -> list[Any]:
    """Compute the vectors of the texts of some rows; see `run_kv`.

    Raises
    ------
    ValueError
        If the model's layers or its attention take no such mask.
    """
    is_sparse = has_flex(model)
    batch = lay_out(tokens, step, pad_id=model.pad_id, block=_BLOCK if is_sparse else 1)
    texts = [tokens[row] for row in step.rows]
    means = ColumnMeans(columns, texts)
    lengths = np.array([len(fitted) for fitted in texts])
    rows = range(len(texts))
    shared = Placed(batch.start, np.zeros_like(lengths), batch.n_shared)
    own = Placed(batch.slot - batch.n_shared, batch.n_shared, lengths)
    wanted = np.union1d(means.wanted(shared, rows), means.wanted(own, rows))
    inputs = {
        "input_ids": to_device(batch.ids, model.device),
        "position_ids": to_device(batch.positions, model.device),
        "attention_mask": _masks(model, batch, is_sparse=is_sparse),
    }
    with _attention(model, _FLEX if is_sparse else None):
        hidden = states(inputs, wanted)
    means.add(hidden, own, rows)
    if means.is_touched(shared, rows):
        means.add(hidden, shared, rows)
    return means.vectors()


def lay_out(
    tokens: Sequence[FittedTokens], step: TreeStep, *, pad_id: int, block: int = 1
) -> TreeBatch:
    """Write groups into rows.

    Parameters
    ----------
    tokens : sequence of FittedTokens
    step : TreeStep
    pad_id : int
    block : int, default=1
        The number of columns is a multiple of it.

    Returns
    -------
    TreeBatch
    """
    n_columns = -(-step.n_columns // block) * block
    shape = (len(step.lines), n_columns)
    ids = np.full(shape, pad_id, dtype=np.int64)
    positions = np.zeros(shape, dtype=np.int64)
    group, part = np.full(shape, -1), np.full(shape, -1)
    places: list[tuple[int, int, int]] = []
    for line, groups in enumerate(step.lines):
        at = 0
        for number, members in enumerate(groups):
            start, n_shared = at, members.n_shared
            pieces = [tokens[members.rows[0]].ids[:n_shared]]
            pieces += [tokens[row].ids[n_shared:] for row in members.rows]
            for n, piece in enumerate(pieces):
                here = slice(at, at + len(piece))
                ids[line, here] = piece
                positions[line, here] = np.arange(len(piece)) + (n_shared if n else 0)
                group[line, here], part[line, here] = number, n
                if n:
                    offset = line * n_columns
                    places.append((offset + at, offset + start, n_shared))
                at += len(piece)
    slot, start_of, shared = (np.array(column) for column in zip(*places, strict=True))
    return TreeBatch(ids, positions, group, part, slot, start_of, shared)


def has_flex(model: CausalModel) -> bool:
    """Whether the model runs with flex_attention here."""
    return model.is_on_gpu and bool(
        getattr(model.torch_model, "_supports_flex_attn", False)
    )


def _masks(model: CausalModel, batch: TreeBatch, *, is_sparse: bool) -> Any:
    """Build the mask, or one for each kind of layer."""
    config = model.text_config
    window = getattr(config, "sliding_window", None)
    if getattr(config, "use_sliding_window", True) is False:
        window = None
    kinds = set(getattr(config, "layer_types", None) or ())
    arrays = [
        to_device(values, model.device)
        for values in (batch.positions, batch.group, batch.part)
    ]
    make = _block_mask if is_sparse else _dense_mask
    if not kinds:
        return make(model, arrays, window)
    if unknown := kinds - {"full_attention", "sliding_attention"}:
        raise ValueError(f"no tree mask for layers of {', '.join(sorted(unknown))}")
    return {
        kind: make(model, arrays, window if kind == "sliding_attention" else None)
        for kind in kinds
    }


def _dense_mask(model: CausalModel, arrays: Sequence[Any], window: int | None) -> Any:
    """Build a mask of shape (n_lines, 1, n_columns, n_columns)."""
    torch = import_optional("torch", extra="embed")
    positions, group, part = arrays
    column = torch.arange(positions.shape[1], device=positions.device)
    allowed = group[:, :, None] == group[:, None, :]
    allowed &= (part[:, None, :] == 0) | (part[:, :, None] == part[:, None, :])
    allowed &= column[:, None] >= column
    if window is not None:
        allowed &= positions[:, :, None] - positions[:, None, :] < window
    implementation = model.text_config._attn_implementation
    if implementation == "sdpa":
        return allowed[:, None]
    if implementation != "eager":
        raise ValueError(f"no tree mask for attention by {implementation}")
    # Eager attention adds its mask.
    dtype = model.torch_model.dtype
    zero = torch.zeros((), dtype=dtype, device=allowed.device)
    return torch.where(allowed[:, None], zero, torch.finfo(dtype).min)


def _block_mask(_model: CausalModel, arrays: Sequence[Any], window: int | None) -> Any:
    """Build a mask that flex_attention reads block by block."""
    flex = import_optional("torch.nn.attention.flex_attention", extra="embed")
    positions, group, part = arrays

    def is_seen(line: Any, _head: Any, query: Any, key: Any) -> Any:
        seen = (group[line, query] == group[line, key]) & (query >= key)
        seen = seen & ((part[line, key] == 0) | (part[line, query] == part[line, key]))
        if window is not None:
            seen = seen & (positions[line, query] - positions[line, key] < window)
        return seen

    n_lines, n_columns = positions.shape
    return flex.create_block_mask(
        is_seen, n_lines, None, n_columns, n_columns, device=positions.device
    )


@contextmanager
def _attention(model: CausalModel, implementation: str | None) -> Iterator[None]:
    """Run with another implementation of attention for a while."""
    if implementation is None:
        yield
        return
    before = model.text_config._attn_implementation
    model.torch_model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.torch_model.set_attn_implementation(before)
