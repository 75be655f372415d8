"""The linear problem on an item matrix that is too large to copy.

Items are read in blocks of a few megabytes, centred and converted to float64 there, so
that float32 storage costs no precision where it counts. The eigenbasis is applied to
weights instead of items. The Hessian that it comes from is summed from float32 blocks:
it conditions the solver and does not move the solution.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from scipy.linalg import eigh

from embrm._typing import FloatArray, IntArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.training import (
    LARGEST_ROTATION,
    LinearProblem,
    laplacian,
    make_problem,
)

_WORTH_LEAVING = 2**22
_BLOCK_BYTES = 2**22
_GRAM_ROWS = 4096
_STRIPS = 6
_FEWEST_SAMPLED = 4096
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
    scale : ndarray of shape (d,) or None
        By which columns are divided, in effect: the coordinates of the user are those
        of the items so scaled.
    is_rough : bool
        Whether rewards and gradients, too, are computed in that precision.
    """

    mean: FloatArray = field(default_factory=lambda: np.zeros(0))
    is_centred: bool = False
    scale: FloatArray | None = None
    is_rough: bool = False

    def stretched_items(self, stretch: FloatArray) -> FloatArray:  # noqa: ARG002
        """Return the items as they are: only the basis is stretched."""
        return self.items

    def rewards(self, w: FloatArray) -> FloatArray:
        """Compute the rewards of all items, shape (n_items,)."""
        weights = self._to_user(w)
        if self.is_rough:
            return self._rough_rewards(weights)
        reward = np.empty(len(self.items))
        for part, block in self._blocks():
            reward[part] = block @ weights
        return reward

    def gather(self, per_item: FloatArray) -> FloatArray:
        """Sum items times `per_item`: adjoint of `rewards`."""
        if self.is_rough:
            return self._from_user(self._rough_gather(per_item))
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
        reward = self._rough_rewards(self._to_user(w))
        per_item = self.scatter(edge * (reward[self.winner] - reward[self.loser]))
        return self._from_user(self._rough_gather(per_item))

    def gram(self, edge: FloatArray) -> FloatArray:
        """Compute items' L items, where L has `edge` (n_wins,) on the wins' edges."""
        items = self.items
        graph = laplacian(self.winner, self.loser, edge.astype(items.dtype), len(items))
        mean = self.mean.astype(items.dtype)
        total = np.zeros((items.shape[1],) * 2)
        for start in range(0, len(items), _GRAM_ROWS):
            part = slice(start, start + _GRAM_ROWS)
            # L maps constants to zero, so that one side alone needs centring.
            add_upper(total, items[part] - mean, graph[part] @ items)
        whole = self._scaled(np.triu(total) + np.triu(total, 1).T)
        return whole if self.basis is None else self.basis.T @ whole @ self.basis

    def sampled_gram(self) -> FloatArray:
        """Estimate items' L items from some wins, where L has their weights.

        Four times as many as dimensions, and at least some thousand, evenly spread,
        stand for all; float32 will do. It conditions the solver, and moves nothing.
        """
        n_wins = max(_FEWEST_SAMPLED, 4 * self.items.shape[1])
        sample = self._sample(n_wins)
        weight = self.weight[sample]
        scale = np.sqrt(weight * (self.weight.sum() / weight.sum()))
        total = np.zeros((self.items.shape[1],) * 2)
        for start in range(0, len(sample), _GRAM_ROWS):
            part = sample[start : start + _GRAM_ROWS]
            gap = self.items[self.winner[part]] - self.items[self.loser[part]]
            gap *= scale[start : start + _GRAM_ROWS, None].astype(gap.dtype)
            total += gap.T @ gap
        return self._scaled(total)

    def sampled_square(self, n_wins: int) -> float:
        """Estimate the mean square of scaled differences from some wins."""
        sample = self._sample(n_wins)
        gap = self.items[self.winner[sample]] - self.items[self.loser[sample]]
        if self.scale is not None:
            gap = gap / self.scale
        square = np.einsum("ij,ij->i", gap, gap, dtype=np.float64)
        return float(np.average(square, weights=self.weight[sample]))

    def _sample(self, n_wins: int) -> IntArray:
        """Take at least `n_wins` wins, evenly spread."""
        return np.arange(0, len(self.winner), max(1, len(self.winner) // n_wins))

    def _rough_rewards(self, weights: FloatArray) -> FloatArray:
        dtype = self.items.dtype
        return (self.items @ weights.astype(dtype)).astype(np.float64)

    def _rough_gather(self, per_item: FloatArray) -> FloatArray:
        dtype = self.items.dtype
        return (per_item.astype(dtype) @ self.items).astype(np.float64)

    def is_near(self, square: float) -> bool:
        """Say whether the origin is near, given the mean square of differences."""
        mean = self.mean if self.scale is None else self.mean / self.scale
        return float(mean @ mean) <= _FARTHEST_MEAN * square

    def _scaled(self, gram: FloatArray) -> FloatArray:
        if self.scale is None:
            return gram
        gram /= self.scale
        gram /= self.scale[:, None]
        return gram

    def _to_user(self, w: FloatArray) -> FloatArray:
        scaled = w if self.basis is None else np.asarray(self.basis @ w)
        return scaled if self.scale is None else scaled / self.scale

    def _from_user(self, total: FloatArray) -> FloatArray:
        scaled = total if self.scale is None else total / self.scale
        return scaled if self.basis is None else np.asarray(self.basis.T @ scaled)

    def _blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Yield blocks in float64, all in the same memory, centred where it matters.

        A constant added to all items cancels in `delta`, and in `gather` of what
        `scatter` returns.
        """
        n_rows = max(1, _BLOCK_BYTES // (8 * self.items.shape[1]))
        memory = np.empty((n_rows, self.items.shape[1]))
        for start in range(0, len(self.items), n_rows):
            part = slice(start, start + n_rows)
            rows = self.items[part]
            block = memory[: len(rows)]
            if self.is_centred:
                np.copyto(block, rows)
            else:
                np.subtract(rows, self.mean, out=block)
            yield part, block


def add_upper(total: FloatArray, left: FloatArray, right: FloatArray) -> None:
    """Add left' right, known to be symmetric in the end, to the upper triangle.

    In strips of columns: little more than half of the whole product is computed.
    """
    strips = np.linspace(0, len(total), _STRIPS + 1).astype(int)
    for start, end in pairwise(strips):
        total[start:end, start:] += left[:, start:end].T @ right[:, start:]


def make_frugal_problem(
    comparisons: Comparisons, scale: FloatArray | None = None
) -> LinearProblem:
    """Make the linear problem without a copy of the items if they are large.

    Parameters
    ----------
    comparisons : Comparisons
    scale : ndarray of shape (d,), optional
        By which to divide the columns of the items first.

    Returns
    -------
    LinearProblem
        As `make_problem` does below 4 MiB of items, and where there are fewer items
        than dimensions.
    """
    plain = stay_in_place(comparisons, scale)
    if plain is None:
        if scale is not None:
            comparisons = replace(comparisons, items=comparisons.items / scale)
        return make_problem(comparisons)
    hessian = plain.gram(comparisons.weight) / 4
    if len(hessian) > LARGEST_ROTATION:
        return replace(plain, curvature=np.maximum(np.diagonal(hessian), 0.0))
    return _rotated(plain, hessian)


def rotated_roughly(
    plain: InPlaceProblem, hessian: FloatArray, scale: FloatArray | None
) -> InPlaceProblem:
    """Scale and rotate a bare problem, to try penalties on.

    All is computed in the precision of the items, where they lie close enough to the
    origin.

    Parameters
    ----------
    plain : InPlaceProblem
        As `stay_in_place` returns it, without a scale.
    hessian : ndarray of shape (d, d)
        Of its losses, at zero.
    scale : ndarray of shape (d,), optional
        By which to divide the columns.

    Returns
    -------
    InPlaceProblem
    """
    scaled = replace(plain, scale=scale)
    rough = scaled._scaled(hessian.astype(plain.items.dtype))
    rotated = _rotated(scaled, rough)
    return replace(rotated, is_rough=rotated.is_centred)


def _rotated(plain: InPlaceProblem, hessian: FloatArray) -> InPlaceProblem:
    """Take the eigenbasis of the Hessian at zero."""
    curvature, rotation = eigh(hessian, driver="evd")
    # The trace of the Hessian is a quarter of the squared length of all differences.
    square = 4 * float(curvature.sum()) / float(plain.weight.sum())
    return replace(
        plain,
        basis=rotation.astype(np.float64),
        curvature=np.maximum(curvature, 0.0, dtype=np.float64),
        is_centred=plain.is_near(square),
    )


def stay_in_place(
    comparisons: Comparisons, scale: FloatArray | None = None
) -> InPlaceProblem | None:
    """Make the bare problem where the items lie, None where a copy is better.

    It has no basis and knows no curvature.
    """
    items = comparisons.items
    if items.nbytes <= _WORTH_LEAVING or len(items) < items.shape[1]:
        return None
    return InPlaceProblem(
        items,
        None,
        np.zeros(items.shape[1]),
        comparisons.winner,
        comparisons.loser,
        comparisons.margin,
        comparisons.weight,
        mean=items.mean(axis=0, dtype=np.float64),
        scale=scale,
    )
