"""Choose how freely a gate may follow the prompt, by grouped cross-validation."""

from dataclasses import dataclass, replace

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.rated.gate import Gate, GateProblem, fit_gate
from embrm.heads.validation_split import grouped_folds, strongest_within_one_error

_PRIORS = np.array([0.1, 0.3, 1.0, 3.0])
"""Prior standard deviations of f / T, the logit of an attribute."""

_BLIND_PRIOR = 0.3
_N_FOLDS = 5
_FEWEST_HELD_OUT = 20
_SEARCH_ITER = 50


@dataclass(frozen=True, eq=False)
class GateSearch:
    """What was tried and chosen.

    Attributes
    ----------
    gate : Gate
        Fitted to all wins.
    alpha : float
        Penalty of its last layer; infinite where it ignores the prompt.
    alphas, held_out_loss : ndarray of shape (n_tried,)
        Descending from infinity, with the mean held-out log loss of a win, in nats.
        Empty where there was nothing, or too little, to choose from.
    """

    gate: Gate
    alpha: float
    alphas: FloatArray
    held_out_loss: FloatArray


def search_gate(
    problem: GateProblem, start: Gate, *, alpha: float | None, max_iter: int
) -> GateSearch:
    """Fit a gate with the given penalty, or with the best on held-out prompts.

    Tries the gate that ignores the prompt, then ever freer ones, each started from
    the last; takes the strongest penalty within one standard error of the least
    log loss, as the linear head does.

    Parameters
    ----------
    problem : GateProblem
    start : Gate
        From `initial_gate`.
    alpha : float, > 0 or infinite, optional
    max_iter : int
        Of L-BFGS, in the last fit.

    Returns
    -------
    GateSearch
    """
    n_in = len(start.weights[-1])
    alphas = np.concatenate([[np.inf], n_in / (_PRIORS * start.temperature) ** 2])
    folds = grouped_folds(problem.wins, _N_FOLDS) if alpha is None else []
    n_held_out = sum(int(held.sum()) for _, held in folds)
    if n_held_out < _FEWEST_HELD_OUT:
        blind = n_in / (_BLIND_PRIOR * start.temperature) ** 2
        given = blind if alpha is None else alpha
        gate = _fit(problem, start, start, given, max_iter)
        return GateSearch(gate, given, np.empty(0), np.empty(0))
    losses = []
    gates = [start] * len(folds)
    weight = np.concatenate([problem.wins.weight[held] for _, held in folds])
    for candidate in alphas:
        leads = []
        for n, (train, held) in enumerate(folds):
            part = replace(problem, wins=problem.wins.take(train))
            gates[n] = _fit(part, start, gates[n], float(candidate), _SEARCH_ITER)
            part = replace(problem, wins=problem.wins.take(held))
            leads.append(part.leads(gates[n]))
        losses.append(np.logaddexp(0.0, -np.concatenate(leads)))
    chosen = strongest_within_one_error(np.array(losses), weight)
    means = np.array(losses) @ weight / weight.sum()
    best = float(alphas[chosen])
    gate = _fit(problem, start, start, best, max_iter)
    return GateSearch(gate, best, alphas, means)


def _fit(
    problem: GateProblem, initial: Gate, start: Gate, alpha: float, max_iter: int
) -> Gate:
    if np.isfinite(alpha):
        return fit_gate(problem, initial, start, alpha, max_iter)
    # A single input that is always zero leaves the last bias to be fitted.
    last = np.zeros((1, len(start.biases[-1])))
    blind = replace(start, weights=[last], biases=start.biases[-1:])
    no_prompts = replace(problem, prompts=np.zeros((len(problem.prompts), 1)))
    fitted = fit_gate(no_prompts, blind, blind, 1.0, max_iter)
    return replace(
        start,
        weights=[*start.weights[:-1], np.zeros_like(start.weights[-1])],
        biases=[*start.biases[:-1], *fitted.biases],
        log_factor=fitted.log_factor,
    )
