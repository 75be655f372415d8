r"""How strong the priors of blocks are beside each other, by their evidence.

Each block b of columns has a penalty :math:`\alpha_b` of its own. MacKay's fixed point

.. math:: \alpha_b \leftarrow \frac{\gamma_b}{\lVert w_b \rVert^2}, \qquad
          \gamma_b = d_b - \alpha_b \operatorname{tr} (H^{-1})_{bb}

makes the wins most probable, with w the mode and H the Hessian there [1]_. Labels are
noisier than the model believes, so all penalties together come out too weak. Only
their ratios are used: the level is chosen by what is held out.

References
----------
.. [1] MacKay (1992). Bayesian interpolation. Neural Computation 4.
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.lapack import dpotri

from embrm._typing import FloatArray
from embrm.heads.linear.differences import Differences
from embrm.heads.win_loss import WinLoss

_MOST_ROUNDS = 30
_STEPS = 2
_BOUNDS = (1e-3, 1e7)
_CHANGE = 0.02
"""Relative change of penalties below which they have settled."""


def evidence_penalties(
    differences: Differences,
    loss: WinLoss,
    margin: FloatArray,
    blocks: Sequence[slice],
) -> FloatArray:
    """Find the penalty of each block that makes the wins most probable.

    Parameters
    ----------
    differences : Differences
        Best with blocks of about the same mean square.
    loss : WinLoss
    margin : ndarray of shape (n_wins,)
    blocks : sequence of slice
        Of the columns.

    Returns
    -------
    ndarray of shape (n_blocks,), > 0
        In units in which the differences have a mean square of one.
    """
    gram = differences.gram.astype(np.float64)
    d = len(gram)
    sizes = np.array([part.stop - part.start for part in blocks])
    penalties = np.full(len(blocks), 1.0)
    w: FloatArray = np.zeros(d)
    for _ in range(_MOST_ROUNDS):
        each = np.repeat(penalties, sizes)
        for _ in range(_STEPS):
            w, factor = _step(differences, loss, margin, gram, each, w)
        # dpotri takes the factor of `cho_factor`: its diagonal is that of the inverse.
        variance = np.diagonal(dpotri(factor[0], lower=factor[1])[0])
        new = np.empty_like(penalties)
        for k, part in enumerate(blocks):
            determined = sizes[k] - penalties[k] * float(variance[part].sum())
            square = float(w[part] @ w[part])
            new[k] = max(determined, 1e-3) / max(square, 1e-12)
        new = np.clip(new, *_BOUNDS)
        change = np.abs(np.log(new / penalties)).max()
        penalties = new
        if change < _CHANGE:
            break
    return penalties


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
