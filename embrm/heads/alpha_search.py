"""Choose the penalty of the linear head by grouped cross-validation.

A penalty is spoken of as a prior: with penalty alpha the difference of two items has,
before any comparison is seen, standard deviation tau = sqrt(E ||x_1 - x_2||^2 / alpha)
nats on average. That is the same number whatever the scale of the vectors, their
dimension and the number of pairs, so one grid of tau serves all data.
"""

from dataclasses import dataclass

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear_training import (
    LinearProblem,
    mean_square_difference,
    minimise,
)
from embrm.heads.validation_split import grouped_folds

STRONG_PRIOR = 1.0
"""Prior standard deviation of a delta, in nats, where there is too little to choose."""

_PRIORS = np.geomspace(0.03, 30.0, 13)
_N_FOLDS = 5
_FEWEST_HELD_OUT = 20
_PATIENCE = 3
_TOLERANCE = 1e-3
_MAX_ITER = 30


@dataclass(frozen=True, eq=False)
class AlphaSearch:
    """What was tried and chosen.

    Attributes
    ----------
    alpha : float
        The strongest penalty within one standard error of the least held-out loss.
    alphas : ndarray of shape (n_tried,)
        Descending; empty where there was too little data to choose.
    held_out_loss : ndarray of shape (n_tried,)
        Mean held-out log loss of a win, in nats.
    """

    alpha: float
    alphas: FloatArray
    held_out_loss: FloatArray


def search_alpha(comparisons: Comparisons, problem: LinearProblem) -> AlphaSearch:
    """Choose the penalty by held-out log loss, from strong to weak.

    Folds are by prompt group with both items held out (see `validation_split`). The
    path starts at the strongest penalty, each fit starts from the last one, and the
    search ends when the loss has not improved three times in a row. The choice is the
    strongest penalty whose loss is within one standard error of the least, since
    noisy labels make the minimum shallow and too weak a penalty costs more order
    consistency than too strong a one [1]_. With fewer than 20 held-out wins the
    penalty is that of `STRONG_PRIOR`.

    References
    ----------
    .. [1] Breiman, Friedman, Olshen, Stone (1984). Classification and regression
       trees, section 3.4.3: the one-standard-error rule.
    """
    folds = grouped_folds(comparisons, _N_FOLDS)
    square = mean_square_difference(problem)
    if sum(int(validation.sum()) for _, validation in folds) < _FEWEST_HELD_OUT:
        return AlphaSearch(square / STRONG_PRIOR**2, np.empty(0), np.empty(0))
    parts = [(problem.take(train), problem.take(held)) for train, held in folds]
    weight = np.concatenate([held.weight for _, held in parts])
    starts: list[FloatArray] = [np.zeros(len(problem.curvature)) for _ in parts]
    alphas = square / _PRIORS**2
    losses = list[FloatArray]()
    means = list[float]()
    for alpha in alphas:
        for k, (train, _) in enumerate(parts):
            starts[k], _, _ = minimise(
                train, float(alpha), starts[k], tol=_TOLERANCE, max_iter=_MAX_ITER
            )
        leads = [h.delta(w) - h.margin for (_, h), w in zip(parts, starts, strict=True)]
        losses.append(np.logaddexp(0.0, -np.concatenate(leads)))
        means.append(float(np.average(losses[-1], weights=weight)))
        if len(means) - 1 - int(np.argmin(means)) >= _PATIENCE:
            break
    chosen = _strongest_within_one_error(np.array(losses), weight)
    return AlphaSearch(float(alphas[chosen]), alphas[: len(means)], np.array(means))


def _strongest_within_one_error(losses: FloatArray, weight: FloatArray) -> int:
    """Apply the one-standard-error rule; the error is that of a paired difference."""
    means = losses @ weight / weight.sum()
    best = int(np.argmin(means))
    excess = losses - losses[best] - (means - means[best])[:, None]
    error = np.sqrt(excess**2 @ weight) / weight.sum()
    return int(np.argmax(means <= means[best] + error))
