"""Find out whether a fast way of running a model gives the vectors of the plain way.

Asked of every model, the first time that a way is to be used: which kinds of cache,
masks and positions an architecture supports is not written anywhere. A model with a
sliding window that ignores it is off by 1.5 in relative error, one that counts its
positions from the mask by 0.07; others raise.
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from embrm._optional import import_optional
from embrm._typing import IntArray
from embrm.embed.causal.hidden_layers import HiddenLayers
from embrm.embed.causal.language_model import CausalModel
from embrm.embed.causal.padded_rows import run_padded
from embrm.embed.pooling import Column
from embrm.embed.truncation import FittedTokens

TOLERANCE = MappingProxyType({"float32": 1e-4, "bfloat16": 0.05})
"""Largest relative difference, by the dtype in which the model computes.

Rounding alone gives about 5e-7 and 8e-3 over the layers of the models tried."""

_TEXT = (
    "The quick brown fox jumps over the lazy dog, and nine more of them look on. "
    "Why is the sky blue? Because air scatters blue light more than red light."
)
_OWN = (5, 2, 7)
"""Tokens of the continuations."""

Vectors = Sequence[Any]
"""For each column, a torch.Tensor of shape (n_texts, d)."""


def example_texts(
    tokenizer: Any, *, limit: int, window: int | None
) -> list[FittedTokens]:
    """Make two beginnings of different length, with three continuations and two.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    limit : int
        Tokens of a text at most.
    window : int, optional
        Sliding window of the model. Within the limit, beginnings are longer than it:
        shorter ones would never notice.

    Returns
    -------
    list of FittedTokens
    """
    ids = np.asarray(tokenizer(_TEXT, add_special_tokens=False)["input_ids"])
    longest = limit - max(_OWN)
    wanted = 24 if window is None or window + 12 > longest else window + 8
    beginnings = [min(wanted, longest), min(wanted + 7, longest)]
    return [
        _example(ids, number, max(beginnings[number], 1), own)
        for number, n_texts in enumerate((3, 2))
        for own in _OWN[:n_texts]
    ]


def find_fault(
    model: CausalModel,
    layers: Sequence[int],
    texts: Sequence[FittedTokens],
    way: Callable[[Sequence[Column]], Vectors],
) -> str | None:
    """Compare a way of running the model with the plain way, text by text.

    Parameters
    ----------
    model : CausalModel
    layers : sequence of int
    texts : sequence of FittedTokens
    way : callable
        Takes columns, returns the vectors of the texts.

    Returns
    -------
    str or None
        What is wrong, in a few words; None if nothing is.
    """
    torch = import_optional("torch", extra="embed")
    columns = [Column(layer, name) for layer in layers for name in _POOLINGS]
    plain = HiddenLayers(
        model.torch_model, layers, n_layers=model.n_layers, is_lean=False
    )
    dtype = str(model.torch_model.dtype).removeprefix("torch.")
    try:
        with torch.inference_mode():
            expected = [run_padded(model, plain, [text], columns) for text in texts]
            got = way(columns)
    # Models, kernels and compilers raise errors of all kinds at what they do not know.
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {str(error)[:100]}"
    for number in range(len(columns)):
        reference = torch.cat([vectors[number] for vectors in expected])
        difference = (got[number] - reference).norm(dim=1) / reference.norm(dim=1)
        largest = float(difference.max())
        # Not ">": NaN is a fault, too.
        if not largest <= TOLERANCE[dtype]:
            return f"a relative difference of {largest:.2g}"
    return None


_POOLINGS = ("last_content", "mean")


def _example(ids: IntArray, number: int, n_shared: int, own: int) -> FittedTokens:
    """Make one text: its beginning depends on `number`, the rest on `own` as well."""
    parts = [np.resize(np.roll(ids, number), n_shared), np.roll(ids, own)[:own]]
    whole = np.concatenate(parts).astype(np.int32)
    return FittedTokens(whole, 0, n_shared, len(whole) - 1)
