r"""How strong the priors of blocks are beside each other, by their evidence.

Each block b of columns has a penalty :math:`\alpha_b = 1 / \tau_b^2` of its own. The
labels are probable, with the weights integrated out [1]_, in proportion to

.. math:: \prod_i \sqrt{\frac{\alpha_b}{\lambda_i + \alpha_b}}
          \exp \frac{c_i^2}{2 (\lambda_i + \alpha_b)}

with :math:`\lambda` the eigenvalues of what the wins say about the weights of the
block, those of the others integrated out, and c their slope. Where few or noisy wins
say little, its maximum is wherever chance puts it. So :math:`\tau_b` has the broad
hyperprior that the search for one penalty uses, and the choice is the mean of its
logarithm. Labels are noisier than the model believes, so all penalties together come
out too weak. Only their ratios are used: the level is chosen by what is held out.

References
----------
.. [1] MacKay (1992). Bayesian interpolation. Neural Computation 4.
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh
from scipy.linalg.lapack import dpotri

from embrm._typing import FloatArray
from embrm.heads.linear.differences import Differences
from embrm.heads.win_loss import WinLoss

_MOST_ROUNDS = 30
_STEPS = 2
_TAUS = np.geomspace(0.003, 100.0, 64)
"""Prior standard deviations of a delta that a block makes, in nats."""

_CHANGE = 0.02
"""Relative change of penalties below which they have settled."""


def evidence_penalties(
    differences: Differences,
    loss: WinLoss,
    margin: FloatArray,
    blocks: Sequence[slice],
    medians: FloatArray,
    spread: float,
) -> FloatArray:
    """Find the penalty of each block, by what the wins say about it.

    Parameters
    ----------
    differences : Differences
        Best with blocks of about the same mean square.
    loss : WinLoss
    margin : ndarray of shape (n_wins,)
    blocks : sequence of slice
        Of the columns.
    medians : ndarray of shape (n_blocks,)
        Median of each tau before any data, in nats.
    spread : float
        Standard deviation of its logarithm.

    Returns
    -------
    ndarray of shape (n_blocks,), > 0
        In units in which the differences have a mean square of one.
    """
    gram = differences.gram.astype(np.float64)
    surprise = (np.log(_TAUS / medians[:, None]) / spread) ** 2 / 2
    sizes = np.array([part.stop - part.start for part in blocks])
    penalties = medians**-2.0
    w: FloatArray = np.zeros(len(gram))
    for _ in range(_MOST_ROUNDS):
        each = np.repeat(penalties, sizes)
        for _ in range(_STEPS):
            w, factor = _step(differences, loss, margin, gram, each, w)
        # dpotri takes the factor of `cho_factor`, and fills the same triangle.
        covariance = np.tril(dpotri(factor[0], lower=factor[1])[0])
        new = np.empty_like(penalties)
        for k, part in enumerate(blocks):
            lower = covariance[part, part]
            own = lower + np.tril(lower, -1).T
            log_likely = _log_evidence(own, w[part], penalties[k]) - surprise[k]
            likely = np.exp(log_likely - log_likely.max())
            log_tau = float(np.average(np.log(_TAUS), weights=likely))
            new[k] = np.exp(-2 * log_tau)
        change = np.abs(np.log(new / penalties)).max()
        penalties = new
        if change < _CHANGE:
            break
    return penalties


def _log_evidence(covariance: FloatArray, w: FloatArray, penalty: float) -> FloatArray:
    """Compute the log evidence of a block at all tau, up to a constant.

    Parameters
    ----------
    covariance : ndarray of shape (d, d)
        Of the block's weights at `penalty`, those of the others integrated out.
    w : ndarray of shape (d,)
        Their mode there.
    penalty : float > 0
    """
    variance, basis = eigh(covariance, driver="evd")
    precision = 1 / np.clip(variance, 1e-12 / penalty, 1 / penalty)
    slope, curvature = (basis.T @ w) * precision, precision - penalty
    alphas = _TAUS[:, None] ** -2
    total = curvature + alphas
    return np.asarray(np.sum(slope**2 / total + np.log(alphas / total), axis=1) / 2)


def _step(
    differences: Differences,
    loss: WinLoss,
    margin: FloatArray,
    gram: FloatArray,
    penalties: FloatArray,
    w: FloatArray,
) -> tuple[FloatArray, tuple[FloatArray, bool]]:
    """Take a step towards the mode, with the mean curvature of all wins for each."""
    weight = differences.weight
    logit = differences.times(w.astype(np.float32)[:, None])[:, 0] - margin
    _, slope, curvature = loss.evaluate(logit.astype(np.float64))
    gradient = differences.gather((weight * slope).astype(np.float32)[:, None])[:, 0]
    level = max(float(weight @ curvature / weight.sum()), 1e-3)
    hessian = level * gram
    floor = 0.0
    while True:
        hessian[np.diag_indices_from(hessian)] = level * np.diagonal(gram) + (
            penalties + floor
        )
        try:
            factor = cho_factor(hessian, lower=True)
        except LinAlgError:
            floor = max(10 * floor, 1e-6 * float(np.trace(gram)) / len(gram))
            continue
        break
    return w - cho_solve(factor, gradient + penalties * w), factor
