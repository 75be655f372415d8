r"""Sketches of prompts, by which near-duplicates are known without their texts.

A sketch is a MinHash signature of 120 values, of each the lowest 8 bits [1]_. The
Jaccard index of two prompts' shingles is estimated by the share c of values that are
equal, :math:`(c - 1/256) / (1 - 1/256)`, with a standard error of 0.05 or less.

References
----------
.. [1] Li and König (2010), b-Bit minwise hashing, doi:10.1145/1772690.1772759.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embrm._typing import BoolArray, IntArray, Prompt
from embrm.datasets._shingles import shingle_sets
from embrm.datasets.near_duplicates import THRESHOLD

SKETCH_BYTES = 120
"""Length of a sketch."""

_ROWS = 6
_COMPARED = 8
_SLACK = 0.05
_AT_ONCE = 1 << 16


class PromptSketches(NamedTuple):
    """Sketches of prompts.

    Attributes
    ----------
    values : ndarray of uint8 of shape (n_prompts, 120)
        The same in every process and on every machine.
    common : ndarray of uint32
        Shingles that many of the prompts share, as those of a system prompt; left out
        of the sketches. In ascending order.
    """

    values: NDArray[np.uint8]
    common: NDArray[np.uint32]

    def match(
        self, prompts: Iterable[Prompt], threshold: float = THRESHOLD
    ) -> BoolArray:
        """Mark the prompts that are near-duplicates of a sketched one.

        Parameters
        ----------
        prompts : iterable of str or of lists of messages
        threshold : float in [0.5, 1], default=0.8
            Jaccard index of near-duplicates; as it is estimated, 0.05 less is enough.

        Returns
        -------
        ndarray of bool of shape (n_prompts,)
        """
        values = _sketch(list(prompts), self.common)
        found = np.zeros(len(values), dtype=bool)
        for start in range(0, SKETCH_BYTES, _ROWS):
            band = slice(start, start + _ROWS)
            rows, others = _candidates(
                _keys(values[:, band]), _keys(self.values[:, band])
            )
            fresh = ~found[rows]
            rows, others = rows[fresh], others[fresh]
            for at in range(0, len(rows), _AT_ONCE):
                part = slice(at, at + _AT_ONCE)
                equal = (values[rows[part]] == self.values[others[part]]).mean(axis=1)
                index = (equal - 1 / 256) / (1 - 1 / 256)
                found[rows[part][index >= threshold - _SLACK]] = True
        return found


def sketch_prompts(prompts: Iterable[Prompt]) -> PromptSketches:
    """Sketch prompts.

    Parameters
    ----------
    prompts : iterable of str or of lists of messages

    Returns
    -------
    PromptSketches

    Examples
    --------
    >>> sketches = sketch_prompts(["Write a short poem about the sea at night."])
    >>> sketches.values.shape
    (1, 120)
    >>> sketches.match(
    ...     ["write a short poem about the sea at night!", "Name a fruit"]
    ... ).tolist()
    [True, False]
    """
    given = list(prompts)
    common = shingle_sets(given).common() if given else np.empty(0, dtype=np.uint32)
    return PromptSketches(_sketch(given, common), common)


def _sketch(prompts: list[Prompt], common: NDArray[np.uint32]) -> NDArray[np.uint8]:
    values = np.empty((len(prompts), SKETCH_BYTES), dtype=np.uint8)
    if prompts:
        sets = shingle_sets(prompts).without(common)
        odd = np.random.default_rng(0).integers(0, 2**31, SKETCH_BYTES) * 2 + 1
        for at, factor in enumerate(odd.astype(np.uint32)):
            values[:, at] = sets.smallest(np.array([factor])).astype(np.uint8)
    return values


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
    at = first[:, None] + np.arange(_COMPARED)
    rows, places = np.nonzero(at < end[:, None])
    return rows, order[at[rows, places]]
