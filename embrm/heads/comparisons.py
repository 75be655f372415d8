"""Comparisons: the canonical multigraph of wins that every head is fitted on.

A soft label is two opposite wins, a duplicate pair is one win of double weight, and a
pair and its mirror with flipped label are the same win. Writing all of them as one
sorted table of (winner, loser, margin, weight) over distinct items makes a fit
independent of the order of pairs, of their orientation, and of how they were passed,
for every head at once.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from embrm._typing import AnyArray, BoolArray, FloatArray, IntArray
from embrm._validation import (
    check_items,
    check_labels,
    check_margin,
    check_sample_weight,
)
from embrm.exceptions import InvalidInputError, LeftOutWarning, three_parts
from embrm.pairs import Pairs, distinct_rows


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Wins between distinct items, in canonical order.

    Attributes
    ----------
    items : ndarray of shape (n_items, d)
        Distinct vectors that take part in a win, float32 or float64, finite.
    winner, loser : ndarray of int of shape (n_wins,)
        Rows of `items`; every (winner, loser, margin) occurs once.
    margin : ndarray of shape (n_wins,), float64, >= 0
        By how many nats the winner should lead.
    weight : ndarray of shape (n_wins,), float64, > 0
        How many annotations the win stands for.
    groups : ndarray of int of shape (n_items,) or None
        Prompt group of each item, where prompts are known.
    """

    items: FloatArray
    winner: IntArray
    loser: IntArray
    margin: FloatArray
    weight: FloatArray
    groups: IntArray | None

    def __len__(self) -> int:
        return len(self.winner)

    def take(self, wins: AnyArray) -> "Comparisons":
        """Keep some wins (mask or index); the items stay as they are."""
        return Comparisons(
            self.items,
            self.winner[wins],
            self.loser[wins],
            self.margin[wins],
            self.weight[wins],
            self.groups,
        )


def as_pairs(pairs: Any) -> Pairs:
    """Take `Pairs`, or an array-like of shape (n_pairs, 2, d), as `Pairs`."""
    if isinstance(pairs, Pairs):
        return pairs
    if hasattr(pairs, "columns") or isinstance(pairs, str):
        raise InvalidInputError(
            three_parts(
                expected="Pairs, or an array of shape (n_pairs, 2, d)",
                got=type(pairs).__name__,
                cure="use embrm.RewardModel for frames of text",
            )
        )
    return Pairs.from_dense(pairs)


def make_comparisons(
    pairs: Any,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    margin: ArrayLike | None = None,
) -> Comparisons:
    """Check what a user passes to `fit` and bring it into canonical form.

    Parameters
    ----------
    pairs : Pairs or array-like of shape (n_pairs, 2, d)
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Probability that first is preferred; None means always.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional
    margin : array-like of shape (n_pairs,), >= 0, in nats, optional
        Demanded of the preferred side, whichever it is.

    Returns
    -------
    Comparisons

    Raises
    ------
    InvalidInputError
        On a wrong shape, dtype or range, no pair at all, or an item paired with
        itself.
    """
    checked = as_pairs(pairs)
    n_pairs = len(checked)
    labels = check_labels(y, n_pairs=n_pairs)
    weights = check_sample_weight(sample_weight, n_pairs=n_pairs)
    margins = check_margin(margin, n_pairs=n_pairs)
    if n_pairs == 0:
        raise InvalidInputError(
            three_parts(
                expected="at least one pair",
                got="0 pairs",
                cure="check the filter or split that made them",
            )
        )
    _refuse_self_pairs(checked)
    weighted = weights > 0
    rows, ids = checked[weighted].unique_items()
    items = check_items(_as_float(checked.items[rows]))
    kept, inverse = distinct_rows(items)
    ids = inverse[ids]
    tell = _distinguishable(ids)
    groups = _groups_of_items(checked, rows, inverse)
    taking_part = np.zeros(len(kept), dtype=bool)
    taking_part[ids[tell]] = True
    position = np.cumsum(taking_part) - 1
    wins = _merge_wins(
        position[ids[tell]],
        labels[weighted][tell],
        weights[weighted][tell],
        margins[weighted][tell],
    )
    return Comparisons(
        items[kept[taking_part]],
        *wins,
        None if groups is None else groups[taking_part],
    )


def _as_float(items: FloatArray) -> FloatArray:
    # float16 has 10 bits: fine to store, too coarse to compute with.
    return items.astype(np.float32) if items.dtype == np.float16 else np.asarray(items)


def _refuse_self_pairs(pairs: Pairs) -> None:
    same = pairs.first == pairs.second
    if same.any():
        raise InvalidInputError(
            three_parts(
                expected="two different items in each pair",
                got=f"item {int(pairs.first[np.argmax(same)])} paired with itself at "
                f"pair {int(np.argmax(same))} ({int(same.sum())} such pairs)",
                cure="drop the pairs whose two ids are equal",
            )
        )


def _distinguishable(ids: IntArray) -> BoolArray:
    """Mark pairs of different vectors; equal ones teach nothing about a reward."""
    different: BoolArray = ids[:, 0] != ids[:, 1]
    n_equal = int((~different).sum())
    if n_equal == len(ids):
        raise InvalidInputError(
            three_parts(
                expected="at least one pair of two different vectors",
                got=f"{n_equal} pairs of equal vectors",
                cure="check the encoder: different texts should embed differently",
            )
        )
    if n_equal:
        warnings.warn(
            f"left out {n_equal} of {len(ids)} pairs whose two items have the same "
            "vector; no reward on vectors can order them",
            LeftOutWarning,
            stacklevel=4,
        )
    return different


def _groups_of_items(
    pairs: Pairs, rows: IntArray, inverse: IntArray
) -> IntArray | None:
    """Name prompt groups by their content, so that passing order does not matter."""
    if pairs.prompt_ids is None:
        return None
    _, codes = np.unique(pairs.prompt_ids[rows], return_inverse=True)
    # Prompts that share an identical vector are one group; the group is named after
    # the smallest canonical item in it.
    n_items = int(inverse.max()) + 1
    n_prompts = int(codes.max()) + 1
    edges = coo_array(
        (np.ones(len(codes)), (inverse, n_items + codes)),
        shape=(n_items + n_prompts,) * 2,
    )
    _, labels = connected_components(edges, directed=False)
    return np.unique(_first_seen(labels[:n_items]), return_inverse=True)[1]


def _first_seen(labels: IntArray) -> IntArray:
    """Replace each label by the position at which it first occurs."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first[inverse]


def _merge_wins(
    ids: IntArray, labels: FloatArray, weights: FloatArray, margins: FloatArray
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    winner = np.concatenate([ids[:, 0], ids[:, 1]])
    loser = np.concatenate([ids[:, 1], ids[:, 0]])
    margin = np.concatenate([margins, margins])
    weight = np.concatenate([weights * labels, weights * (1 - labels)])
    order = np.lexsort((weight, margin, loser, winner))
    winner, loser, margin, weight = (
        column[order] for column in (winner, loser, margin, weight)
    )
    new = np.ones(len(winner), dtype=bool)
    new[1:] = (np.diff(winner) != 0) | (np.diff(loser) != 0) | (np.diff(margin) != 0)
    starts = np.flatnonzero(new)
    total = np.add.reduceat(weight, starts)
    keep = total > 0
    starts = starts[keep]
    return winner[starts], loser[starts], margin[starts], total[keep]
