r"""Fit the parameters of how labels come about, beside the weights: ties and flips.

A tie parameter is profiled: F is convex in weights and parameter together, so that its
minimum over the weights is convex in the parameter, and the derivative of that minimum
is the partial derivative there. A flip rate common to all is chosen by evidence.
Rates of annotators are fitted in turn with the weights, which is the EM algorithm of
[1]_ with the weights of a reward in place of the true classes, each step done exactly.

References
----------
.. [1] Raykar, Yu, Zhao, Valadez, Florin, Bogoni, Moy (2010). Learning from crowds.
   Journal of Machine Learning Research 11.
"""

import warnings
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from embrm._typing import FloatArray, IntArray
from embrm.exceptions import EmbrmWarning, InvalidInputError, three_parts
from embrm.heads.linear.alpha_search import log_evidence
from embrm.heads.linear.training import LinearProblem, minimise
from embrm.heads.linear.win_loss import (
    DavidsonLoss,
    FlippedLoss,
    LogisticLoss,
    ProbitLoss,
    RaoKupperLoss,
    TieLoss,
)

HIGHEST_RATE = 0.49
"""Above one half a flipped label is the truer one."""

_COARSE_RATES = np.array([0.0, 0.1, 0.2, 0.3, 0.4, HIGHEST_RATE])
_LIKELY = 1.92
"""Half the 95% point of chi square with one degree of freedom, in nats."""

_TOO_WIDE = 0.3
_TO_THE_USER = 6
_TOLERANCE = 1e-7
_MAX_ITER = 100
_MOST_TURNS = 200
_SMALL_CHANGE = 1e-5
_FURTHEST = 40.0


def first_tie_loss(kind: str, tied: FloatArray, weight: FloatArray) -> TieLoss:
    """Make a tie model whose share of ties between equals is that of the data.

    Raises
    ------
    InvalidInputError
        If everything is a tie.
    """
    share = float(np.average(tied, weights=weight))
    if share >= 1 - 1e-9:
        raise InvalidInputError(
            three_parts(
                expected="some pair that is not a tie",
                got=f"{len(tied)} halves of ties and nothing else",
                cure="use ties=None, which counts a tie as half a win each way",
            )
        )
    if kind == "rao-kupper":
        return RaoKupperLoss(tied, float(2 * np.arctanh(share)))
    return DavidsonLoss(tied, float(np.log(2 * share / (1 - share))))


def fit_tie_parameter(
    problem: LinearProblem, first: TieLoss, alpha: float, start: FloatArray
) -> tuple[TieLoss, FloatArray]:
    """Minimise F over the weights and the tie parameter.

    Parameters
    ----------
    problem : LinearProblem
    first : RaoKupperLoss or DavidsonLoss
        With the parameter to start from.
    alpha : float >= 0
    start : ndarray of shape (k,)

    Returns
    -------
    loss : RaoKupperLoss or DavidsonLoss
    w : ndarray of shape (k,)
    """
    found = {"w": start}

    def at(position: float) -> TieLoss:
        # The threshold of Rao and Kupper is positive: search its logarithm.
        is_log = isinstance(first, RaoKupperLoss)
        return first.with_parameter(float(np.exp(position)) if is_log else position)

    def slope(position: float) -> float:
        loss = at(position)
        here = replace(problem, loss=loss)
        found["w"], _, _ = minimise(
            here, alpha, found["w"], tol=_TOLERANCE, max_iter=_MAX_ITER
        )
        lead = here.delta(found["w"]) - here.margin
        return float(here.weight @ loss.slope_in_parameter(lead))

    origin = (
        float(np.log(first.eta)) if isinstance(first, RaoKupperLoss) else first.kappa
    )
    low, high, step = origin, origin, 0.5
    while slope(low) > 0 and origin - low < _FURTHEST:
        low, step = low - step, 2 * step
    step = 0.5
    while slope(high) < 0 and high - origin < _FURTHEST:
        high, step = high + step, 2 * step
    crosses = low < high and slope(low) < 0 < slope(high)
    position = brentq(slope, low, high, xtol=1e-9, rtol=1e-10) if crosses else origin
    slope(position)
    return at(position), found["w"]


