"""Names for the shapes of data that pass between rooms."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, NotRequired, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
"""Floating point array; docstrings say its shape."""

IntArray: TypeAlias = NDArray[np.integer[Any]]
"""Integer array; docstrings say its shape."""

BoolArray: TypeAlias = NDArray[np.bool_]
"""Boolean mask; docstrings say its shape."""

AnyArray: TypeAlias = NDArray[Any]
"""Array of any dtype (prompt ids may be integers or strings)."""

RandomState: TypeAlias = int | np.random.Generator | np.random.RandomState | None
"""Seed or generator, as scikit-learn spells it."""

LearnsFrom: TypeAlias = Literal["pairs", "ratings", "labels", "rankings"]
"""What a head is fitted on: comparisons of two items, numbers given to items, items
that are good or bad, or prompts' items from best to worst."""


class Message(TypedDict):
    """One turn of a conversation; of tools, with what they are called with."""

    role: str
    content: str
    tool_calls: NotRequired[list[Any]]
    name: NotRequired[str]
    tool_call_id: NotRequired[str]
    tools: NotRequired[list[Any]]


Prompt: TypeAlias = str | Sequence[Message]
"""What was asked: a single user turn as `str`, or the whole conversation so far."""

Text: TypeAlias = tuple[Prompt, str]
"""The text of an item: (prompt, response)."""


class FittedTexts(NamedTuple):
    """What an encoder's limit leaves of each item.

    Attributes
    ----------
    limit : int
        In tokens.
    n_tokens : ndarray of int of shape (n_items,)
        After the cut.
    is_cut : ndarray of bool of shape (n_items,)
        Whether its beginning was cut off.
    codes : ndarray of int of shape (n_items,)
        Equal where the same tokens are left.
    """

    limit: int
    n_tokens: IntArray
    is_cut: BoolArray
    codes: IntArray
