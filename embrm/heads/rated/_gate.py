r"""A gate: which attribute counts how much, given the prompt.

.. math:: g(p) = \mathrm{softmax}(f(p) / T), \qquad
          r(x, p) = s \sum_j g_j(p) \, a_j(x)

with f affine, or a multilayer perceptron with ReLU, of standardised prompt vectors.
All parameters are fitted together by L-BFGS, on distinct prompts and items.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, softmax

from embrm._typing import FloatArray, IntArray
from embrm._validation import check_items, widened
from embrm.exceptions import invalid_input
from embrm.heads.comparisons import Comparisons, make_comparisons
from embrm.heads.rated._regressors import DenseLayers
from embrm.heads.state import HeadState
from embrm.heads.validation_split import grouped_folds, strongest_within_one_error
from embrm.heads.win_loss import log_loss
from embrm.pairs import Pairs, distinct_rows

BIAS_SPREAD = 2.0
"""Prior standard deviation of f / T at the mean prompt."""

_LOG_FACTORS = (-8.0, 8.0)


@dataclass(frozen=True, eq=False)
class Gate(DenseLayers):
    """A fitted gate; its inputs are the prompt vectors.

    Attributes
    ----------
    temperature : float
    log_factor : float
        log s.
    """

    temperature: float
    log_factor: float

    def __call__(self, prompt_vectors: FloatArray) -> FloatArray:
        """Weigh the attributes, (n_prompts, d_p) -> (n_prompts, k), rows of sum 1."""
        return self.activations((prompt_vectors - self.mean) / self.scale)[-1]

    def activations(self, prompts: FloatArray) -> list[FloatArray]:
        """Compute what goes into each layer, and the softmax of the last."""
        *inputs, last = self.flow(prompts)
        return [*inputs, softmax(last / self.temperature, axis=1)]

    def mix(self, weights: FloatArray, attributes: FloatArray) -> FloatArray:
        """Compute the reward of items, s times the weighted sum of attributes."""
        mixed = np.einsum("ij,ij->i", weights, attributes)
        return np.asarray(np.exp(self.log_factor) * mixed)

    def vector(self) -> FloatArray:
        """Write all parameters as one vector."""
        parts = [part.ravel() for part in (*self.weights, *self.biases)]
        return np.concatenate([*parts, [self.log_factor]])

    def with_vector(self, vector: FloatArray) -> "Gate":
        """Read all parameters from one vector."""
        arrays, start = list[FloatArray](), 0
        for like in (*self.weights, *self.biases):
            arrays.append(vector[start : start + like.size].reshape(like.shape))
            start += like.size
        n = len(self.weights)
        return replace(
            self,
            weights=arrays[:n],
            biases=arrays[n:],
            log_factor=float(vector[-1]),
        )

    def get_state(self) -> HeadState:
        """Return the gate in storable form."""
        own = {"temperature": self.temperature, "log_factor": self.log_factor}
        return super().get_state() | HeadState(values=own)

    @classmethod
    def from_state(cls, state: HeadState, **more: Any) -> Self:
        """Rebuild the gate that `get_state` described."""
        own = {n: state.value(n, float) for n in ("temperature", "log_factor")}
        return super().from_state(state, **own, **more)


@dataclass(frozen=True, eq=False)
class GateProblem:
    """What a gate is fitted to.

    Attributes
    ----------
    prompts : ndarray of shape (n_prompts, d_p)
        Distinct and standardised.
    attributes : ndarray of shape (n_items, k)
    prompt : ndarray of int of shape (n_items,)
        Which prompt each item answers.
    wins : Comparisons
        Of these items; its own vectors are not used.
    """

    prompts: FloatArray
    attributes: FloatArray
    prompt: IntArray
    wins: Comparisons

    def logits(self, gate: Gate) -> FloatArray:
        """Compute delta minus margin of each win, in nats."""
        weights = gate.activations(self.prompts)[-1]
        reward = gate.mix(weights[self.prompt], self.attributes)
        wins = self.wins
        return np.asarray(reward[wins.winner] - reward[wins.loser] - wins.margin)

    def loss(
        self, gate: Gate, initial: Gate, penalty: float
    ) -> tuple[float, FloatArray]:
        """Compute the penalised log loss and its gradient in all parameters."""
        flow = gate.activations(self.prompts)
        weights, factor = flow[-1], np.exp(gate.log_factor)
        mixed = np.einsum("ij,ij->i", weights[self.prompt], self.attributes)
        wins, n_items = self.wins, len(mixed)
        logit = factor * (mixed[wins.winner] - mixed[wins.loser]) - wins.margin
        slope = -wins.weight * expit(-logit)
        per_item = np.bincount(wins.winner, slope, n_items)
        per_item -= np.bincount(wins.loser, slope, n_items)
        to_weights = np.stack(
            [
                np.bincount(self.prompt, per_item * column, len(weights))
                for column in self.attributes.T
            ],
            axis=1,
        )
        inner = np.einsum("ij,ij->i", weights, to_weights)[:, None]
        back = factor / gate.temperature * weights * (to_weights - inner)
        value = log_loss(logit, wins.weight) + gate.log_factor**2 / 2
        to_factor = factor * float(per_item @ mixed) + gate.log_factor
        prior = _prior(initial, penalty)
        return _with_prior(gate, prior, flow, back, value, to_factor)


def fit_gate(
    problem: GateProblem, initial: Gate, start: Gate, penalty: float, max_iter: int
) -> Gate:
    r"""Minimise the log loss of wins plus a Gaussian prior on the gate, by L-BFGS.

    Parameters
    ----------
    problem : GateProblem
    initial : Gate
        From `initial_gate`; weights are drawn towards its weights, so hidden layers
        stay as diverse as they were made.
    start : Gate
        Where L-BFGS starts.
    penalty : float, > 0
        Of the last layer's weights, :math:`\tfrac{\alpha}{2} \lVert W \rVert^2`.
        Hidden layers have the variance that they were drawn with, log s that of a
        standard normal.
    max_iter : int

    Returns
    -------
    Gate
    """

    def loss(vector: FloatArray) -> tuple[float, FloatArray]:
        return problem.loss(start.with_vector(vector), initial, penalty)

    vector = start.vector()
    free: list[tuple[float | None, float | None]] = [(None, None)] * (len(vector) - 1)
    found = minimize(
        loss,
        vector,
        jac=True,
        method="L-BFGS-B",
        bounds=[*free, _LOG_FACTORS],
        options={"maxiter": max_iter, "ftol": 1e-12, "gtol": 1e-6},
    )
    return start.with_vector(found.x)


def initial_gate(
    mean: FloatArray,
    scale: FloatArray,
    sizes: tuple[int, ...],
    temperature: float,
    rng: np.random.Generator,
) -> Gate:
    """Make a gate with equal weights of attributes; hidden layers are random.

    Parameters
    ----------
    mean, scale : ndarray of shape (d_p,)
    sizes : tuple of int
        d_p, the units of each hidden layer, k.
    temperature : float, > 0
    rng : numpy.random.Generator

    Returns
    -------
    Gate
    """
    weights: list[FloatArray] = [
        rng.normal(0.0, np.sqrt(2 / n_in), (n_in, n_out))
        for n_in, n_out in pairwise(sizes[:-1])
    ]
    weights.append(np.zeros(sizes[-2:]))
    biases: list[FloatArray] = [np.zeros(n_out) for n_out in sizes[1:]]
    return Gate(mean, scale, weights, biases, temperature, 0.0)


def _prior(initial: Gate, penalty: float) -> list[tuple[FloatArray, float]]:
    """List the centre and the stiffness of each layer's weights."""
    stiffness = [len(weight) / 2 for weight in initial.weights[:-1]]
    return list(zip(initial.weights, [*stiffness, penalty], strict=True))


