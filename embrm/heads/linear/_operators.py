"""Item matrices as linear operators from weights to rewards, dense or blocked.

A dense operator holds a centred float64 copy of the items in an eigenbasis. A blocked
one leaves items where they are, if a copy would be too large: blocks of a few megabytes
are centred and converted to float64, and the eigenbasis is applied to the weights
instead. Gram matrices of a blocked operator are summed in the precision of the items:
they condition the solver and do not move the solution.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, Self

import numpy as np
from scipy.sparse import csr_array

from embrm._typing import FloatArray

_BLOCK_BYTES = 2**22
_CACHED_BYTES = 2**21
"""About what a processor keeps at hand of rows that are read twice."""

_GRAM_ROWS = 4096
_STRIPS = 6
_FARTHEST_MEAN = 1e4
"""Squared distance from the origin, in mean squared differences, for float32 to do."""


class ItemOperator(Protocol):
    """Items as a linear map from weights to rewards, in the coordinates of a basis."""

    @property
    def items(self) -> FloatArray:
        """The matrix that is held, shape (n_items, k) or (n_items, d)."""

    @property
    def basis(self) -> FloatArray | None:
        """Weights of the user are `basis @ w`, shape (d, k); None for w itself."""

    def rewards(self, w: FloatArray) -> FloatArray:
        """Compute the rewards of all items, shape (n_items,)."""

    def gather(self, per_item: FloatArray) -> FloatArray:
        """Sum items times `per_item`: adjoint of `rewards`, shape (k,)."""

    def gram(self, graph: csr_array) -> FloatArray:
        """Compute X' L X for a graph Laplacian L, shape (k, k)."""

    def scaled(self, gram: FloatArray) -> FloatArray:
        """Divide a Gram matrix of `items`, or its diagonal, by their scale, here."""

    def stretched(self, stretch: FloatArray) -> Self:
        """Multiply the columns of the basis, shape (k,)."""

    def fast(self) -> Self:
        """Return the same operator in the precision of the items, if that will do."""


@dataclass(frozen=True, eq=False)
class DenseOperator:
    """Centred items of shape (n_items, k), float64, in the basis already."""

    items: FloatArray
    basis: FloatArray | None = None

    def rewards(self, w: FloatArray) -> FloatArray:
        """Compute the rewards of all items."""
        return self.items @ w

    def gather(self, per_item: FloatArray) -> FloatArray:
        """Sum items times `per_item`."""
        return self.items.T @ per_item

    def gram(self, graph: csr_array) -> FloatArray:
        """Compute X' L X."""
        product = self.items.T @ (graph @ self.items)
        return np.asarray((product + product.T) / 2)

    def scaled(self, gram: FloatArray) -> FloatArray:
        """Return the matrix: the items are scaled already."""
        return gram

    def stretched(self, stretch: FloatArray) -> "DenseOperator":
        """Multiply the columns of items and basis."""
        basis = None if self.basis is None else self.basis * stretch
        return DenseOperator(self.items * stretch, basis)

    def fast(self) -> "DenseOperator":
        """Return itself."""
        return self


