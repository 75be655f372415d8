"""Item matrices as linear operators from weights to rewards, dense or blocked.

A dense operator holds a centred float64 copy of the items in an eigenbasis. A blocked
one leaves items where they are, if a copy would be too large: blocks of a few megabytes
are centred and converted to float64, and the eigenbasis is applied to the weights
instead. Gram matrices of a blocked operator are summed in the precision of the items,
float32 for float16: they condition the solver and do not move the solution.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from scipy.sparse import csr_array

from embrm._typing import FloatArray, IntArray

_BLOCK_BYTES = 7 * 2**19
"""Of items in float64: with more, BLAS divides a product with one vector among threads,
and where cores are busy these wait for each other far longer than they work."""

_CACHED_BYTES = 2**21
"""About what a processor keeps at hand of rows that are read twice."""

_GRAM_ROWS = 4096
_STRIPS = 6
_SHARE_OF_A_COPY = 8
_FARTHEST_MEAN = 1e4
"""Squared distance from the origin, in mean squared differences, for float32 to do."""

_SIGN_AND_NUMBER = np.array(0x8FFFE000, np.uint32).astype(np.int32)
_HALF_TO_SINGLE = np.float32(2**112)


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
        weights = weights.astype(self._precision, copy=False)
        if self.low_precision and self.items.dtype == self._precision:
            return (self.items @ weights).astype(np.float64)
        reward = np.empty(len(self.items))
        for part, block in self._blocks():
            reward[part] = block @ weights
        return reward

    def gather(self, per_item: FloatArray) -> FloatArray:
        """Sum items times `per_item`, whose sum is zero."""
        per_item = per_item.astype(self._precision, copy=False)
        if self.low_precision and self.items.dtype == self._precision:
            total = (per_item @ self.items).astype(np.float64)
        else:
            total = np.zeros(self.items.shape[1])
            for part, block in self._blocks():
                total += per_item[part] @ block
        scaled = total if self.scale is None else total / self.scale
        return scaled if self.basis is None else np.asarray(self.basis.T @ scaled)

    def gram(self, graph: csr_array) -> FloatArray:
        """Compute X' L X."""
        items = self.items
        if items.dtype == np.float16 or not items.flags.c_contiguous:
            total = self._gram_by_columns(graph)
        else:
            mean, total = self.mean.astype(items.dtype), np.zeros((len(self.mean),) * 2)
            for part in _parts(len(items)):
                # L maps constants to zero, so that one side alone needs centring.
                add_upper(total, items[part] - mean, graph[part] @ items)
        whole = self.scaled(np.triu(total) + np.triu(total, 1).T)
        return whole if self.basis is None else self.basis.T @ whole @ self.basis

    def _gram_by_columns(self, graph: csr_array) -> FloatArray:
        """Compute the upper triangle of X' L X where L X would copy the items.

        A sparse product converts or reorders all of its other side. So few columns at
        a time are copied, as many as take an eighth of the items' memory.
        """
        dtype, d = np.result_type(self.items.dtype, np.float32), len(self.mean)
        width = max(1, d * self.items.itemsize // (_SHARE_OF_A_COPY * dtype.itemsize))
        columns = np.empty((len(self.items), width), dtype)
        mean, memory = self.mean.astype(dtype), np.empty(_GRAM_ROWS * d, dtype)
        parts, total = _parts(len(self.items)), np.zeros((d, d))
        graphs = [graph[part] for part in parts]
        for start in range(0, d, width):
            stop = min(start + width, d)
            for part in parts:
                copy_widened(
                    self.items[part, start:stop], columns[part, : stop - start]
                )
            for part, rows_of_graph in zip(parts, graphs, strict=True):
                rows = self.items[part, :stop]
                block = memory[: rows.size].reshape(rows.shape)
                copy_widened(rows, block)
                block -= mean[:stop]
                spread = (rows_of_graph @ columns)[:, : stop - start]
                total[:stop, start:stop] += block.T @ spread
        return total

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

        Newton's direction needs no more, and float32 is enough for float16. Centring is
        left out: constants cancel on either side.
        """
        return replace(self, low_precision=True) if self.near_origin else self

    def measured(self, square: float) -> "BlockedOperator":
        """Say whether the origin is near, given the mean square of differences."""
        mean = self.mean if self.scale is None else self.mean / self.scale
        near = float(mean @ mean) <= _FARTHEST_MEAN * square
        return replace(self, near_origin=near)

    @property
    def _precision(self) -> np.dtype[Any]:
        """In which rewards and sums are computed."""
        least = np.float32 if self.low_precision else np.float64
        return np.result_type(self.items.dtype, least)

    def _blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield blocks, all in the same memory, centred where it matters.

        A constant added to all items cancels in differences, and in sums with weights
        that add up to zero.
        """
        n_rows = max(1, _BLOCK_BYTES // (8 * len(self.mean)))
        memory = np.empty((n_rows, len(self.mean)), self._precision)
        for start in range(0, len(self.items), n_rows):
            part = slice(start, start + n_rows)
            rows = self.items[part]
            block = memory[: len(rows)]
            if self.near_origin or rows.dtype == np.float16:
                copy_widened(rows, block)
                rows = block
            if not self.near_origin:
                np.subtract(rows, self.mean, out=block)
            yield part, block


def _parts(n_rows: int) -> list[slice]:
    return [slice(start, start + _GRAM_ROWS) for start in range(0, n_rows, _GRAM_ROWS)]


def copy_widened(rows: FloatArray, out: FloatArray) -> None:
    """Copy rows into memory of at least their width, float16 fast.

    numpy converts one float16 after another. Shifted by thirteen bits, their exponent
    and mantissa are those of a float32 that is 2^112 times too small, below the normal
    range too. Only infinity and NaN are not, and items hold neither.
    """
    if rows.dtype != np.float16:
        np.copyto(out, rows)
        return
    wide = out if out.dtype == np.float32 else np.empty(rows.shape, np.float32)
    bits = wide.view(np.int32)
    np.copyto(bits, rows.view(np.int16))
    bits <<= 13
    bits &= _SIGN_AND_NUMBER
    np.multiply(wide, _HALF_TO_SINGLE, out=out)


def copy_rows(items: FloatArray, rows: IntArray, out: FloatArray) -> None:
    """Copy rows of items into memory of at least their width."""
    # `take` copies all of an array that is not in rows.
    if items.dtype == out.dtype and items.flags.c_contiguous:
        np.take(items, rows, axis=0, out=out, mode="clip")
    else:
        copy_widened(items[rows], out)


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


def add_upper(total: FloatArray, left: FloatArray, right: FloatArray) -> None:
    """Add left' right, known to be symmetric in the end, to the upper triangle.

    In strips of columns, so that only about half of the product is computed.
    """
    strips = np.linspace(0, len(total), _STRIPS + 1).astype(int)
    for start, end in pairwise(strips):
        total[start:end, start:] += left[:, start:end].T @ right[:, start:]
