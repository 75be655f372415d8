"""Comparisons: the canonical multigraph of wins that every head is fitted on.

A soft label is two opposite wins, a duplicate pair is one win of double weight, and a
pair and its mirror with flipped label are the same win. Writing all of them as one
sorted table of (winner, loser, margin, weight) over distinct items makes a fit
independent of the order of pairs, of their orientation, and of how they were passed,
for every head at once.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

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
    widened,
)
from embrm.blocks import Blocks
from embrm.exceptions import LeftOutWarning, invalid_input, warn
from embrm.pairs import Pairs, distinct_rows

_TOO_LARGE_TO_COPY = 2**26
"""Bytes of an item matrix above which `blocked` does not copy it."""

_MOST_DIFFERENCES = 2**29
"""Bytes of an item matrix up to which differences of as few wins are formed."""


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Wins between distinct items, in canonical order.

    Attributes
    ----------
    items : ndarray of shape (n_items, d)
        Distinct vectors that take part in a win, finite, float32 or float64; float16
        only where `make_comparisons` left a large matrix in place.
    winner, loser : ndarray of int of shape (n_wins,)
        Rows of `items`; every (winner, loser, margin) occurs once.
    margin : ndarray of shape (n_wins,), float64, >= 0
        Margin of the winner, in nats.
    weight : ndarray of shape (n_wins,), float64, > 0
        How many annotations the win represents.
    groups : ndarray of int of shape (n_items,) or None
        Prompt group of each item, where prompts are known.
    tied : ndarray of shape (n_wins,) in [0, 1], or None
        Share of each win's weight that is half a tie; None if there are no ties. A
        tie is one half win each way for heads that do not look here. It is a share,
        so that it stays true when weights are multiplied.
    annotator : ndarray of int of shape (n_wins,) or None
        Who made the annotation, where it was asked to be kept; then every
        (winner, loser, margin, annotator) occurs once.
    flip_rate : ndarray of shape (n_wins,) in [0, 1/2), or None
        Probability that the annotation is the opposite of what was meant, where a
        head allows for that.
    blocks : mapping of str to slice, or None
        Named runs of columns of the items, each with a prior of its own.
    """

    items: FloatArray
    winner: IntArray
    loser: IntArray
    margin: FloatArray
    weight: FloatArray
    groups: IntArray | None
    tied: FloatArray | None = None
    annotator: IntArray | None = None
    flip_rate: FloatArray | None = None
    blocks: Blocks | None = None

    def __len__(self) -> int:
        return len(self.winner)

    def units(self) -> IntArray:
        """Say which prompt group each item is of; its component where unknown."""
        if self.groups is not None:
            return self.groups
        return graph_components(len(self.items), self.winner, self.loser)

    def take(self, wins: AnyArray) -> "Comparisons":
        """Keep some wins (mask or index); the items stay as they are."""
        per_win = {name: getattr(self, name) for name in _PER_WIN}
        kept: Any = {n: v if v is None else v[wins] for n, v in per_win.items()}
        return replace(self, **kept)

    def pair_numbers(self) -> IntArray:
        """Give each unordered pair of items a number; say which one each win is of."""
        low, high = np.sort([self.winner, self.loser], axis=0).astype(np.int64)
        number = np.unique(low * len(self.items) + high, return_inverse=True)[1]
        return np.asarray(number)


_PER_WIN = ("winner", "loser", "margin", "weight", "tied", "annotator", "flip_rate")


def as_pairs(pairs: Any) -> Pairs:
    """Take `Pairs`, or an array-like of shape (n_pairs, 2, d), as `Pairs`."""
    if isinstance(pairs, Pairs):
        return pairs
    if hasattr(pairs, "columns") or isinstance(pairs, str):
        raise invalid_input(
            expected="Pairs, or an array of shape (n_pairs, 2, d)",
            got=type(pairs).__name__,
            fix="use embrm.RewardModel for frames of text",
        )
    return Pairs.from_dense(pairs)


