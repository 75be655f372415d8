"""The convex problem of the linear head on a matrix of differences of wins.

Where items hardly occur twice, the differences of winner and loser are no larger than
the items, and each product with the Hessian needs to read them but once: block by
block, each of them multiplied by the weights and then by what came out of that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear._operators import copy_rows
from embrm.heads.linear.problem import Evaluation, sampled_gram
from embrm.heads.win_loss import WinLoss

_LARGEST_ROWS = 2**29
"""Bytes of differences up to which they are formed."""

_FIRST_TOLERANCE = 1e-6
"""Rounding of differences to float32 has moved gradients by 5e-8 at most."""

_BLOCK_BYTES = 7 * 2**18
"""About what a processor keeps at hand of rows that are read twice, and not so much in
float32 that BLAS would divide a product with one vector among threads."""


@dataclass(frozen=True, eq=False)
class RowProblem:
    """The losses of wins, given their differences.

    Attributes
    ----------
    rows : ndarray of shape (n_wins, d)
        Winner minus loser, in the precision of the items: rounding such a difference
        is an error relative to it, and not to the items.
    mean : ndarray of shape (d,)
        Of the items that take part, each counted once.
    curvature : ndarray of shape (d,)
        Diagonal of the Hessian of the logistic loss at w = 0.
    at_zero : Evaluation
        Of w = 0, in the precision of the rows.
    margin, weight : ndarray of shape (n_wins,)
    loss : WinLoss
    low_precision : bool
        Whether gradients are computed in the precision of the rows.
    """

    rows: FloatArray
    mean: FloatArray
    curvature: FloatArray
    at_zero: Evaluation
    margin: FloatArray
    weight: FloatArray
    loss: WinLoss
    low_precision: bool = False

    @classmethod
    def of(
        cls, wins: Comparisons, scale: FloatArray | None, loss: WinLoss
    ) -> "RowProblem | None":
        """Form the differences, on columns divided by `scale`.

        None where that would take more memory than the items, or over 512 MiB.
        """
        items, (n_wins, d) = wins.items, (len(wins), wins.items.shape[1])
        dtype = np.result_type(items.dtype, np.float32)
        if n_wins * d * dtype.itemsize > min(items.nbytes, _LARGEST_ROWS):
            return None
        value, slope, edge = loss.evaluate(-wins.margin)
        slopes = wins.weight * slope
        ends = np.stack([wins.winner, wins.loser])
        occurs = np.bincount(ends.ravel())
        share = 1.0 / occurs[ends] / np.count_nonzero(occurs)
        rows, memory = np.empty((n_wins, d), dtype), np.empty((0, d), dtype)
        mean, gradient, square = np.zeros((3, d))
        for part in _parts(n_wins, d * dtype.itemsize):
            block = rows[part]
            if len(memory) != len(block):
                memory = np.empty_like(block)
            for out, rows_of, of_mean in zip((block, memory), ends, share, strict=True):
                copy_rows(items, rows_of[part], out)
                # Rewards are offset by it: rounding each part would show in them.
                mean += of_mean[part] @ out.astype(np.float64)
            block -= memory
            if scale is not None:
                block /= scale.astype(dtype)
            gradient += slopes[part].astype(dtype) @ block
            weight = wins.weight[part].astype(dtype)
            square += weight @ np.square(block, out=memory)
        at_zero = float(wins.weight @ value), gradient, wins.weight * edge
        return cls(rows, mean, square / 4, at_zero, wins.margin, wins.weight, loss)

    def fast(self) -> "RowProblem":
        """Return the same problem in the precision of the rows."""
        return replace(self, low_precision=True)

    def evaluate(self, w: FloatArray) -> Evaluation:
        """Compute the sum of the losses, its gradient, and each win's curvature."""
        if self.low_precision and not w.any():
            return self.at_zero
        precision = self.rows.dtype if self.low_precision else np.dtype(np.float64)
        weights, gradient = w.astype(precision), np.zeros(len(w))
        value, edge = 0.0, np.empty(len(self.weight))
        for part, block in self._blocks(precision):
            weight = self.weight[part]
            logit = (block @ weights).astype(np.float64) - self.margin[part]
            losses, slope, curvature = self.loss.take(part).evaluate(logit)
            value += float(weight @ losses)
            gradient += (weight * slope).astype(precision) @ block
            edge[part] = weight * curvature
        return value, gradient, edge

    def hessian_product(self, w: FloatArray, edge: FloatArray) -> FloatArray:
        """Multiply by w the Hessian whose wins have these curvatures."""
        precision = self.rows.dtype
        weights, edges = w.astype(precision), edge.astype(precision)
        total = np.zeros(len(w))
        for part, block in self._blocks(precision):
            total += (edges[part] * (block @ weights)) @ block
        return total

    @property
    def first_tolerance(self) -> float:
        """Relative norm of a gradient that the precision of the rows will do for."""
        return _FIRST_TOLERANCE

    @property
    def bytes_read(self) -> int:
        """Bytes that are read for a product with the Hessian."""
        return int(self.rows.nbytes)

    def diagonal(self) -> FloatArray:
        """Return the diagonal of the Hessian of the logistic losses at zero."""
        return self.curvature

    def sampled_hessian(self) -> FloatArray:
        """Estimate the Hessian of the logistic losses at zero from some of the wins."""
        gaps = self.rows.__getitem__
        return sampled_gram(gaps, self.weight, self.rows.shape[1])

    def _blocks(self, precision: np.dtype) -> Iterator[tuple[slice, FloatArray]]:
        """Yield blocks of rows in a precision, all in the same memory if converted."""
        n_wins, d = self.rows.shape
        parts = _parts(n_wins, d * precision.itemsize)
        if precision == self.rows.dtype:
            yield from ((part, self.rows[part]) for part in parts)
            return
        memory = np.empty((parts[0].stop, d), precision)
        for part in parts:
            block = memory[: min(part.stop, n_wins) - part.start]
            np.copyto(block, self.rows[part])
            yield part, block


def _parts(n_rows: int, row_bytes: int) -> list[slice]:
    """Divide rows into blocks of some megabytes."""
    step = max(1, _BLOCK_BYTES // row_bytes)
    return [slice(start, start + step) for start in range(0, n_rows, step)]
