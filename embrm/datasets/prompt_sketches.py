r"""Sketches of prompts, by which near-duplicates are known without their texts.

A sketch is a MinHash signature of 120 values, of each the lowest 8 bits [1]_. The
Jaccard index of two prompts' shingles is estimated by the share c of values that are
equal, :math:`(c - 1/256) / (1 - 1/256)`, with a standard error of 0.04 or less.

References
----------
.. [1] Li and König (2010), b-Bit minwise hashing, doi:10.1145/1772690.1772759.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from embrm._typing import BoolArray, IntArray, Prompt
from embrm.datasets.near_duplicates import THRESHOLD, smallest_hashes

SKETCH_BYTES = 120
"""Length of a sketch."""

_ROWS = 6
_COMPARED = 8
_SLACK = 0.05
_AT_ONCE = 1 << 16


def sketch_prompts(prompts: Iterable[Prompt]) -> NDArray[np.uint8]:
    """Sketch prompts.

    Parameters
    ----------
    prompts : iterable of str or of lists of messages

    Returns
    -------
    ndarray of uint8 of shape (n_prompts, 120)
        The same in every process and on every machine.

    Examples
    --------
    >>> sketches = sketch_prompts(["Is the sea blue?", "is the sea blue"])
    >>> sketches.shape, bool((sketches[0] == sketches[1]).all())
    ((2, 120), True)
    """
    texts = list(prompts)
    if not texts:
        return np.empty((0, SKETCH_BYTES), dtype=np.uint8)
    factors = np.random.default_rng(0).integers(0, 2**31, SKETCH_BYTES) * 2 + 1
    columns = smallest_hashes(texts, factors.astype(np.uint32))
    return np.column_stack([column.astype(np.uint8) for column in columns])


def match_sketches(
    sketches: NDArray[np.uint8],
    known: NDArray[np.uint8],
    threshold: float = THRESHOLD,
) -> BoolArray:
    """Mark the sketches that are near-duplicates of a known one.

    Parameters
    ----------
    sketches : ndarray of uint8 of shape (n_prompts, 120)
    known : ndarray of uint8 of shape (n_known, 120)
    threshold : float in [0.5, 1], default=0.8
        Jaccard index of near-duplicates; as it is estimated, 0.05 less is enough.

    Returns
    -------
    ndarray of bool of shape (n_prompts,)

    Examples
    --------
    >>> known = sketch_prompts(["Write a short poem about the sea at night."])
    >>> texts = ["write a short poem about the sea at night!", "Name a fruit"]
    >>> match_sketches(sketch_prompts(texts), known).tolist()
    [True, False]
    """
    found = np.zeros(len(sketches), dtype=bool)
    if not len(known):
        return found
    for start in range(0, SKETCH_BYTES, _ROWS):
        band = slice(start, start + _ROWS)
        rows, others = _candidates(_keys(sketches[:, band]), _keys(known[:, band]))
        fresh = ~found[rows]
        rows, others = rows[fresh], others[fresh]
        for at in range(0, len(rows), _AT_ONCE):
            part = slice(at, at + _AT_ONCE)
            equal = (sketches[rows[part]] == known[others[part]]).mean(axis=1)
            index = (equal - 1 / 256) / (1 - 1 / 256)
            found[rows[part][index >= threshold - _SLACK]] = True
    return found


def _keys(band: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Read six bytes as one number."""
    padded = np.zeros((len(band), 8), dtype=np.uint8)
    padded[:, :_ROWS] = band
    return padded.view("<u8")[:, 0].astype(np.uint64)


def _candidates(
    keys: NDArray[np.uint64], known: NDArray[np.uint64]
) -> tuple[IntArray, IntArray]:
    """Pair each key with some of the known ones that are equal to it."""
    order = np.argsort(known, kind="stable")
    first = np.searchsorted(known[order], keys, "left")
    end = np.searchsorted(known[order], keys, "right")
    steps = np.arange(_COMPARED)
    at = first[:, None] + steps
    rows, places = np.nonzero(at < end[:, None])
    return rows, order[at[rows, places]]
