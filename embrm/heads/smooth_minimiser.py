"""Minimise a smooth function by L-BFGS in coordinates where it is well conditioned."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.optimize import minimize

from embrm._typing import FloatArray

Objective: TypeAlias = Callable[[FloatArray], tuple[float, FloatArray]]
"""Takes parameters of shape (n,); returns the value and the gradient of shape (n,)."""

_MEMORY = 20


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where the minimiser ended.

    Attributes
    ----------
    parameters : ndarray of shape (n,)
    n_iter : int
    converged : bool
        False if `max_iter` steps were not enough.
    """

    parameters: FloatArray
    n_iter: int
    converged: bool


def minimise_smooth(
    objective: Objective,
    start: FloatArray,
    scale: FloatArray,
    *,
    small: float,
    max_iter: int,
    least_gain: float = 0.0,
) -> Minimum:
    """Minimise `objective` from `start`, in coordinates u = parameters / scale.

    Parameters
    ----------
    objective : callable
    start : ndarray of shape (n,)
    scale : ndarray of shape (n,), > 0
        About one over the square root of the curvature in each direction.
    small : float
        The fit ends when no entry of the gradient in u exceeds this.
    max_iter : int
    least_gain : float, default=0.0
        The fit also ends when a step lowers the value by less than this share of it.

    Returns
    -------
    Minimum

    Examples
    --------
    >>> import numpy as np
    >>> bowl = lambda w: (float(np.sum((w - 1) ** 2)), 2 * (w - 1))
    >>> found = minimise_smooth(bowl, np.zeros(2), np.ones(2), small=1e-9, max_iter=50)
    >>> found.parameters.round(6), found.converged
    (array([1., 1.]), True)
    """

    def scaled(u: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(scale * u)
        return value, scale * gradient

    found = minimize(
        scaled,
        start / scale,
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": max_iter,
            "maxfun": 20 * max_iter,
            "maxcor": _MEMORY,
            "gtol": small,
            "ftol": least_gain,
        },
    )
    # Status 1 is the limit of iterations. Status 2 is a line search that rounding has
    # stopped: with no gain left to see, that is the minimum.
    return Minimum(scale * np.asarray(found.x), int(found.nit), found.status != 1)