@dataclass(frozen=True, eq=False)
class BlockedOperator:
    """Items that stay where they are, neither centred nor rotated.

    Attributes
    ----------
    items : ndarray of shape (n_items, d)
    mean : ndarray of shape (d,)
        Of the items.
    scale : ndarray of shape (d,) or None
        By which columns are divided, in effect: the coordinates of the user are those
        of the items so scaled.
    basis : ndarray of shape (d, k) or None
    near_origin : bool
        Whether the mean is small enough to compute in the precision of the items.
    low_precision : bool
        Whether rewards and sums are computed in that precision.
    """

    items: FloatArray
    mean: FloatArray
    scale: FloatArray | None = None
    basis: FloatArray | None = None
    near_origin: bool = False
    low_precision: bool = False

    def rewards(self, w: FloatArray) -> FloatArray:
        """Compute the rewards of all items, up to a constant."""
        scaled = w if self.basis is None else np.asarray(self.basis @ w)
        weights = scaled if self.scale is None else scaled / self.scale
        if self.low_precision:
            product = self.items @ weights.astype(self.items.dtype)
            return product.astype(np.float64)
        reward = np.empty(len(self.items))
        for part, block in self._blocks():
            reward[part] = block @ weights
        return reward

    def gather(self, per_item: FloatArray) -> FloatArray:
        """Sum items times `per_item`, whose sum is zero."""
        if self.low_precision:
            product = per_item.astype(self.items.dtype) @ self.items
            total = product.astype(np.float64)
        else:
            total = np.zeros(self.items.shape[1])
            for part, block in self._blocks():
                total += per_item[part] @ block
        scaled = total if self.scale is None else total / self.scale
        return scaled if self.basis is None else np.asarray(self.basis.T @ scaled)

    def gram(self, graph: csr_array) -> FloatArray:
        """Compute X' L X."""
        items, mean = self.items, self.mean.astype(self.items.dtype)
        total = np.zeros((items.shape[1],) * 2)
        for start in range(0, len(items), _GRAM_ROWS):
            part = slice(start, start + _GRAM_ROWS)
            # L maps constants to zero, so that one side alone needs centring.
            _add_upper(total, items[part] - mean, graph[part] @ items)
        whole = self.scaled(np.triu(total) + np.triu(total, 1).T)
        return whole if self.basis is None else self.basis.T @ whole @ self.basis

    def scaled(self, gram: FloatArray) -> FloatArray:
        """Divide a Gram matrix of `items`, or its diagonal, by their scale, here."""
        if self.scale is not None:
            gram /= self.scale
            gram /= self.scale[:, None] if gram.ndim > 1 else self.scale
        return gram

    def stretched(self, stretch: FloatArray) -> "BlockedOperator":
        """Multiply the columns of the basis; the items stay."""
        return replace(self, basis=None if self.basis is None else self.basis * stretch)

    def fast(self) -> "BlockedOperator":
        """Compute in the precision of the items, unless they are far from the origin.

        Newton's direction needs no more. Centring is left out: constants cancel on
        either side.
        """
        return replace(self, low_precision=True) if self.near_origin else self

    def measured(self, square: float) -> "BlockedOperator":
        """Say whether the origin is near, given the mean square of differences."""
        mean = self.mean if self.scale is None else self.mean / self.scale
        near = float(mean @ mean) <= _FARTHEST_MEAN * square
        return replace(self, near_origin=near)

    def _blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield blocks in float64, all in the same memory, centred where it matters.

        A constant added to all items cancels in differences, and in sums with weights
        that add up to zero.
        """
        n_rows = max(1, _BLOCK_BYTES // (8 * self.items.shape[1]))
        memory = np.empty((n_rows, self.items.shape[1]))
        for start in range(0, len(self.items), n_rows):
            part = slice(start, start + n_rows)
            rows = self.items[part]
            block = memory[: len(rows)]
            if self.near_origin:
                np.copyto(block, rows)
            else:
                np.subtract(rows, self.mean, out=block)
            yield part, block


def mean_of_rows(items: FloatArray) -> FloatArray:
    """Compute the mean of the rows in float64, a block of them in memory at a time."""
    n_rows = max(1, _CACHED_BYTES // (8 * items.shape[1]))
    memory, one = np.empty((n_rows, items.shape[1])), np.ones(n_rows)
    total = np.zeros(items.shape[1])
    for start in range(0, len(items), n_rows):
        rows = items[start : start + n_rows]
        np.copyto(memory[: len(rows)], rows)
        total += one[: len(rows)] @ memory[: len(rows)]
    return total / len(items)


def _add_upper(total: FloatArray, left: FloatArray, right: FloatArray) -> None:
    """Add left' right, known to be symmetric in the end, to the upper triangle.

    In strips of columns, so that only about half of the product is computed.
    """
    strips = np.linspace(0, len(total), _STRIPS + 1).astype(int)
    for start, end in pairwise(strips):
        total[start:end, start:] += left[:, start:end].T @ right[:, start:]