def fit_common_rate(
    problem: LinearProblem,
    alpha: float,
    start: FloatArray,
    clean: LogisticLoss | ProbitLoss,
) -> tuple[float, FloatArray]:
    """Choose the flip rate that makes the labels likeliest.

    Parameters
    ----------
    problem : LinearProblem
    alpha : float >= 0
    start : ndarray of shape (k,)
    clean : WinLoss
        Loss of labels that are not flipped.

    Returns
    -------
    rate : float in [0, 1/2)
    w : ndarray of shape (k,)
    """
    found = {"w": start}

    def cost(rate: float) -> float:
        here = replace(problem, loss=FlippedLoss(clean, float(rate)))
        found["w"], _, _ = minimise(
            here, alpha, found["w"], tol=_TOLERANCE, max_iter=_MAX_ITER
        )
        if alpha == 0.0:
            value, _, _ = here.loss.evaluate(here.delta(found["w"]) - here.margin)
            return float(here.weight @ value)
        return -log_evidence(here, found["w"], alpha)

    costs = np.array([cost(rate) for rate in _COARSE_RATES])
    best = int(np.argmin(costs))
    likely = _COARSE_RATES[costs < costs[best] + _LIKELY]
    if np.ptp(likely) >= _TOO_WIDE:
        warnings.warn(
            f"the flip rate is not identified by these pairs: rates from "
            f"{likely.min():g} to {likely.max():g} explain them about as well, with "
            "rewards of another scale; pass noise=<rate> if you know it",
            EmbrmWarning,
            stacklevel=_TO_THE_USER,
        )
    bounds = (_COARSE_RATES[max(best - 1, 0)], _COARSE_RATES[1:][min(best, 4)])
    finer = minimize_scalar(
        cost, bounds=bounds, method="bounded", options={"xatol": 1e-4}
    )
    rate = float(finer.x) if finer.fun < costs[best] else float(_COARSE_RATES[best])
    cost(rate)
    return rate, found["w"]


def fit_rates(
    problem: LinearProblem,
    alpha: float,
    start: FloatArray,
    clean: LogisticLoss | ProbitLoss,
    annotator: IntArray,
    first: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Fit a flip rate for each annotator, in turn with the weights.

    Parameters
    ----------
    problem : LinearProblem
    alpha : float >= 0
    start : ndarray of shape (k,)
    clean : WinLoss
    annotator : ndarray of int of shape (n_wins,)
    first : ndarray of shape (n_annotators,)
        Rates to start from.

    Returns
    -------
    rates : ndarray of shape (n_annotators,)
    w : ndarray of shape (k,)
    """
    rates, w = first, start
    for _ in range(_MOST_TURNS):
        here = replace(problem, loss=FlippedLoss(clean, rates[annotator]))
        w, _, _ = minimise(here, alpha, w, tol=_TOLERANCE, max_iter=_MAX_ITER)
        right = np.exp(-clean.evaluate(here.delta(w) - here.margin)[0])
        old, rates = rates, best_rates(right, problem.weight, annotator, len(rates))
        if np.max(np.abs(rates - old)) < _SMALL_CHANGE:
            break
    return rates, w


def best_rates(
    right: FloatArray, weight: FloatArray, annotator: IntArray, n_annotators: int
) -> FloatArray:
    """Maximise each annotator's likelihood over the rate, by bisection.

    Parameters
    ----------
    right : ndarray of shape (n_wins,)
        Probability of each win without flips.
    weight, annotator : ndarray of shape (n_wins,)
    n_annotators : int

    Returns
    -------
    ndarray of shape (n_annotators,), in [0, 0.49]
    """
    low, high = np.zeros(n_annotators), np.full(n_annotators, HIGHEST_RATE)
    # The likelihood is concave in the rate: its slope falls.
    for _ in range(40):
        middle = (low + high) / 2
        probability = middle[annotator] * (1 - 2 * right) + right
        slope = np.bincount(
            annotator,
            weight * (1 - 2 * right) / np.maximum(probability, 1e-300),
            n_annotators,
        )
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    return np.asarray((low + high) / 2)
