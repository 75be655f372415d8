"""RankedItems: the canonical form of rankings that the Plackett-Luce head learns from.

Distinct items and distinct rankings are written once, in an order that depends on
content alone, and rankings of equal length are one matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import check_items, check_sample_weight, widened
from embrm.exceptions import invalid_input
from embrm.heads.comparisons import graph_components
from embrm.pairs import distinct_rows


@dataclass(frozen=True, eq=False)
class RankingBlock:
    """Rankings of equal length K.

    Attributes
    ----------
    rows : ndarray of int of shape (n_rankings, K)
        Rows of the items, best first.
    n_ranked : ndarray of int of shape (n_rankings,)
        How many of them are ordered, from 1 to K; the others lost to all of these.
    weight : ndarray of shape (n_rankings,), > 0
    """

    rows: IntArray
    n_ranked: IntArray
    weight: FloatArray

    def take(self, rankings: BoolArray) -> "RankingBlock":
        """Keep some rankings."""
        return RankingBlock(
            self.rows[rankings], self.n_ranked[rankings], self.weight[rankings]
        )


@dataclass(frozen=True, eq=False)
class RankedItems:
    """Rankings of distinct items.

    Attributes
    ----------
    items : ndarray of shape (n_items, d), float32 or float64
        Distinct vectors that take part in a ranking.
    blocks : list of RankingBlock
        One for each length, ascending.
    """

    items: FloatArray
    blocks: list[RankingBlock]

    def __len__(self) -> int:
        return sum(len(block.rows) for block in self.blocks)

    def take(self, rankings: BoolArray) -> list[RankingBlock]:
        """Keep some rankings, by a mask over the rankings of all blocks."""
        ends = np.cumsum([len(block.rows) for block in self.blocks])
        masks = np.split(rankings, ends[:-1])
        return [b.take(m) for b, m in zip(self.blocks, masks, strict=True) if m.any()]

    def units(self) -> IntArray:
        """Say which rankings hang together by the items that they share.

        Returns
        -------
        ndarray of int of shape (n_rankings,)
            Connected component of each ranking; the ranking itself where one
            component has more than half of them.
        """
        parts = _components(len(self.items), self.blocks)
        if np.bincount(parts).max() > len(parts) / 2:
            return np.arange(len(parts))
        return parts


def make_ranked_items(
    X: Any,
    rankings: Sequence[ArrayLike],
    n_ranked: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> RankedItems:
    """Check what a user passes to `fit` and bring it into canonical form.

    Parameters
    ----------
    X : array-like of shape (n_items, d)
    rankings : sequence of array-like of int
        Rows of X, best first.
    n_ranked : int or array-like of int of shape (n_rankings,), optional
        How many of each ranking are in order; None means all.
    sample_weight : array-like of shape (n_rankings,), >= 0, optional

    Returns
    -------
    RankedItems

    Raises
    ------
    InvalidInputError
        On a wrong shape, dtype or range, a tie, an item twice in a ranking, or no
        ranking of two different vectors.

    Examples
    --------
    >>> ranked = make_ranked_items([[1.0], [0.0]], [[0, 1], [0, 1]])
    >>> ranked.blocks[0].rows, ranked.blocks[0].weight
    (array([[1, 0]]), array([2.]))
    """
    items = check_items(X, finite=False)
    lists = [_check_ranking(r, n, len(items)) for n, r in enumerate(rankings)]
    if not lists:
        raise invalid_input(
            "at least one ranking", "0 rankings", "check how they were made"
        )
    weights = check_sample_weight(sample_weight, n_pairs=len(lists), unit="ranking")
    sizes = np.array([len(ranking) for ranking in lists])
    ranked = _check_n_ranked(n_ranked, sizes)
    rows = np.unique(np.concatenate([lists[n] for n in np.flatnonzero(weights)]))
    used = check_items(widened(items[rows]))
    kept, inverse = distinct_rows(used)
    blocks = list[RankingBlock]()
    for size in np.unique(sizes[weights > 0]):
        of_size = np.flatnonzero((sizes == size) & (weights > 0))
        at = np.searchsorted(rows, np.stack([lists[n] for n in of_size]))
        blocks.append(_merged(inverse[at], ranked[of_size], weights[of_size]))
    if all((block.rows == block.rows[:, :1]).all() for block in blocks):
        raise invalid_input(
            "a ranking of two different vectors",
            "equal vectors in each",
            "check the encoder: different texts should embed differently",
        )
    return RankedItems(used[kept], blocks)


def _merged(rows: IntArray, n_ranked: IntArray, weight: FloatArray) -> RankingBlock:
    """Write each distinct ranking once, with the sum of its weights."""
    table, inverse = np.unique(
        np.column_stack([rows, n_ranked]), axis=0, return_inverse=True
    )
    total = np.asarray(np.bincount(inverse.ravel(), weight), dtype=np.float64)
    return RankingBlock(table[:, :-1], table[:, -1], total)


def _check_ranking(ranking: ArrayLike, number: int, n_items: int) -> IntArray:
    try:
        rows = np.asarray(ranking)
    except ValueError:
        rows = np.empty(0, dtype=object)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) < 2:
        raise invalid_input(
            "rankings of two or more integer rows of X, best first, without ties",
            f"shape {rows.shape}, dtype {rows.dtype} at ranking {number}",
            "split a ranking with ties into pairs with y = 0.5 for a pairwise head, "
            "or leave the tied ends unordered with n_ranked",
        )
    if rows.min() < 0 or rows.max() >= n_items:
        raise invalid_input(
            f"rows in [0, {n_items})",
            f"{rows.min()} to {rows.max()} at ranking {number}",
            "index into the X you pass; negative rows are not counted from the end",
        )
    if len(np.unique(rows)) < len(rows):
        raise invalid_input(
            "each item once in a ranking", f"one twice at ranking {number}", "drop it"
        )
    return rows


def _check_n_ranked(n_ranked: ArrayLike | None, sizes: IntArray) -> IntArray:
    if n_ranked is None:
        return sizes
    counts = np.asarray(n_ranked)
    fits = counts.dtype.kind in "iu" and counts.shape in ((), sizes.shape)
    if not fits or counts.min() < 1 or (counts.ndim and np.any(counts > sizes)):
        raise invalid_input(
            "n_ranked: an integer >= 1, or one per ranking, not above its length",
            f"shape {counts.shape}, dtype {counts.dtype}"
            + (f", {counts.min()} to {counts.max()}" if fits else ""),
            "pass how many items of each ranking are in order",
        )
    return np.asarray(np.minimum(counts, sizes))


def _components(n_items: int, blocks: list[RankingBlock]) -> IntArray:
    """Find the connected component of each ranking."""
    items = np.concatenate([block.rows.ravel() for block in blocks])
    sizes = [block.rows.shape[1] for block in blocks for _ in block.rows]
    rankings = np.repeat(np.arange(len(sizes)), sizes)
    labels = graph_components(n_items + len(sizes), items, n_items + rankings)[n_items:]
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.intp)