def _with_prior(
    gate: Gate,
    prior: list[tuple[FloatArray, float]],
    flow: list[FloatArray],
    back: FloatArray,
    value: float,
    to_factor: float,
) -> tuple[float, FloatArray]:
    """Add the prior, and carry the gradient back through the layers."""
    to_weights, to_biases = list[FloatArray](), list[FloatArray]()
    for n in reversed(range(len(gate.weights))):
        centre, stiffness = prior[n]
        away = gate.weights[n] - centre
        value += stiffness / 2 * float(np.sum(away**2))
        to_weights.insert(0, flow[n].T @ back + stiffness * away)
        to_biases.insert(0, back.sum(axis=0))
        back = (back @ gate.weights[n].T) * (flow[n] > 0)
    last = gate.biases[-1]
    stiffness = 1.0 / (BIAS_SPREAD * gate.temperature) ** 2
    value += stiffness / 2 * float(last @ last)
    to_biases[-1] = to_biases[-1] + stiffness * last
    parts = [part.ravel() for part in (*to_weights, *to_biases)]
    return value, np.concatenate([*parts, [to_factor]])


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
        Empty with too few wins to choose.
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
        logits = []
        for n, (train, held) in enumerate(folds):
            part = replace(problem, wins=problem.wins.take(train))
            gates[n] = _fit(part, start, gates[n], float(candidate), _SEARCH_ITER)
            part = replace(problem, wins=problem.wins.take(held))
            logits.append(part.logits(gates[n]))
        losses.append(np.logaddexp(0.0, -np.concatenate(logits)))
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


