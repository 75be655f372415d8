"""Which items are the same text: a 16-byte key for each, and where keys are."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Text
from embrm.exceptions import InvalidInputError, invalid_input
from embrm.messages import canonical_json

KEY_DTYPE = np.dtype("V16")
"""Dtype of keys: 16 opaque bytes."""

Keys: TypeAlias = NDArray[np.void]
"""Keys of items, shape (n,), dtype V16."""


_quote = json.JSONEncoder(ensure_ascii=False).encode


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
        Names the format of texts for the encoder. Encoders count their
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
    body = f"[{name},{written},{_quote(response)}]"
    raw = body.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=KEY_DTYPE.itemsize).digest()


def _short(text: Any) -> str:
    """Describe something that is no text, without showing its content."""
    kind = type(text).__name__
    return f"a {kind} of length {len(text)}" if hasattr(text, "__len__") else kind


def _no_text(got: str) -> InvalidInputError:
    return invalid_input(
        expected="texts that are (prompt, response), the response a str",
        got=got,
        fix="pass one (prompt, response) tuple per item",
    )


class KeyIndex:
    """Rows by key; of rows with the same key the first counts.

    Keys are held as two sorted uint64 columns, 20 bytes per key. A look-up is one
    binary search on the first column and a check of the second, so keys that share
    their first eight bytes are still distinguished. Keys are looked up in sorted order:
    neighbours then share cache lines, which is seven times faster at a million.

    Parameters
    ----------
    keys : ndarray of shape (n,), dtype V16

    Examples
    --------
    >>> import numpy as np
    >>> keys = np.array([b"a" * 16, b"b" * 16, b"a" * 16]).view("V16")
    >>> index = KeyIndex(keys)
    >>> len(index), index.find(keys).tolist()
    (2, [0, 1, 0])
    >>> index.find(np.array([b"c" * 16]).view("V16")).tolist()
    [-1]
    """

    def __init__(self, keys: Keys) -> None:
        high, low = _halves(keys)
        order = _sort_rows(high, low)
        high, low = high[order], low[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        small = len(keys) <= np.iinfo(np.uint32).max
        self._high, self._low = high[first], low[first]
        self._rows = order[first].astype(np.uint32 if small else np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows that count, one for each distinct key, ascending; shape (n_keys,)."""
        return np.sort(self._rows).astype(np.int64)

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Return the row of each key, -1 where there is none; shape (n,)."""
        high, low = _halves(keys)
        found = np.full(len(keys), -1, dtype=np.int64)
        open_ = np.argsort(high)
        at = np.searchsorted(self._high, high[open_])
        while len(open_):
            inside = at < len(self._high)
            open_, at = open_[inside], at[inside]
            same_high = self._high[at] == high[open_]
            hit = same_high & (self._low[at] == low[open_])
            found[open_[hit]] = self._rows[at[hit]]
            # Another key with the same first eight bytes: look at the next place.
            more = same_high & ~hit
            open_, at = open_[more], at[more] + 1
        return found


def check_keys(keys: Any) -> Keys:
    """Check that keys are what `item_keys` makes: shape (n,), dtype V16."""
    if not isinstance(keys, np.ndarray) or keys.dtype != KEY_DTYPE or keys.ndim != 1:
        got = (
            f"shape {keys.shape}, dtype {keys.dtype}"
            if isinstance(keys, np.ndarray)
            else type(keys).__name__
        )
        raise invalid_input(
            expected="keys of shape (n,), dtype V16",
            got=got,
            fix="make them with embrm.embed.keys.item_keys",
        )
    return keys


def _halves(keys: Keys) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """View keys as two columns of uint64."""
    halves = np.ascontiguousarray(check_keys(keys)).view(np.uint64).reshape(-1, 2)
    return halves[:, 0], halves[:, 1]


def _sort_rows(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Sort by both columns, equal keys in row order; most keys differ in the first."""
    order = np.argsort(high)
    ordered = high[order]
    tied = np.zeros(len(order) + 1, dtype=bool)
    tied[1:-1] = ordered[1:] == ordered[:-1]
    at = np.flatnonzero(tied[1:] | tied[:-1])
    rows = order[at]
    order[at] = rows[np.lexsort((rows, low[rows], high[rows]))]
    return order
