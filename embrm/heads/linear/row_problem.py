"""The convex problem of the linear head on a matrix of differences of wins.

Where items hardly occur twice, the differences of winner and loser are no larger than
the items, and each product with the Hessian needs to read them but once: block by
block, each of them multiplied by the weights and then by what came out of that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from embrm._typing import FloatArray
from embrm._validation import widened
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear._operators import copy_widened
from embrm.heads.linear.problem import Evaluation, sampled_gram
from embrm.heads.win_loss import WinLoss

_LARGEST_ROWS = 2**29
"""Bytes of differences up to which they are formed."""

_BLOCK_BYTES = 2**21
"""About what a processor keeps at hand of rows that are read twice."""


@dataclass(frozen=True, eq=False)
class RowProblem:
    """The losses of wins, given their differences.

    Attributes
    ----------
    rows : ndarray of shape (n_wins, d)
        Winner minus loser, in the precision of the items: rounding such a difference
        is an error relative to it, and not to the items.
    curvature : ndarray of shape (d,)
        Diagonal of the Hessian of the logistic loss at w = 0.
    margin, weight : ndarray of shape (n_wins,)
    loss : WinLoss
    low_precision : bool
        Whether gradients are computed in the precision of the rows.
    """

    rows: FloatArray
    curvature: FloatArray
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
        rows = np.empty((n_wins, d), dtype)
        square = np.zeros(d)
        by = None if scale is None else scale.astype(dtype)
        for part in _parts(n_wins, d * dtype.itemsize):
            block = rows[part]
            # `take` copies all of an array that is not in rows.
            if items.dtype == dtype and items.flags.c_contiguous:
                np.take(items, wins.winner[part], axis=0, out=block, mode="clip")
            else:
                copy_widened(items[wins.winner[part]], block)
            losers = widened(items[wins.loser[part]])
            block -= losers
            if by is not None:
                block /= by
            weight = wins.weight[part].astype(dtype)
            square += weight @ np.square(block, out=losers)
        return cls(rows, square / 4, wins.margin, wins.weight, loss)

    def fast(self) -> "RowProblem":
        """Return the same problem in the precision of the rows."""
        return replace(self, low_precision=True)

    def evaluate(self, w: FloatArray) -> Evaluation:
        """Compute the sum of the losses, its gradient, and each win's curvature."""
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
