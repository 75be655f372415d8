"""The boundary of this room: deltas, groups and item scores are checked here, once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import (
    as_numbers,
    check_labels,
    check_sample_weight,
    find_missing,
)
from embrm.exceptions import invalid_input
from embrm.pairs import CrossPromptGroups


def check_delta(delta: ArrayLike) -> FloatArray:
    """Check deltas: one finite number per pair, at least one pair.

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
        Reward of first minus reward of second, in nats.

    Returns
    -------
    ndarray of shape (n_pairs,), float64

    Raises
    ------
    InvalidInputError
        If the shape is wrong, no pair is left, or a delta is NaN or infinite.

    Examples
    --------
    >>> check_delta([1, -2])
    array([ 1., -2.])
    """
    return _check_vector(
        delta, "delta", "pair", "pass head.decision_function(pairs), one per pair"
    )


def check_scores(
    scores: ArrayLike, name: str, n_items: int | None = None
) -> FloatArray:
    """Check scores of items: one finite number per item, `n_items` of them if given."""
    values = _check_vector(
        scores, name, "item", f"pass one {name} for every item, in the items' order"
    )
    if n_items is not None and len(values) != n_items:
        raise invalid_input(
            f"{name} of shape ({n_items},), one per item",
            f"shape {values.shape}",
            "pass arrays that describe the same items in the same order",
        )
    return values


def check_labelled(
    delta: ArrayLike, y: ArrayLike | None, sample_weight: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Check deltas with their labels and weights; None means all one for both."""
    differences = check_delta(delta)
    n_pairs = len(differences)
    labels = check_labels(y, n_pairs=n_pairs)
    return differences, labels, check_sample_weight(sample_weight, n_pairs=n_pairs)


def check_untied(labels: FloatArray, weights: FloatArray) -> None:
    """Refuse labels that leave order consistency nothing to count."""
    if not weights[labels != 0.5].any():
        raise invalid_input(
            "at least one pair whose label is not a tie",
            f"{len(labels)} pairs, none of them with weight",
            "pass pairs with y above or below 0.5",
        )


def check_lengths(lengths: ArrayLike, n_pairs: int | None = None) -> FloatArray:
    """Check lengths of both ends: shape (n_pairs, 2), finite, >= 0, any one unit."""
    values = as_numbers(lengths, "lengths")
    if values.ndim != 2 or values.shape[1] != 2 or len(values) == 0:
        raise invalid_input(
            "lengths of shape (n_pairs, 2)",
            f"shape {values.shape}",
            "pass two columns: length of first, length of second",
        )
    if n_pairs is not None and len(values) != n_pairs:
        raise invalid_input(
            f"lengths of shape ({n_pairs}, 2)",
            f"shape {values.shape}",
            "pass the lengths of the same pairs, in the same order",
        )
    bad = ~(np.isfinite(values) & (values >= 0)).all(axis=1)
    if bad.any():
        raise invalid_input(
            "finite lengths >= 0",
            f"another value at pair {int(np.argmax(bad))}",
            "count characters or tokens of both responses",
        )
    return values


def group_codes(groups: ArrayLike, n_pairs: int | None = None) -> tuple[IntArray, int]:
    """Give each prompt of pairs a number.

    Parameters
    ----------
    groups : array-like of shape (n_pairs,) or (n_pairs, 2)
        Prompt id of the pair, or of both its ends (`Pairs.groups`).
    n_pairs : int, optional
        The length that is required.

    Returns
    -------
    codes : ndarray of int of shape (n_pairs, 2)
        Prompt number of first and of second.
    n_prompts : int

    Raises
    ------
    InvalidInputError
        If the shape is wrong, an id is missing, or ids of several types are mixed.

    Examples
    --------
    >>> codes, n_prompts = group_codes(["b", "a"])
    >>> codes.tolist(), n_prompts
    ([[1, 1], [0, 0]], 2)
    """
    array = group_ids(groups)
    if array.ndim != 1 and (array.ndim != 2 or array.shape[1] != 2):
        raise invalid_input(
            "groups of shape (n_pairs,) or (n_pairs, 2)",
            f"shape {array.shape}",
            "pass pairs.groups, or one prompt id per pair",
        )
    if n_pairs is not None and len(array) != n_pairs:
        raise invalid_input(
            f"groups of {n_pairs} pairs",
            f"groups of {len(array)}",
            "pass the groups of the same pairs, in the same order",
        )
    codes, prompts = number_prompts(array, "groups")
    both = codes if codes.ndim == 2 else np.column_stack([codes, codes])
    return both, len(prompts)


def group_ids(groups: ArrayLike) -> AnyArray:
    """Take prompt ids as an array: of pairs (n_pairs,), or of both ends (n_pairs, 2).

    Examples
    --------
    >>> group_ids([["a", "b"]]).shape
    (1, 2)
    """
    return groups.ends if isinstance(groups, CrossPromptGroups) else np.asarray(groups)


def number_prompts(prompt_ids: ArrayLike, name: str) -> tuple[IntArray, AnyArray]:
    """Give each id its place in sorted order; return places and distinct ids."""
    array = np.asarray(prompt_ids)
    missing = find_missing(array)
    if missing.any():
        row = int(np.argwhere(missing)[0][0])
        raise invalid_input(
            f"a prompt id everywhere in {name}",
            f"{int(missing.sum())} missing, the first in row {row}",
            "give unknown prompts an id of their own",
        )
    try:
        prompts, codes = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise invalid_input(
            f"{name} of one type, integers or strings",
            "a mixture of types",
            "convert the ids to strings",
        ) from error
    return codes.reshape(array.shape), prompts


def item_codes(prompt_ids: ArrayLike, n_items: int) -> tuple[IntArray, AnyArray]:
    """Give each item the number of its prompt; return numbers and distinct ids."""
    array = np.asarray(prompt_ids)
    if array.shape != (n_items,):
        raise invalid_input(
            f"prompt_ids of shape ({n_items},), one per item",
            f"shape {array.shape}",
            "pass the prompt of each item",
        )
    return number_prompts(array, "prompt_ids")


def prompts_by_size(codes: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Give the prompts of each size K, so that they are computed at once.

    Parameters
    ----------
    codes : ndarray of int of shape (n_items,)
        Number of each item's prompt; every number occurs.

    Yields
    ------
    prompts : ndarray of int of shape (m,)
        Numbers of the prompts; K ascends from one yield to the next.
    rows : ndarray of int of shape (m, K)
        Rows of their items.

    Examples
    --------
    >>> [rows.tolist() for _, rows in prompts_by_size(np.array([0, 1, 0, 2]))]
    [[[1], [3]], [[0, 2]]]
    """
    by_prompt = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes):
        prompts = np.flatnonzero(sizes == size)
        yield prompts, by_prompt[starts[prompts, None] + np.arange(size)]


def _check_vector(values: ArrayLike, name: str, unit: str, fix: str) -> FloatArray:
    array = as_numbers(values, name)
    if array.ndim != 1 or len(array) == 0:
        raise invalid_input(
            f"{name} of shape (n_{unit}s,), with at least one {unit}",
            f"shape {array.shape}",
            fix,
        )
    bad = ~np.isfinite(array)
    if bad.any():
        at = int(np.argmax(bad))
        raise invalid_input(
            f"finite {name}",
            f"{array[at]} at {unit} {at}",
            f"score every item before comparing, or drop this {unit}",
        )
    return array
