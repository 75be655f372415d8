r"""The shape of the prior on linear weights: how far it is whitened.

The plain ridge gives every direction the same prior. Vectors of encoders have a few
directions of large variance and many of small; a ridge expects the reward to lie in
the first. The whitened prior expects it to be spread evenly over all. Between them,

.. math:: w \sim N\bigl(0, \tfrac{1}{\alpha} (S / \bar s)^{-q}\bigr)

with S the covariance of the pairs' differences, shrunk towards a multiple of the
identity since it is estimated, :math:`\bar s` its mean eigenvalue, and q from 0 (plain)
to 1 (Zellner's g-prior for this model).
"""

from dataclasses import replace

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.linear.training import LinearProblem


def whiten_prior(problem: LinearProblem, power: float, d: int) -> LinearProblem:
    """Change coordinates so that the plain ridge is the whitened prior.

    Parameters
    ----------
    problem : LinearProblem
        As `make_problem` returns it.
    power : float in [0, 1]
        q; 0 changes nothing.
    d : int
        Dimension of the items.

    Returns
    -------
    LinearProblem
        The same one where there is no eigenbasis (very many dimensions) or q is 0.

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads.comparisons import make_comparisons
    >>> from embrm.heads.linear.training import make_problem
    >>> items = np.random.default_rng(0).normal(size=(400, 2)) * [1.0, 10.0]
    >>> pairs = Pairs(items, np.arange(400).reshape(200, 2))
    >>> plain = make_problem(make_comparisons(pairs))
    >>> whitened = whiten_prior(plain, 1.0, 2)
    >>> bool(whitened.curvature.max() < 2 * whitened.curvature.min())
    True
    """
    if power == 0.0 or problem.basis is None or not problem.curvature.any():
        return problem
    spectrum = problem.curvature
    rho = oas_shrinkage(spectrum, d, min(len(problem.winner), len(problem.items) - 1))
    shrunk = (1 - rho) * spectrum * (d / spectrum.sum()) + rho
    stretch = shrunk ** (-power / 2)
    return replace(
        problem,
        items=problem.stretched_items(stretch),
        basis=problem.basis * stretch,
        curvature=spectrum * stretch**2,
        stretch=stretch,
        # Nothing varies there but the identity that S is shrunk towards.
        outside=max(rho, float(np.finfo(np.float64).eps)) ** (-power / 2),
    )


def oas_shrinkage(spectrum: FloatArray, d: int, n: int) -> float:
    """Say how far to shrink a covariance towards a multiple of the identity.

    Parameters
    ----------
    spectrum : ndarray of shape (k,), >= 0
        Eigenvalues, without the zeros beyond k.
    d : int
        Dimension, >= k.
    n : int
        Independent observations behind it.

    Returns
    -------
    float in [0, 1]
        The oracle approximating shrinkage of [1]_, eq. 23.

    References
    ----------
    .. [1] Chen, Wiesel, Eldar, Hero (2010). Shrinkage algorithms for MMSE covariance
       estimation. IEEE Transactions on Signal Processing 58.

    Examples
    --------
    >>> oas_shrinkage(np.ones(4), 4, 100)
    1.0
    """
    square, trace = float(spectrum @ spectrum), float(spectrum.sum())
    above = (1 - 2 / d) * square + trace**2
    below = (n + 1 - 2 / d) * (square - trace**2 / d)
    return 1.0 if above >= below else max(0.0, above / below)