def make_prompted_wins(
    pairs: Any,
    prompt_vectors: Any,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    margin: ArrayLike | None = None,
) -> tuple[Comparisons, FloatArray, IntArray]:
    """Bring pairs and the vectors of their prompts into canonical form.

    An item is what it is together with its prompt: equal vectors under different
    prompts are two items.

    Parameters
    ----------
    pairs : Pairs
        With `prompt_ids` that are rows of `prompt_vectors`.
    prompt_vectors : array-like of shape (n_prompts, d_p)
    y, sample_weight, margin : array-like of shape (n_pairs,), optional
        As in `RewardHead.fit`.

    Returns
    -------
    wins : Comparisons
    prompts : ndarray of shape (n_used, d_p), float64
        Distinct prompt vectors.
    prompt : ndarray of int of shape (n_items,)
        Row of `prompts` for each item of the wins.

    Raises
    ------
    InvalidInputError
        If the pairs have no prompt ids, or these are no rows of `prompt_vectors`.
    """
    table = check_items(prompt_vectors, finite=False)
    if not isinstance(pairs, Pairs):
        raise invalid_input(
            expected="Pairs with prompt_ids that are rows of prompt_vectors",
            got=type(pairs).__name__,
            fix="pass Pairs(items, ids, prompt_ids)",
        )
    rows, ids = pairs.unique_items()
    d = pairs.shape[2]
    used = prompt_rows(pairs, table)[rows]
    parts = [widened(pairs.items[rows]), widened(table[used])]
    both = Pairs(np.hstack(parts), ids, prompt_ids=used)
    wins = make_comparisons(both, y, sample_weight, margin)
    joined = wins.items
    kept, prompt = distinct_rows(np.ascontiguousarray(joined[:, d:]))
    prompts = joined[kept, d:].astype(np.float64)
    return replace(wins, items=np.ascontiguousarray(joined[:, :d])), prompts, prompt


def prompt_rows(pairs: Pairs, table: FloatArray) -> IntArray:
    """Read the prompt ids of pairs as rows of a table of prompt vectors."""
    prompts = pairs.prompt_ids
    whole = prompts is not None and prompts.dtype.kind in "iu"
    if prompts is None or not whole:
        raise invalid_input(
            expected="integer prompt_ids, which are rows of prompt_vectors",
            got="none" if prompts is None else f"dtype {prompts.dtype}",
            fix="number the prompts in the order of prompt_vectors",
        )
    bad = (prompts < 0) | (prompts >= len(table))
    if bad.any():
        at = int(np.argmax(bad))
        raise invalid_input(
            expected=f"prompt_ids in [0, {len(table)}), the rows of prompt_vectors",
            got=f"{int(prompts[at])} at item {at}",
            fix="pass one prompt vector for every prompt id",
        )
    return prompts
