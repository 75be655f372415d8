r"""The objective of the Kahneman-Tversky head, and its fit along a path of penalties.

.. math:: F(w) = \sum_i a_i \, \sigma(-r_i) + b_i \, \sigma(r_i)
          + \tfrac{\alpha}{2} \lVert w \rVert^2, \qquad r_i = w^\top (x_i - z)

with :math:`a_i` and :math:`b_i` the balanced weight of the desirable and undesirable
labels of item i, and z the mean of the items by that weight, so that the reference
point is 0. F is not convex, but it is where the penalty is strong; minima are followed
from there to weaker penalties.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.linalg import eigh, qr
from scipy.special import expit

from embrm._typing import AnyArray, FloatArray
from embrm.heads.smooth_minimiser import minimise_smooth

PRIORS = np.geomspace(0.03, 30.0, 13)
"""Prior standard deviations of a reward, in nats, from strong to weak penalty."""

TIGHT, LOOSE = 1e-9, 1e-4
"""Tolerances of fits to keep, and of fits to choose by."""

_LARGEST_ROTATION = 1024
_SMALLEST_CURVATURE = 1e-12
_MAX_ITER = 500


@dataclass(frozen=True, eq=False)
class LabelledItems:
    """Distinct items with the weight of their labels.

    Attributes
    ----------
    items : ndarray of shape (n_items, k)
    desirable, undesirable : ndarray of shape (n_items,), >= 0
    """

    items: FloatArray
    desirable: FloatArray
    undesirable: FloatArray

    def balanced(self, balance: float) -> "LabelledItems":
        """Weigh the labels so that desirable is to undesirable as `balance` to 1."""
        n_desirable, n_undesirable = self.desirable.sum(), self.undesirable.sum()
        total = n_desirable + n_undesirable
        share = balance / (1.0 + balance)
        return replace(
            self,
            desirable=self.desirable * (share * total / n_desirable),
            undesirable=self.undesirable * ((1.0 - share) * total / n_undesirable),
        )

    def take(self, rows: AnyArray) -> "LabelledItems":
        """Keep some items, by mask or index."""
        return LabelledItems(
            self.items[rows], self.desirable[rows], self.undesirable[rows]
        )

    @property
    def weight(self) -> FloatArray:
        """Weight of both labels together, shape (n_items,)."""
        return self.desirable + self.undesirable

    def reference_point(self) -> FloatArray:
        """Compute the mean of the items by weight, shape (k,), float64."""
        weight = self.weight
        return np.asarray(weight @ self.items / weight.sum(), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class KTOProblem:
    """Balanced labels on items in coordinates where the problem is well conditioned.

    Attributes
    ----------
    labelled : LabelledItems
        Centred at the reference point, rotated by `basis` where that pays.
    basis : ndarray of shape (d, k) or None
    curvature : ndarray of shape (k,)
        Sum of squares of the columns, by weight.
    """

    labelled: LabelledItems
    basis: FloatArray | None
    curvature: FloatArray

    @property
    def mean_square(self) -> float:
        """Mean squared distance of an item from the reference point."""
        return float(self.curvature.sum() / self.labelled.weight.sum())


def make_kto_problem(labelled: LabelledItems) -> KTOProblem:
    """Centre balanced items, and rotate them to their principal axes."""
    weight = labelled.weight
    items = labelled.items - labelled.reference_point()
    basis = None
    if len(items) < items.shape[1]:
        # The solution lies in the span of the items: solve there.
        basis, triangle = qr(items.T, mode="economic")
        items = np.ascontiguousarray(triangle.T)
    if items.shape[1] > _LARGEST_ROTATION:
        curvature = weight @ items**2
    else:
        curvature, rotation = eigh(items.T @ (weight[:, None] * items))
        items = items @ rotation
        basis = rotation if basis is None else basis @ rotation
    return KTOProblem(replace(labelled, items=items), basis, np.maximum(curvature, 0))


def kto_value_and_gradient(
    problem: KTOProblem, alpha: float, w: FloatArray
) -> tuple[float, FloatArray]:
    """Compute F and its gradient at w."""
    labelled = problem.labelled
    reward = labelled.items @ w
    slope = (labelled.undesirable - labelled.desirable) * expit(reward) * expit(-reward)
    value = kto_losses(reward, labelled).sum() + alpha / 2 * (w @ w)
    return float(value), labelled.items.T @ slope + alpha * w


def kto_losses(reward: FloatArray, labelled: LabelledItems) -> FloatArray:
    """Compute the loss of each item: lambda (1 - v), summed over its labels."""
    return labelled.desirable * expit(-reward) + labelled.undesirable * expit(reward)


def label_log_losses(reward: FloatArray, labelled: LabelledItems) -> FloatArray:
    """Compute the log loss of each item in nats, summed over its labels."""
    for_desirable = labelled.desirable * np.logaddexp(0.0, -reward)
    return for_desirable + labelled.undesirable * np.logaddexp(0.0, reward)


def penalties(problem: KTOProblem) -> FloatArray:
    """List the penalties of the path, descending."""
    return np.asarray(problem.mean_square / PRIORS**2)


def follow_path(
    problem: KTOProblem, alphas: FloatArray, *, tol: float = TIGHT
) -> Iterator[tuple[FloatArray, int]]:
    """Minimise F for each penalty, each fit starting from the last.

    Parameters
    ----------
    problem : KTOProblem
    alphas : ndarray of shape (n_alphas,)
        Descending.
    tol : float
        Size of the gradient at which a fit ends, relative to the root of the weight.

    Yields
    ------
    w : ndarray of shape (k,)
    n_iter : int
    """
    w: FloatArray = np.zeros(len(problem.curvature))
    floor = _SMALLEST_CURVATURE * problem.curvature.max()
    for alpha in alphas:
        found = minimise_smooth(
            partial(kto_value_and_gradient, problem, float(alpha)),
            w,
            1.0 / np.sqrt(problem.curvature / 4 + alpha + floor),
            small=tol * np.sqrt(problem.labelled.weight.sum()),
            max_iter=_MAX_ITER,
        )
        w = found.parameters
        yield w, found.n_iter


def path_to(problem: KTOProblem, alpha: float) -> FloatArray:
    """List the penalties above `alpha`, then `alpha` itself."""
    strong = penalties(problem)
    return np.append(strong[strong > alpha], alpha)