def make_comparisons(
    pairs: Any,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    margin: ArrayLike | None = None,
    *,
    annotator: IntArray | None = None,
    blocked: bool = False,
    differences: bool = False,
) -> Comparisons:
    """Check the arguments of `fit` and convert them to canonical form.

    Parameters
    ----------
    pairs : Pairs or array-like of shape (n_pairs, 2, d)
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Probability that first is preferred; None means always.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional
    margin : array-like of shape (n_pairs,), >= 0, in nats, optional
        Required in favour of the preferred side.
    annotator : ndarray of int of shape (n_pairs,), optional
        Who labelled each pair, to be kept.
    blocked : bool, default=False
        Keep the row order of a matrix of more than 64 MiB if its rows are distinct,
        and do not copy it, nor widen float16, if all of them take part. A fit then
        depends on that order, by no more than rounding unless it splits or draws.
    differences : bool, default=False
        Say that items will only be read as ends of wins, if these are as few as items.
        Then they are not copied, but may be in any order, equal, or not take part; the
        wins are those of a copy.

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
    labels = _Labels.check(len(checked), y, sample_weight, margin, annotator)
    _refuse_self_pairs(checked)
    weighted = labels.weight > 0
    if not weighted.all():
        checked, labels = checked[weighted], labels.take(weighted)
    rows, ids = checked.unique_items()
    blocked = blocked and checked.items.nbytes > _TOO_LARGE_TO_COPY
    whole = len(rows) == len(checked.items)
    items = check_items(np.asarray(checked.items) if whole else checked.items[rows])
    kept, inverse = distinct_rows(items)
    if blocked and len(kept) == len(items):
        # Wins of float16 are in the order of a canonical copy, so that samples are.
        half = checked.items.dtype == np.float16
        rank, place = (inverse, kept) if half else (np.arange(len(kept)),) * 2
        groups = _groups_of_items(checked, rows, rank)
        kept_in_place = items if whole else widened(items)
        wins = _merge_wins(kept_in_place, rank[ids], labels, groups, checked.blocks)
        return replace(
            wins,
            winner=place[wins.winner],
            loser=place[wins.loser],
            groups=None if groups is None else groups[rank],
        )
    ids = inverse[ids]
    tell = _distinguishable(ids)
    groups = _groups_of_items(checked, rows, inverse)
    ids, labels = ids[tell], labels.take(tell)
    if differences and labels.most_wins() <= len(kept) and _form_differences(items):
        groups = None if groups is None else groups[inverse]
        wins = _merge_wins(items, ids, labels, groups, checked.blocks)
        return replace(wins, winner=kept[wins.winner], loser=kept[wins.loser])
    taking_part = np.zeros(len(kept), dtype=bool)
    taking_part[ids] = True
    position = np.cumsum(taking_part) - 1
    del items  # Or there would be two copies at a time.
    return _merge_wins(
        widened(checked.items[rows[kept[taking_part]]]),
        position[ids],
        labels,
        None if groups is None else groups[taking_part],
        checked.blocks,
    )


@dataclass(frozen=True, eq=False)
class _Labels:
    """What was annotated of each pair, all of shape (n_pairs,)."""

    y: FloatArray
    weight: FloatArray
    margin: FloatArray
    annotator: IntArray | None

    @classmethod
    def check(
        cls,
        n_pairs: int,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        margin: ArrayLike | None,
        annotator: IntArray | None,
    ) -> "_Labels":
        """Check what a user says of so many pairs."""
        labels = cls(
            check_labels(y, n_pairs=n_pairs),
            check_sample_weight(sample_weight, n_pairs=n_pairs),
            check_margin(margin, n_pairs=n_pairs),
            annotator,
        )
        if n_pairs == 0:
            raise invalid_input(
                expected="at least one pair",
                got="0 pairs",
                fix="check the filter or split that made them",
            )
        if annotator is not None and annotator.shape != (n_pairs,):
            raise invalid_input(
                expected=f"annotator of shape ({n_pairs},), one per pair",
                got=f"shape {annotator.shape}",
                fix="pass one annotator for each pair",
            )
        return labels

    def most_wins(self) -> int:
        """Count the wins, before equal ones are merged."""
        return int(np.count_nonzero(self.y > 0) + np.count_nonzero(self.y < 1))

    def take(self, pairs: BoolArray) -> "_Labels":
        """Keep those of some pairs."""
        who = None if self.annotator is None else self.annotator[pairs]
        return _Labels(self.y[pairs], self.weight[pairs], self.margin[pairs], who)


def _refuse_self_pairs(pairs: Pairs) -> None:
    same = pairs.first == pairs.second
    if same.any():
        raise invalid_input(
            expected="two different items in each pair",
            got=f"item {int(pairs.first[np.argmax(same)])} paired with itself at "
            f"pair {int(np.argmax(same))} ({int(same.sum())} such pairs)",
            fix="drop the pairs whose two ids are equal",
        )


def _distinguishable(ids: IntArray) -> BoolArray:
    """Mark pairs of different vectors; equal ones teach nothing about a reward."""
    different: BoolArray = ids[:, 0] != ids[:, 1]
    n_equal = int((~different).sum())
    if n_equal == len(ids):
        raise invalid_input(
            expected="at least one pair of two different vectors",
            got=f"{n_equal} pairs of equal vectors",
            fix="check the encoder: different texts should embed differently",
        )
    if n_equal:
        warn(
            f"left out {n_equal} of {len(ids)} pairs whose two items have the same "
            "vector; no reward on vectors can order them",
            LeftOutWarning,
        )
    return different


def _form_differences(items: FloatArray) -> bool:
    """Say whether a fit that can forms the differences of as many wins as items."""
    tall = len(items) >= items.shape[1]
    return bool(
        tall and items.dtype != np.float16 and items.nbytes <= _MOST_DIFFERENCES
    )


def _groups_of_items(
    pairs: Pairs, rows: IntArray, inverse: IntArray
) -> IntArray | None:
    """Name prompt groups by their content, so that passing order does not matter."""
    if pairs.prompt_ids is None:
        return None
    _, codes = np.unique(pairs.prompt_ids[rows], return_inverse=True)
    return joined_groups(codes, inverse)


def joined_groups(codes: IntArray, inverse: IntArray) -> IntArray:
    """Name the groups of distinct items; prompts with an equal item are one group.

    Parameters
    ----------
    codes : ndarray of int of shape (n_rows,)
        Prompt of each row.
    inverse : ndarray of int of shape (n_rows,)
        Distinct item of each row.

    Returns
    -------
    ndarray of int of shape (n_distinct,)
        Numbered in the order of the distinct items, whatever the prompts were called.
    """
    n_items, n_prompts = int(inverse.max()) + 1, int(codes.max()) + 1
    labels = graph_components(n_items + n_prompts, inverse, n_items + codes)
    return np.unique(_first_seen(labels[:n_items]), return_inverse=True)[1]


def graph_components(
    n_nodes: int, one: IntArray, other: IntArray, *, strong: bool = False
) -> IntArray:
    """Label the connected components of a graph by its edges, one -> other.

    Parameters
    ----------
    n_nodes : int
    one, other : ndarray of int of shape (n_edges,)
    strong : bool, default=False
        Whether an edge leads one way only.

    Returns
    -------
    ndarray of int of shape (n_nodes,)
    """
    edges = coo_array((np.ones(len(one)), (one, other)), shape=(n_nodes, n_nodes))
    kind: Literal["strong", "weak"] = "strong" if strong else "weak"
    labels: IntArray = connected_components(edges, connection=kind)[1]
    return labels.astype(np.intp)


def _first_seen(labels: IntArray) -> IntArray:
    """Replace each label by the position at which it first occurs."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first[inverse]


