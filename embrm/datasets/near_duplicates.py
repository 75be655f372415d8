r"""Near-duplicate prompts: MinHash finds candidates, the true Jaccard index decides.

A prompt is the set of its shingles: two words in a row, in lower case and without
punctuation; signs such as + and % are words, and so is each character of a script
without spaces. Two prompts are near-duplicates where their sets have

.. math:: J(A, B) = |A \cap B| / |A \cup B| \ge \text{threshold}.

Where a file's prompts share a system prompt or a template, that must not make them
near-duplicates: J has to reach the threshold also without the shingles that more than
5% of the prompts, and more than 50 of them, have in common.

Candidates are prompts that agree in one band of their MinHash signatures [1]_, [2]_,
with bands chosen so that a pair at the threshold is found with probability 0.995 or
more. Each candidate is then verified on its sets, so that nothing is merged by chance.
All is deterministic.

References
----------
.. [1] Broder (1997), On the resemblance and containment of documents,
   doi:10.1109/SEQUEN.1997.666900.
.. [2] Leskovec, Rajaraman and Ullman (2014), Mining of Massive Datasets, section 3.4.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from embrm._typing import BoolArray, IntArray, Prompt
from embrm.datasets._shingles import ShingleSets, shingle_sets
from embrm.exceptions import invalid_input

if TYPE_CHECKING:
    from embrm.datasets.preferences import Preferences

THRESHOLD = 0.8
"""Jaccard index from which prompts are near-duplicates by default."""

_N_HASHES = 120
_RECALL = 0.995
_LONGEST_BAND = 12
_LOWEST = 0.5
_NEIGHBOURS = 8
_VERIFIED_AT_ONCE = 1 << 22


def near_duplicate_groups(
    prompts: Iterable[Prompt], threshold: float = THRESHOLD
) -> IntArray:
    """Group prompts that are near-duplicates of one another.

    Parameters
    ----------
    prompts : iterable of str or of lists of messages
    threshold : float in [0.5, 1], default=0.8
        Smallest Jaccard index of their shingles.

    Returns
    -------
    ndarray of int of shape (n_prompts,)
        Group of each prompt, numbered from 0 in order of first appearance. Groups are
        connected components: two prompts of a group may differ by more than the
        threshold where others lie between them.

    Raises
    ------
    InvalidInputError
        If the threshold is out of range, or a prompt is malformed.

    Examples
    --------
    >>> near_duplicate_groups(
    ...     [
    ...         "Write a short poem about the sea at night.",
    ...         "Name a fruit",
    ...         "write a short poem about the sea at night!",
    ...     ]
    ... ).tolist()
    [0, 1, 0]
    """
    if not _LOWEST <= threshold <= 1:
        raise invalid_input(
            expected=f"a threshold in [{_LOWEST}, 1]",
            got=f"{threshold:g}",
            fix="leave it at 0.8 if in doubt",
        )
    given = list(prompts)
    if not given:
        return np.empty(0, dtype=np.intp)
    sets = shingle_sets(given)
    same = pd.factorize(sets.fingerprints())[0]
    firsts = np.unique(same, return_index=True)[1]
    distinct = sets.take(firsts)
    telling = distinct.without(distinct.common())
    labels: IntArray = np.arange(len(firsts))
    for keys, next_keys in _bands(telling, threshold):
        one, other = _candidates(keys, next_keys)
        apart = labels[one] != labels[other]
        one, other = one[apart], other[apart]
        alike = _are_alike(telling, one, other, threshold)
        one, other = one[alike], other[alike]
        alike = _are_alike(distinct, one, other, threshold)
        labels = _joined(labels, labels[one[alike]], labels[other[alike]])
    return np.asarray(pd.factorize(labels[same])[0], dtype=np.intp)


def near_duplicate_prompt_ids(
    preferences: "Preferences", threshold: float = THRESHOLD
) -> IntArray:
    """Return prompt ids in which near-duplicate prompts are one.

    Parameters
    ----------
    preferences : Preferences
    threshold : float in [0.5, 1], default=0.8
        As in `near_duplicate_groups`.

    Returns
    -------
    ndarray of int of shape (n_items,)
        For `Pairs(..., prompt_ids=...)`: splits by prompt then put near-duplicates on
        one side.

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> rows = [
    ...     {"prompt": p, "chosen": "yes", "rejected": "no"}
    ...     for p in ("Is the sea blue today?", "is the sea blue today", "Is it green?")
    ... ]
    >>> near_duplicate_prompt_ids(read_preferences(rows)).tolist()
    [0, 0, 0, 0, 1, 1]
    """
    ids = preferences.items["prompt_id"].to_numpy()
    known, firsts, position = np.unique(ids, return_index=True, return_inverse=True)
    # Only one text of each prompt is compared: items repeat it.
    prompts = preferences.items["prompt"].take(firsts)
    groups = near_duplicate_groups(prompts, threshold)
    earliest = np.unique(groups, return_index=True)[1]
    merged: IntArray = known[earliest[groups]][position]
    return np.asarray(pd.factorize(merged)[0], dtype=np.intp)


def near_shared(
    prompts: Iterable[Prompt], others: Iterable[Prompt], threshold: float = THRESHOLD
) -> BoolArray:
    """Mark the prompts that are near-duplicates of another list's.

    Parameters
    ----------
    prompts, others : iterable of str or of lists of messages
    threshold : float in [0.5, 1], default=0.8

    Returns
    -------
    ndarray of bool of shape (n_prompts,)
        Whether a prompt's group, of those in both lists together, holds one of the
        others.

    Examples
    --------
    >>> near_shared(["Is the sea blue?", "Is it green?"], ["is the sea  blue"]).tolist()
    [True, False]
    """
    own = list(prompts)
    groups = near_duplicate_groups([*own, *others], threshold)
    shared: BoolArray = np.isin(groups[: len(own)], groups[len(own) :])
    return shared


def _rows_of_band(threshold: float) -> int:
    """Choose the longest band that still finds pairs at the threshold."""
    lengths = np.arange(1, _LONGEST_BAND + 1)
    recall = 1 - (1 - threshold**lengths) ** (_N_HASHES // lengths)
    return int(lengths[recall >= _RECALL].max())


def _bands(
    sets: ShingleSets, threshold: float
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint64]]]:
    """Yield the key of each set in each band, with its key in the next band."""
    if threshold == 1:
        return
    rows = _rows_of_band(threshold)
    odd = np.random.default_rng(0).integers(0, 2**31, (_N_HASHES // rows, rows)) * 2 + 1
    keys = [sets.smallest(factors) for factors in odd[:1].astype(np.uint32)]
    first = keys[0]
    for factors in odd[1:].astype(np.uint32):
        keys = [keys[-1], sets.smallest(factors)]
        yield keys[0], keys[1]
    yield keys[-1], first


def _candidates(
    keys: NDArray[np.uint64], next_keys: NDArray[np.uint64]
) -> tuple[IntArray, IntArray]:
    """Pair each set with a few of those of the same key.

    Pairs of all would be quadratic. Those that share the next band's key as well stand
    together, and each is paired with the first of its key: a large group of
    near-duplicates is a star.
    """
    rows = _repeated(keys)
    order = rows[np.lexsort((next_keys[rows], keys[rows]))]
    if not len(order):
        return order, order
    ordered = keys[order]
    begins = np.append(True, ordered[1:] != ordered[:-1])
    leader = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    far = np.flatnonzero(np.arange(len(order)) - leader > _NEIGHBOURS)
    ones, others = [order[leader[far]]], [order[far]]
    for step in range(1, _NEIGHBOURS + 1):
        at = np.flatnonzero(ordered[step:] == ordered[:-step])
        ones.append(order[at])
        others.append(order[at + step])
    return np.concatenate(ones), np.concatenate(others)


def _repeated(keys: NDArray[np.uint64]) -> IntArray:
    """Return where keys stand that are not alone: mostly few, so the rest is fast."""
    ordered = np.sort(keys)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return np.empty(0, dtype=np.intp)
    at = np.searchsorted(twice, keys) % len(twice)
    return np.flatnonzero(twice[at] == keys)


def _are_alike(
    sets: ShingleSets, one: IntArray, other: IntArray, threshold: float
) -> BoolArray:
    """Compute which pairs of sets have a Jaccard index of the threshold or more."""
    sizes = sets.sizes
    smaller, larger = (
        np.minimum(sizes[one], sizes[other]),
        np.maximum(sizes[one], sizes[other]),
    )
    alike: BoolArray = smaller >= threshold * larger
    rows = np.flatnonzero(alike)
    work = np.cumsum(sizes[one[rows]] + sizes[other[rows]]) // _VERIFIED_AT_ONCE
    for part in np.split(rows, np.flatnonzero(np.diff(work)) + 1):
        if len(part):
            shared = _n_shared(sets, one[part], other[part])
            union = sizes[one[part]] + sizes[other[part]] - shared
            # 4 of 5 are 0.8, whatever the rounding.
            alike[part] = shared >= threshold * union - 1e-9
    return alike


def _n_shared(sets: ShingleSets, one: IntArray, other: IntArray) -> IntArray:
    """Count the elements that both sets of each pair have."""
    pair = np.arange(len(one), dtype=np.uint64)
    keys = np.concatenate(
        [
            (np.repeat(pair, sets.sizes[side]) << np.uint64(32))
            | sets.hashes[sets.rows(side)]
            for side in (one, other)
        ]
    )
    keys.sort()
    twice = keys[1:][keys[1:] == keys[:-1]] >> np.uint64(32)
    return np.bincount(twice.astype(np.int64), minlength=len(one))


def _joined(labels: IntArray, one: IntArray, other: IntArray) -> IntArray:
    """Give labels that belong together one label."""
    if not len(one):
        return labels
    n = int(labels.max()) + 1
    graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1][labels])
