"""Choose the penalty of the linear head by grouped cross-validation.

A penalty is spoken of as a prior: with penalty alpha the difference of two items has,
before any comparison is seen, standard deviation tau = sqrt(E ||x_1 - x_2||^2 / alpha)
nats on average. That is the same number whatever the scale of the vectors, their
dimension and the number of pairs, so one grid of tau serves all data.

Held-out wins tell penalties apart only roughly where labels are noisy, or where few
cross-prompt pairs have both prompts held out. So tau has a prior of its own, log-normal
about half a nat, and the choice is the most probable tau given the held-out losses.
That is about the strength that rewards on dense vectors turn out to have; it decides
where the data do not, and is drowned where they do. Over 246 tasks on pools of real
text with made-up gold (`benchmarks/choose_penalty.py`) it orders 0.25 points more than
the strongest penalty within one standard error, with a standard error of 0.05, and
0.05 +- 0.02 points more than the penalty of least loss.
"""

from dataclasses import dataclass, field

import numpy as np

from embrm._typing import BoolArray, FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.coordinates import RotatedCoordinates
from embrm.heads.linear.training import (
    LinearProblem,
    mean_square_difference,
    minimise,
)
from embrm.heads.one_error_rule import strongest_within_one_error
from embrm.heads.validation_split import grouped_folds

STRONG_PRIOR = 1.0
"""Prior standard deviation of a delta, in nats, where there is too little to choose."""

USUAL_PRIOR = 0.5
"""The same, in nats, where nothing is known of the data: median of the prior of tau."""

_SPREAD = 0.7
"""Standard deviation of the logarithm of tau: about a factor of two."""

_PRIORS = np.geomspace(0.03, 30.0, 13)
_N_FOLDS = 5
_FEWEST_HELD_OUT = 20
_MANY_WINS = 20_000
_PATIENCE = 3
_TOLERANCE = 1e-3
_MAX_ITER = 30


@dataclass(frozen=True, eq=False)
class AlphaSearch:
    """What was tried and chosen.

    Attributes
    ----------
    alpha : float
        The most probable penalty given the held-out losses.
    alphas : ndarray of shape (n_tried,)
        Descending; empty where there was too little data to choose.
    held_out_loss : ndarray of shape (n_tried,)
        Mean held-out loss of a win, in nats.
    start : ndarray of shape (k,)
        Weights to start a fit at `alpha` from.
    least_losses, weight : ndarray of shape (n_held_out,)
        Loss of each held-out win at the penalty of least loss, and its weight.
    coordinates : RotatedCoordinates or None
        In which the Hessian of a fit at `alpha` is about one, where that was found.
    """

    alpha: float
    alphas: FloatArray
    held_out_loss: FloatArray
    start: FloatArray
    least_losses: FloatArray = field(default_factory=lambda: np.empty(0))
    weight: FloatArray = field(default_factory=lambda: np.empty(0))
    coordinates: RotatedCoordinates | None = None

    def has_less_loss_than(self, other: "AlphaSearch") -> bool:
        """Compare the least held-out losses of two searches, on the same wins."""
        tried = len(self.held_out_loss) and len(other.held_out_loss)
        return bool(tried and self.held_out_loss.min() < other.held_out_loss.min())

    def is_clearly_worse(self, other: "AlphaSearch") -> bool:
        """Say whether another search has less loss by over one standard error.

        Both must have held out the same wins.
        """
        if not len(self.weight):
            return False
        losses = np.stack([self.least_losses, other.least_losses])
        return strongest_within_one_error(losses, self.weight) == 1


def search_alpha(
    comparisons: Comparisons,
    problem: LinearProblem,
    *,
    square: float | None = None,
    enough: int = 1_500,
) -> AlphaSearch:
    r"""Choose the penalty by held-out loss, from strong to weak.

    Folds are by prompt group with both items held out (see `validation_split`); from
    20,000 wins on, no more of the five are used than hold out `enough`. The
    path starts at the strongest penalty, each fit starts from the last one, and the
    search ends when the choice has not changed three times in a row. It minimises

    .. math:: \sum_i c_i \ell_i(\tau) + \frac{1}{2 s^2} \log^2 \frac{\tau}{\tau_0}

    over held-out wins i, with the median tau_0 and spread s of the prior of tau. With
    fewer than 20 held-out wins the penalty is that of `STRONG_PRIOR`.

    Parameters
    ----------
    comparisons : Comparisons
    problem : LinearProblem
        Made from `comparisons`, in coordinates where the prior is a plain ridge.
    square : float, optional
        E ||x_1 - x_2||^2 of the columns that tau is about; by default all of them.
    enough : int, default=1500
        Held-out wins by which the penalty is chosen where there are many wins.

    Returns
    -------
    AlphaSearch
    """
    folds = _enough_folds(grouped_folds(comparisons, _N_FOLDS), enough)
    square = mean_square_difference(problem) if square is None else square
    nothing = np.empty(0)
    zero: FloatArray = np.zeros(len(problem.curvature))
    if sum(int(held.sum()) for _, held in folds) < _FEWEST_HELD_OUT:
        return AlphaSearch(square / STRONG_PRIOR**2, nothing, nothing, zero)
    parts = [(problem.take(train), problem.take(held)) for train, held in folds]
    weight = np.concatenate([held.weight for _, held in parts])
    alphas = square / _PRIORS**2
    doubt = (np.log(_PRIORS / USUAL_PRIOR) / _SPREAD) ** 2 / 2
    losses, costs = list[FloatArray](), list[float]()
    starts = [zero] * len(parts)
    middles = list[FloatArray]()
    for alpha in alphas:
        pairs = zip(parts, starts, strict=True)
        starts = [_fit(train, float(alpha), start) for (train, _), start in pairs]
        losses.append(_held_out_losses(parts, starts))
        middles.append(np.mean(starts, axis=0))
        costs.append(float(weight @ losses[-1] + doubt[len(costs)]))
        if len(costs) - 1 - int(np.argmin(costs)) >= _PATIENCE:
            break
    chosen = int(np.argmin(costs))
    means = np.array(losses) @ weight / weight.sum()
    tried = alphas[: len(costs)]
    return AlphaSearch(
        float(alphas[chosen]),
        tried,
        means,
        middles[chosen],
        losses[int(np.argmin(means))],
        weight,
    )


def _enough_folds(
    folds: list[tuple[BoolArray, BoolArray]], enough: int
) -> list[tuple[BoolArray, BoolArray]]:
    """Leave out folds beyond those whose held-out wins tell penalties apart."""
    n_held_out = np.cumsum([int(held.sum()) for _, held in folds])
    if not folds or len(folds[0][0]) < _MANY_WINS:
        return folds
    return folds[: int(np.searchsorted(n_held_out, enough)) + 1]


def _held_out_losses(
    parts: list[tuple[LinearProblem, LinearProblem]], fits: list[FloatArray]
) -> FloatArray:
    return np.concatenate(
        [
            held.loss.evaluate(held.delta(w) - held.margin)[0]
            for (_, held), w in zip(parts, fits, strict=True)
        ]
    )


def _fit(problem: LinearProblem, alpha: float, start: FloatArray) -> FloatArray:
    return minimise(problem, alpha, start, tol=_TOLERANCE, max_iter=_MAX_ITER)[0]
