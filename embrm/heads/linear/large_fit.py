"""Fit weights on items that are too large to copy, at a given penalty.

Newton's method in the precision of the items finds the minimum roughly, conditioned by
the eigenbasis that a search for the penalty left behind, or by a Hessian that is summed
from some of the wins; a few steps in float64 finish it. The only whole Hessian is that
of the posterior, and it conditions these last steps.
"""

from dataclasses import dataclass, replace

from embrm._typing import FloatArray
from embrm.heads.linear.coordinates import Coordinates, FactoredCoordinates
from embrm.heads.linear.in_place_problem import InPlaceProblem
from embrm.heads.linear.posterior import hessian_of_losses
from embrm.heads.linear.training import minimise

LARGEST_FACTOR = 2048
"""Above this many dimensions a factor of the Hessian costs more than it saves."""

_WINS_FOR_SQUARE = 1000
_ROUGH = 1e-4
_FEW_STEPS = 3


@dataclass(frozen=True, eq=False)
class LargeFit:
    """Weights, and the Hessian of the losses there.

    Attributes
    ----------
    w : ndarray of shape (d,)
    n_iter : int
    converged : bool
    hessian : ndarray of shape (d, d) or None
    """

    w: FloatArray
    n_iter: int
    converged: bool
    hessian: FloatArray | None


def minimise_in_place(
    problem: InPlaceProblem,
    alpha: float,
    start: FloatArray,
    *,
    tol: float,
    max_iter: int,
    keep_hessian: bool,
    coordinates: Coordinates | None = None,
) -> LargeFit:
    """Minimise F, and keep the Hessian if asked to.

    Parameters
    ----------
    problem : InPlaceProblem
        Without a basis, as `stay_in_place` returns it.
    alpha : float >= 0
    start : ndarray of shape (d,)
    tol, max_iter
        As for `minimise`.
    keep_hessian : bool
    coordinates : Coordinates, optional
        In which the Hessian is about one, if known.

    Returns
    -------
    LargeFit
    """
    if coordinates is None:
        rough_hessian = problem.sampled_gram() / 4
        coordinates = FactoredCoordinates.of(rough_hessian, alpha)
    square = problem.sampled_square(_WINS_FOR_SQUARE)
    problem = replace(problem, is_centred=problem.is_near(square))
    w, n_rough, hessian = start, 0, None
    if problem.is_centred:
        w, n_rough, _ = minimise(
            replace(problem, is_rough=True),
            alpha,
            start,
            tol=max(_ROUGH, tol),
            max_iter=max_iter,
            coordinates=coordinates,
        )
    if keep_hessian:
        hessian = hessian_of_losses(problem, w)
        coordinates = FactoredCoordinates.of(hessian, alpha)
    w, n_fine, converged = minimise(
        problem, alpha, w, tol=tol, max_iter=max_iter, coordinates=coordinates
    )
    if keep_hessian and n_fine > _FEW_STEPS:
        hessian = hessian_of_losses(problem, w)
    return LargeFit(w, n_rough + n_fine, converged, hessian)
