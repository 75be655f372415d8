"""Shared beginning and all continuations in one row, each token seeing its own text.

Positions start again behind the beginning for every continuation, and so a sliding
window goes by positions, not by columns: masks are passed for each kind of layer that
the model has. On a GPU flex_attention skips the blocks that are masked; elsewhere the
mask is dense, and the row's length is limited.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm.embed.causal.hidden_layers import HiddenLayers
from embrm.embed.causal.language_model import CausalModel
from embrm.embed.causal.sharing_plan import TreeStep
from embrm.embed.pooling import Column, ColumnMeans, Placed
from embrm.embed.steps import to_device
from embrm.embed.truncation import FittedTokens

# flex_attention works in blocks of 128, and compiles again for other lengths.
_BLOCK = 128
_FLEX = "flex_attention"


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
