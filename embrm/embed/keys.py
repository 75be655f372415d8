"""Which items are the same text: a 16-byte key for each (prompt, response)."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Text
from embrm.exceptions import InvalidInputError, three_parts
from embrm.messages import canonical_json

KEY_DTYPE = np.dtype("V16")
"""Dtype of keys: 16 opaque bytes."""

Keys: TypeAlias = NDArray[np.void]
"""Keys of items, shape (n,), dtype V16."""


def item_keys(texts: Sequence[Text], template: str = "1") -> Keys:
    """Compute the cache keys of items.

    The key is blake2b-128 of the canonical JSON of `[template, prompt, response]`,
    so it is the same in every process, on every machine, for ever. Text counts as
    it is: no Unicode normalisation, no stripping. Lone surrogates, which UTF-8
    cannot hold, are hashed by their three-byte form (Python's "surrogatepass").

    Parameters
    ----------
    texts : sequence of (prompt, response)
        A `str` prompt and the same text as one user message have the same key.
    template : str, default="1"
        Names the way a text is written for the encoder. Encoders count their
        template in the fingerprint, so callers rarely set it.

    Returns
    -------
    ndarray of shape (n_items,), dtype V16

    Raises
    ------
    InvalidInputError
        If a text is not a (prompt, response); the message names the item.

    Examples
    --------
    >>> keys = item_keys([("Hi", "Hello"), ("Hi", "Hello"), ("Hi", "Bye")])
    >>> keys.shape, bool(keys[0] == keys[1]), bool(keys[0] == keys[2])
    ((3,), True, False)
    >>> bytes(keys[0]).hex()
    '35ec902307e51db344934466db790fba'
    """
    name = json.dumps(template, ensure_ascii=False)
    digests = b"".join(_digest(name, text, item) for item, text in enumerate(texts))
    return np.frombuffer(digests, dtype=KEY_DTYPE)


def _digest(name: str, text: Any, item: int) -> bytes:
    """Hash one text to 16 bytes."""
    # A string of two characters would unpack into a prompt and a response.
    if isinstance(text, str) or not hasattr(text, "__len__") or len(text) != 2:
        raise _no_text(f"{_short(text)} at item {item}")
    prompt, response = text
    if not isinstance(response, str):
        raise _no_text(f"a response of type {type(response).__name__} at item {item}")
    try:
        written = canonical_json(prompt)
    except InvalidInputError as error:
        raise InvalidInputError(f"item {item}: {error}") from error
    body = f"[{name},{written},{json.dumps(response, ensure_ascii=False)}]"
    raw = body.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=KEY_DTYPE.itemsize).digest()


def _short(text: Any) -> str:
    """Describe something that is no text, without showing its content."""
    kind = type(text).__name__
    return f"a {kind} of length {len(text)}" if hasattr(text, "__len__") else kind


def _no_text(got: str) -> InvalidInputError:
    return InvalidInputError(
        three_parts(
            expected="texts that are (prompt, response), the response a str",
            got=got,
            cure="pass one (prompt, response) tuple per item",
        )
    )
