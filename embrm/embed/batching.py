"""Batches of similar length within a token budget, and vectors in the given order.

The vector of a text must not depend on its neighbours: batches are padded with an
explicit mask, and rows are written back to where their texts stood.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm.embed.truncation import FittedTokens
from embrm.exceptions import EmbrmError, invalid_input

FLOAT16_LIMIT = 6e4
"""Largest absolute value stored as float16, whose own limit is 65504."""


@dataclass(frozen=True)
class PaddedBatch:
    """Token ids of several texts in one rectangle.

    Attributes
    ----------
    ids : ndarray of int64 of shape (n_texts, n_columns)
    mask : ndarray of bool of shape (n_texts, n_columns)
        True at real tokens.
    shift : ndarray of int of shape (n_texts,)
        Column of each text's first token: token j of text i is at `shift[i] + j`.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.bool_]
    shift: NDArray[np.intp]

    @property
    def position_ids(self) -> NDArray[np.int64]:
        """Position of each token within its text; 0 at pad positions before it."""
        return np.maximum(np.cumsum(self.mask, axis=1, dtype=np.int64) - 1, 0)


def pad(
    tokens: Sequence[FittedTokens], *, pad_id: int, side: str = "right"
) -> PaddedBatch:
    """Pad the token ids of texts to a rectangle; see `pad_ids`.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.embed.truncation import FittedTokens
    >>> two = FittedTokens(np.array([5, 6], dtype=np.int32), 0, 1, 1)
    >>> one = FittedTokens(np.array([7], dtype=np.int32), 0, 0, 0)
    >>> pad([two, one], pad_id=0).ids.tolist()
    [[5, 6], [7, 0]]
    """
    return pad_ids([fitted.ids for fitted in tokens], pad_id=pad_id, side=side)


def pad_ids(
    sequences: Sequence[NDArray[np.int32]], *, pad_id: int, side: str = "right"
) -> PaddedBatch:
    """Pad token ids to a rectangle.

    Parameters
    ----------
    sequences : sequence of ndarray of int32
    pad_id : int
        Any id will do under a causal mask; it is never searched for.
    side : {"right", "left"}

    Returns
    -------
    PaddedBatch
    """
    lengths = np.array([len(ids) for ids in sequences])
    width = int(lengths.max())
    shift = width - lengths if side == "left" else np.zeros_like(lengths)
    columns = np.arange(width)
    mask = (columns >= shift[:, None]) & (columns < (shift + lengths)[:, None])
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate(sequences)
    return PaddedBatch(ids, mask, shift)


def token_batches(lengths: Sequence[int], *, batch_tokens: int) -> list[list[int]]:
    """Group texts of similar length into batches of at most `batch_tokens` tokens.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each text.
    batch_tokens : int
        Bound for texts x longest text, padding included; a text that is longer
        forms a batch of its own.

    Returns
    -------
    list of list of int
        Positions, longest texts first, so that a batch too large for memory fails
        at once and not at the end.

    Examples
    --------
    >>> token_batches([3, 9, 4, 8], batch_tokens=18)
    [[1, 3], [2, 0]]
    """
    batches: list[list[int]] = []
    longest = 0
    for row in sorted(range(len(lengths)), key=lambda n: -lengths[n]):
        if not batches or (len(batches[-1]) + 1) * longest > batch_tokens:
            batches.append([])
            longest = lengths[row]
        batches[-1].append(row)
    return batches


def as_stored(vectors: NDArray[np.float32], dtype: str) -> NDArray[np.floating[Any]]:
    """Cast vectors for storage, after checking that this loses nothing.

    Hidden states of some models exceed float16
    (https://github.com/huggingface/transformers/issues/39972).

    Raises
    ------
    InvalidInputError
        If a value is NaN or infinite, or too large for float16.

    Examples
    --------
    >>> import numpy as np
    >>> as_stored(np.ones((1, 2), dtype=np.float32), "float16").dtype
    dtype('float16')
    """
    if not np.isfinite(vectors).all():
        raise invalid_input(
            expected="finite vectors",
            got="NaN or infinity from the model",
            fix="compute with dtype='float32', or check the model's weights",
        )
    largest = float(np.abs(vectors).max(initial=0.0))
    if dtype == "float16" and largest >= FLOAT16_LIMIT:
        raise invalid_input(
            expected=f"vectors below {FLOAT16_LIMIT:g}, which float16 holds",
            got=f"a value of {largest:.3g}",
            fix="pass store_dtype='float32'",
        )
    return vectors.astype(dtype)


def check_options(encoder: Any, dtype: str) -> None:
    """Check the options that encoders with a model share.

    Parameters
    ----------
    encoder : encoder
    dtype : str
        In which it computes.

    Raises
    ------
    InvalidInputError
        Above all for `dtype="float16"`: hidden states overflow it in silence.
    """
    for name, (rule, choices) in _RULES.items():
        value: Any = dtype if name == "dtype" else getattr(encoder, name)
        holds = value in choices if choices else value is None or value >= 1
        if not holds:
            raise invalid_input(expected=rule, got=repr(value), fix="pass one of these")


# What to say of each option, and its choices; those without are counts, or None.
_RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "dtype": (
        "dtype, in which the model computes, 'float32' or 'bfloat16'",
        ("float32", "bfloat16"),
    ),
    "store_dtype": ("store_dtype 'float16' or 'float32'", ("float16", "float32")),
    "batch_tokens": ("batch_tokens >= 1", ()),
    "max_tokens": ("max_tokens >= 1", ()),
    "on_long_response": (
        "on_long_response 'truncate' or 'raise'",
        ("truncate", "raise"),
    ),
}


def choose_device(device: str | None) -> str:
    """Return the given device, else the GPU if there is one, else the CPU."""
    torch = import_optional("torch", extra="embed")
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def set_evaluation_mode(model: Any) -> None:
    """Switch dropout off, and make sure that every part of the model obeyed.

    Raises
    ------
    EmbrmError
        If a module is still in training mode, so that vectors would be random.
    """
    model.eval()
    stuck = [type(part).__name__ for part in model.modules() if part.training]
    if stuck:
        raise EmbrmError.of(
            expected="a model in evaluation mode",
            got=f"{stuck[0]} still in training mode after model.eval()",
            fix="use a model whose modules follow train() and eval()",
        )
