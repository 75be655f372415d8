"""Follow a path of penalties with all folds at once, and hold each to its best scale.

Every column of a matrix of weights is the fit of one fold. Newton's steps are solved by
conjugate gradients in the eigenbasis of the Hessian at zero, where that of every fold
is about diagonal at every penalty: one factorisation conditions the whole path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from scipy.special import expit

from embrm._typing import BoolArray, FloatArray
from embrm.heads.linear.differences import Differences
from embrm.heads.win_loss import LogisticLoss, WinLoss

_TOLERANCE = 1e-3
_MOST_STEPS, _MOST_PRODUCTS = 8, 50
_LOG_SCALES = (-3.0, 12.0)
"""Bounds of the logarithm of a scale."""

_RIDGE = 2.5e-3
"""On scales: separable wins have no finite one."""


_Evaluation: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]
"""Deltas (n_wins, k), gradient (n_weights, k) and weighted curvatures (n_wins, k)."""


@dataclass(frozen=True, eq=False)
class HeldOutFit:
    """How well fits at one penalty order wins that they did not see.

    Attributes
    ----------
    losses : ndarray of shape (n_held_out,)
        Of each held-out win at the best scale, in nats.
    scale : float > 0
        The factor on deltas that has the least loss.
    scale_error : float >= 0
        Its standard error, relative to it; 0 where it is not free.
    weights : ndarray of shape (n_weights, n_folds)
    """

    losses: FloatArray
    scale: float
    scale_error: float
    weights: FloatArray


class FoldPath:
    """Fits of all folds, at one penalty after the other, from strong to weak.

    Parameters
    ----------
    differences : Differences
    loss : WinLoss
    margin : ndarray of shape (n_wins,)
    folds : list of (train, held_out)
        Masks of wins.
    free_scale : bool, default=True
        Judge fits at their best scale; otherwise as they are.
    """

    def __init__(
        self,
        differences: Differences,
        loss: WinLoss,
        margin: FloatArray,
        folds: list[tuple[BoolArray, BoolArray]],
        *,
        free_scale: bool = True,
    ) -> None:
        self.whole = differences
        self.differences, self._span = differences.in_their_span()
        self.loss, self.margin, self.free_scale = loss, margin, free_scale
        train = np.stack([mask for mask, _ in folds], axis=1)
        self.weight = train * differences.weight[:, None]
        self._weight32 = self.weight.astype(np.float32)
        self._margin32 = margin.astype(np.float32)
        self.held = [np.flatnonzero(mask) for _, mask in folds]
        rows = np.concatenate(self.held)
        self.held_weight = differences.weight[rows]
        self._held_margin, self._held_loss = margin[rows], loss.take(rows)
        self.curvature, self.basis = self.differences.eigenbasis()
        self._share = self.weight.sum(axis=0) / differences.weight.sum()
        self._at = np.zeros((len(self.curvature), len(folds)), np.float32)
        self._latest: tuple[FloatArray, _Evaluation] | None = None

    def fit(self, penalty: float) -> HeldOutFit:
        """Fit all folds at a penalty, from the last ones, and judge them."""
        self._at, deltas = self._minimise(penalty, self._at)
        weights = self._turned(self._at)
        within, between = self._held_out_deltas(weights, deltas)
        if self._span is not None:
            weights = self._span @ weights
        losses, scale = self._judge(within, between)
        error = self._scale_error(scale * within, between) if self.free_scale else 0.0
        return HeldOutFit(losses, scale, error, weights)

    def restart(self, weights_at: FloatArray) -> None:
        """Continue from fits of before."""
        self._at = weights_at

    @property
    def position(self) -> FloatArray:
        """Where the fits are, for `restart`."""
        return self._at

    @cached_property
    def square_basis(self) -> FloatArray | None:
        """The eigenbasis where it spans all weights, None otherwise."""
        whole = self._span is None and self.basis is not None
        return self.basis if whole else None

    def _turned(self, at: FloatArray) -> FloatArray:
        return at if self.basis is None else np.asarray(self.basis @ at)

    def _through(
        self, at: FloatArray, per_win: Callable[[slice, FloatArray], FloatArray]
    ) -> FloatArray:
        """Gather what is made of deltas, in the coordinates of the basis."""
        total = self.differences.through(self._turned(at), per_win)
        return total if self.basis is None else np.asarray(self.basis.T @ total)

    def _derivatives(self, part: slice, deltas: FloatArray) -> tuple[FloatArray, ...]:
        """Compute slopes and curvatures of some wins, fold by fold."""
        if type(self.loss) is LogisticLoss:
            # In one go, without the values, in the precision of the deltas.
            lose = expit(self._margin32[part, None] - deltas)
            return -lose, lose * (1 - lose)
        slope, curvature = np.empty_like(deltas), np.empty_like(deltas)
        loss = self.loss.take(part)
        for k in range(deltas.shape[1]):
            logit = deltas[:, k].astype(np.float64) - self.margin[part]
            _, slope[:, k], curvature[:, k] = loss.evaluate(logit)
        return slope, curvature

    def _evaluate(self, at: FloatArray) -> _Evaluation:
        """Compute deltas, the gradient of the losses and weighted curvatures.

        What ends the fit at one penalty begins that at the next.
        """
        if self._latest is not None and self._latest[0] is at:
            return self._latest[1]
        all_deltas, edge = np.empty((2, *self._weight32.shape), np.float32)

        def weighted_slope(part: slice, deltas: FloatArray) -> FloatArray:
            weight = self._weight32[part]
            slope, curvature = self._derivatives(part, deltas)
            all_deltas[part], edge[part] = deltas, curvature * weight
            return slope * weight

        found = all_deltas, self._through(at, weighted_slope), edge
        self._latest = at, found
        return found

    def _minimise(
        self, penalty: float, at: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Minimise from weights; return those of the minimum, and their deltas."""
        inverse = self.curvature[:, None] * self._share + penalty
        inverse = (1.0 / inverse).astype(np.float32)
        effective = np.sum(inverse * self.curvature[:, None] * self._share, axis=0)
        bound = np.sqrt(self.weight.sum(axis=0) * effective) + 1e-30
        for _ in range(_MOST_STEPS):
            deltas, gradient, edge = self._evaluate(at)
            gradient = gradient + np.float32(penalty) * at
            norm = np.sqrt(np.sum(inverse * gradient**2, axis=0))
            wanted = norm > _TOLERANCE * bound
            if not wanted.any():
                break
            small = np.minimum(0.1, np.sqrt(norm / bound)) * norm
            small = np.maximum(small, 0.3 * _TOLERANCE * bound)
            at = at + self._solve(-gradient * wanted, edge, penalty, inverse, small)
        else:
            deltas = self.differences.times(self._turned(at))
        return at, deltas

    def _solve(
        self,
        target: FloatArray,
        edge: FloatArray,
        penalty: float,
        inverse: FloatArray,
        small: FloatArray,
    ) -> FloatArray:
        """Solve for Newton's steps by conjugate gradients, each fold by its own."""
        step, rest = np.zeros_like(target), target
        scaled = inverse * rest
        along, square = scaled, np.sum(rest * scaled, axis=0)
        for _ in range(_MOST_PRODUCTS):
            product = self._through(along, lambda part, deltas: deltas * edge[part])
            product = product + np.float32(penalty) * along
            curving = np.sum(along * product, axis=0)
            size = np.divide(
                square, curving, out=np.zeros_like(curving), where=curving > 0
            )
            step = step + size * along
            rest = rest - size * product
            scaled = inverse * rest
            new = np.sum(rest * scaled, axis=0)
            live = new > small**2
            if not live.any():
                break
            turn = _ratio(new, square)
            along, square = (scaled + turn * along) * live, new * live
        return np.asarray(step)

    def _held_out_deltas(
        self, weights: FloatArray, deltas: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Divide deltas of held-out wins: within prompts, and between them."""
        between = self.differences.between_prompts(weights)
        parts = [
            (deltas[rows, k], between[rows, k]) for k, rows in enumerate(self.held)
        ]
        all_of, of_prompts = (
            np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True)
        )
        return all_of - of_prompts, of_prompts

    def _judge(
        self, within: FloatArray, between: FloatArray
    ) -> tuple[FloatArray, float]:
        """Find the best scale, and the losses at it.

        What the prompts are worth cancels between responses to one prompt. So where
        wins are across prompts, that part of a delta has a scale of its own: what
        counts is the order of responses.
        """
        if not self.free_scale:
            return self._losses(within + between), 1.0
        if not between.any():
            scale = self._best_scale(within)
            return self._losses(scale * within), scale
        both = np.stack([within, between], axis=1)
        size = np.sqrt(np.mean(both**2, axis=0)) + 1e-30
        both /= size
        factors = self._best_factors(both)
        one = np.flatnonzero(factors > 0)
        if len(one) < 2:
            # One part speaks against the wins: the other alone.
            k = int(one[0]) if len(one) else 0
            factors = np.zeros(2)
            factors[k] = self._best_scale(both[:, k])
        scale = max(float(factors[0] / size[0]), float(np.exp(_LOG_SCALES[0])))
        return self._losses(both @ factors), scale

    def _scale_error(self, within: FloatArray, between: FloatArray) -> float:
        """Return the relative error of a factor, by the curvature of the loss."""
        logit = within + between - self._held_margin
        curvature = self._held_loss.evaluate(logit)[2]
        information = float((self.held_weight * curvature) @ within**2)
        return float(1.0 / np.sqrt(information + 1.0))

    def _losses(self, deltas: FloatArray) -> FloatArray:
        return self._held_loss.evaluate(deltas - self._held_margin)[0]

    def _best_scale(self, deltas: FloatArray) -> float:
        """Find the factor on deltas with the least loss, within wide bounds."""
        size = float(np.sqrt(np.mean(deltas**2)))
        if size == 0.0:
            return 1.0
        factor = float(self._best_factors(deltas[:, None] / size)[0]) / size
        return float(np.clip(factor, *np.exp(_LOG_SCALES)))

    def _best_factors(self, columns: FloatArray) -> FloatArray:
        """Minimise the held-out loss over factors on columns of mean square one."""
        n = columns.shape[1]
        at, weight = np.zeros(n), self.held_weight
        for _ in range(30):
            logit = columns @ at - self._held_margin
            _, slope, curvature = self._held_loss.evaluate(logit)
            gradient = columns.T @ (weight * slope) + _RIDGE * at
            hessian = columns.T @ (columns * (weight * curvature)[:, None])
            step = np.linalg.solve(hessian + _RIDGE * np.eye(n), -gradient)
            length = float(np.linalg.norm(step))
            at = at + step * min(1.0, 2.0 / max(length, 1e-30))
            if length < 1e-6:
                break
        return at


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Divide, with 0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros_like(below), where=below > 0)