def _merge_wins(
    items: FloatArray,
    ids: IntArray,
    labels: _Labels,
    groups: IntArray | None,
    blocks: Blocks | None,
) -> Comparisons:
    """Sum the weights of equal wins of pairs of rows of the items."""
    y, won, lost = labels.y, labels.y > 0, labels.y < 1

    def both(first: AnyArray, second: AnyArray) -> AnyArray:
        return np.concatenate([first[won], second[lost]])

    winner, loser = both(ids[:, 0], ids[:, 1]), both(ids[:, 1], ids[:, 0])
    margin = both(labels.margin, labels.margin)
    weight = both(labels.weight * y, labels.weight * (1 - y))
    half = both(y, y) == 0.5
    who = labels.annotator
    who = None if who is None else both(who, who)
    # Few wins are between the same two items: these alone are told apart by the rest.
    ends = winner * len(items) + loser
    order, new = np.argsort(ends), np.ones(len(ends), dtype=bool)
    new[1:] = np.diff(ends[order]) != 0
    if not new.all():
        keys = (margin, ends) if who is None else (who, margin, ends)
        order = np.lexsort((weight, *keys))
        for key in keys:
            new[1:] |= np.diff(key[order]) != 0
    starts = np.flatnonzero(new)
    total = np.add.reduceat(weight[order], starts)
    ties = np.add.reduceat((weight * half)[order], starts) if half.any() else None
    keep = total > 0
    first = order[starts[keep]]
    return Comparisons(
        items,
        winner[first],
        loser[first],
        margin[first],
        total[keep],
        groups,
        None if ties is None else ties[keep] / total[keep],
        None if who is None else who[first],
        blocks=blocks,
    )
