"""Distinct integers at random, exactly, in memory of the order of the draw."""

import numpy as np

from embrm._typing import IntArray


def distinct_ranks(size: int, n: int, rng: np.random.Generator) -> IntArray:
    """Draw n distinct integers of [0, size), in random order.

    Every ordered draw without repetition is equally likely, so every prefix is such a
    draw too. Memory is O(n), however large `size` is (numpy's own `choice` may take
    O(size)).

    Parameters
    ----------
    size : int
        At most 2 ** 62.
    n : int <= size
    rng : Generator

    Returns
    -------
    ndarray of int64 of shape (n,)

    Examples
    --------
    >>> ranks = distinct_ranks(10**12, 5, np.random.default_rng(0))
    >>> len(set(ranks.tolist()))
    5
    """
    if n > _MOST * size:
        return rng.permutation(size)[:n]
    # The first n distinct values of an endless uniform sequence are such a draw.
    repeats = -size * np.log1p(-n / size) - n
    drawn = rng.integers(size, size=n + int(repeats + 4 * np.sqrt(repeats)) + 16)
    kept = first_occurrences(drawn, size)
    while len(kept) < n:
        more = rng.integers(size, size=2 * (n - len(kept)) + 16)
        kept = first_occurrences(np.concatenate([kept, more]), size)
    return kept[:n]


def first_occurrences(values: IntArray, size: int) -> IntArray:
    """Leave out every value that has come before; values lie in [0, size)."""
    n = len(values)
    n_bits = n.bit_length()
    first = np.ones(n, dtype=bool)
    if size.bit_length() + n_bits <= 63:
        # Value and position in one integer: sorting it is much faster than argsort.
        keys = values << n_bits
        keys |= np.arange(n)
        keys.sort()
        # Neighbours of equal value differ in the bits of the position alone.
        repeated = np.flatnonzero((keys[1:] ^ keys[:-1]) < 1 << n_bits) + 1
        first[keys[repeated] & ((1 << n_bits) - 1)] = False
    else:
        order = np.argsort(values, kind="stable")
        first[order[1:][values[order[1:]] == values[order[:-1]]]] = False
    return values[first]


# Up to this share, sorting away repeated draws is faster than shuffling everything.
_MOST = 0.9
