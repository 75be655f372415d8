"""The linear problem on an item matrix that is too large to copy.

Items are read in blocks of a few megabytes, centred and converted to float64 there, so
that float32 storage costs no precision where it counts. The eigenbasis is applied to
weights instead of items. The Hessian that it comes from is summed from float32 blocks:
it conditions the solver and does not move the solution.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg import eigh

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.training import (
    _LARGEST_ROTATION,
    LinearProblem,
    laplacian,
    make_problem,
)

_WORTH_LEAVING = 2**22
_BLOCK_BYTES = 2**22
_GRAM_ROWS = 4096
_FARTHEST_MEAN = 1e4
"""Squared distance from the origin, in mean squared differences, for float32 to do."""


@dataclass(frozen=True, eq=False)
class InPlaceProblem(LinearProblem):
    """Wins between items that stay where they are, neither centred nor rotated.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        Of the items.
    is_centred : bool
        Whether the mean is small enough to compute in the precision of the items.
    """

    mean: FloatArray = field(default_factory=lambda: np.zeros(0))
    is_centred: bool = False

    def stretched_items(self, stretch: FloatArray) -> FloatArray:  # noqa: ARG002
        """Return the items as they are: only the basis is stretched."""
        return self.items

    def rewards(self, w: FloatArray) -> FloatArray:
        """Compute the rewards of all items, shape (n_items,)."""
        weights = self._to_user(w)
        reward = np.empty(len(self.items))
        for part, block in self._blocks():
            reward[part] = block @ weights
        return reward

    def gather(self, per_item: FloatArray) -> FloatArray:
        """Sum items times `per_item`: adjoint of `rewards`."""
        total = np.zeros(self.items.shape[1])
        for part, block in self._blocks():
            total += per_item[part] @ block
        return self._from_user(total)

    def bend(self, w: FloatArray, edge: FloatArray) -> FloatArray:
        """Multiply items' L items by w, in the precision of the items.

        Newton's direction needs no more. Centring is left out: L maps constants to
        zero on either side.
        """
        if not self.is_centred:
            return super().bend(w, edge)
        dtype = self.items.dtype
        reward = (self.items @ self._to_user(w).astype(dtype)).astype(np.float64)
        per_item = self.scatter(edge * (reward[self.winner] - reward[self.loser]))
        return self._from_user((per_item.astype(dtype) @ self.items).astype(np.float64))

    def gram(self, edge: FloatArray) -> FloatArray:
        """Compute items' L items, where L has `edge` (n_wins,) on the wins' edges."""
        items = self.items
        graph = laplacian(self.winner, self.loser, edge.astype(items.dtype), len(items))
        mean = self.mean.astype(items.dtype)
        total = np.zeros((items.shape[1],) * 2)
        for start in range(0, len(items), _GRAM_ROWS):
            part = slice(start, start + _GRAM_ROWS)
            # L maps constants to zero, so that one side alone needs centring.
            total += (items[part] - mean).T @ (graph[part] @ items)
        total = (total + total.T) / 2
        return total if self.basis is None else self.basis.T @ total @ self.basis

    def _to_user(self, w: FloatArray) -> FloatArray:
        return w if self.basis is None else np.asarray(self.basis @ w)

    def _from_user(self, total: FloatArray) -> FloatArray:
        return total if self.basis is None else np.asarray(self.basis.T @ total)

    def _blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield centred blocks in float64, all in the same memory."""
        n_rows = max(1, _BLOCK_BYTES // (8 * self.items.shape[1]))
        memory = np.empty((n_rows, self.items.shape[1]))
        for start in range(0, len(self.items), n_rows):
            part = slice(start, start + n_rows)
            rows = self.items[part]
            yield part, np.subtract(rows, self.mean, out=memory[: len(rows)])


def make_frugal_problem(comparisons: Comparisons) -> LinearProblem:
    """Make the linear problem without a copy of the items if they are large.

    Parameters
    ----------
    comparisons : Comparisons

    Returns
    -------
    LinearProblem
        As `make_problem` does below 4 MiB of items, and where there are fewer items
        than dimensions.
    """
    items = comparisons.items
    if items.nbytes <= _WORTH_LEAVING or len(items) < items.shape[1]:
        return make_problem(comparisons)
    mean = items.mean(axis=0, dtype=np.float64)
    plain = InPlaceProblem(
        items,
        None,
        np.zeros(items.shape[1]),
        comparisons.winner,
        comparisons.loser,
        comparisons.margin,
        comparisons.weight,
        mean=mean,
    )
    hessian = plain.gram(comparisons.weight) / 4
    if items.shape[1] > _LARGEST_ROTATION:
        return replace(plain, curvature=np.maximum(np.diagonal(hessian), 0.0))
    curvature, rotation = eigh(hessian, driver="evd")
    # The trace of the Hessian is a quarter of the squared length of all differences.
    square = 4 * float(curvature.sum()) / float(comparisons.weight.sum())
    return replace(
        plain,
        basis=rotation,
        curvature=np.maximum(curvature, 0.0),
        is_centred=float(mean @ mean) <= _FARTHEST_MEAN * square,
    )
