r"""The convex problem of the Plackett-Luce head, its fit, and its penalty.

.. math:: F(w) = \sum_i c_i \sum_{j \le n_i} \Bigl( \log \sum_{l \ge j}
          e^{r_{i,l}} - r_{i,j} \Bigr) + \tfrac{\alpha}{2} \lVert w \rVert^2

with :math:`r_{i,l} = w^\top x_{i,l}` the reward of the item in place l of ranking i,
of which :math:`n_i` are in order. At w = 0 stage j, of m items, curves F as pairs of
these items of weight 4 / m^2 would curve the Bradley-Terry loss: so the coordinates and
the grid of penalties are those of the linear head, and equal to them for two items.
"""

from collections.abc import Iterator

import numpy as np

from embrm._typing import AnyArray, FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.problem import (
    LinearProblem,
    make_problem,
    mean_square_difference,
)
from embrm.heads.smooth_minimiser import Minimum, minimise_smooth
from embrm.heads.unpaired.rankings import RankedItems, RankingBlock
from embrm.heads.validation_split import strongest_within_one_error

STRONG_PRIOR = 1.0
"""Prior standard deviation of a delta, in nats, where there is too little to choose."""

_PRIORS = np.geomspace(0.03, 30.0, 13)
_N_FOLDS = 5
_FEWEST_RANKINGS = 10
_PATIENCE = 3
_SMALLEST_CURVATURE = 1e-12


def make_ranking_problem(ranked: RankedItems) -> LinearProblem:
    """Bring the items into coordinates where the problem is well conditioned."""
    edges = [_edges(block) for block in ranked.blocks]
    winner, loser, weight = (
        np.concatenate([edge[k] for edge in edges]) for k in range(3)
    )
    return make_problem(
        Comparisons(ranked.items, winner, loser, np.zeros(len(weight)), weight, None)
    )


def ranking_losses(
    reward: FloatArray, block: RankingBlock
) -> tuple[FloatArray, FloatArray]:
    """Compute minus the log likelihood of each ranking, and its gradient.

    Parameters
    ----------
    reward : ndarray of shape (n_items,)
    block : RankingBlock

    Returns
    -------
    losses : ndarray of shape (n_rankings,), in nats, not weighted
    slopes : ndarray of shape (n_rankings, K)
        Derivative of each loss in the reward of the item in each place.
    """
    placed = reward[block.rows]
    staged = np.arange(placed.shape[1]) < block.n_ranked[:, None]
    # Log-sum-exp of what is left at each stage, from the last place backwards.
    left = np.logaddexp.accumulate(placed[:, ::-1], axis=1)[:, ::-1]
    losses = np.where(staged, left - placed, 0.0).sum(axis=1)
    # exp(r_l) sum_j exp(-left_j) over the stages j that place l has come through.
    come_through = np.logaddexp.accumulate(np.where(staged, -left, -np.inf), axis=1)
    return losses, np.exp(placed + come_through) - staged


def value_and_gradient(
    problem: LinearProblem, blocks: list[RankingBlock], w: FloatArray, alpha: float
) -> tuple[float, FloatArray]:
    """Compute F and its gradient at w."""
    reward, value = problem.items @ w, alpha / 2 * float(w @ w)
    per_item = np.zeros(len(reward))
    for block in blocks:
        losses, slopes = ranking_losses(reward, block)
        value += float(block.weight @ losses)
        weighted = (block.weight[:, None] * slopes).ravel()
        per_item += np.bincount(block.rows.ravel(), weighted, len(reward))
    return value, problem.items.T @ per_item + alpha * w


def fit_rankings(
    problem: LinearProblem,
    blocks: list[RankingBlock],
    alpha: float,
    start: FloatArray,
    *,
    tol: float,
    max_iter: int,
) -> Minimum:
    """Minimise F over the rankings of `blocks`, in the coordinates of `problem`."""
    floor = _SMALLEST_CURVATURE * problem.curvature.max()
    n_stages = sum(float(block.weight @ block.n_ranked) for block in blocks)
    return minimise_smooth(
        lambda w: value_and_gradient(problem, blocks, w, alpha),
        start,
        1.0 / np.sqrt(problem.curvature + alpha + floor),
        small=tol * np.sqrt(n_stages),
        max_iter=max_iter,
    )


def search_ranking_alpha(
    ranked: RankedItems, problem: LinearProblem
) -> tuple[float, FloatArray, FloatArray]:
    """Choose the penalty by cross-validation over rankings, from strong to weak.

    Rankings that share items are held out together where that leaves folds to make.
    The choice is the strongest penalty within one standard error of the least loss.

    Returns
    -------
    alpha : float
    alphas, held_out_loss : ndarray of shape (n_tried,)
        Mean loss of a held-out ranking in nats; empty where there is nothing to choose.
    """
    square = mean_square_difference(problem)
    folds = list(_folds(ranked))
    if len(ranked) < _FEWEST_RANKINGS or len(folds) < 2:
        return square / STRONG_PRIOR**2, np.empty(0), np.empty(0)
    alphas = square / _PRIORS**2
    weight = np.concatenate([b.weight for _, held in folds for b in held])
    losses, means = list[FloatArray](), np.empty(0)
    starts: list[FloatArray] = [np.zeros(len(problem.curvature)) for _ in folds]
    for alpha in alphas:
        held_out = list[FloatArray]()
        for k, (train, held) in enumerate(folds):
            found = fit_rankings(
                problem, train, float(alpha), starts[k], tol=1e-5, max_iter=100
            )
            starts[k] = found.parameters
            reward = problem.items @ found.parameters
            held_out += [ranking_losses(reward, block)[0] for block in held]
        losses.append(np.concatenate(held_out))
        means = np.array(losses) @ weight / weight.sum()
        if len(means) - 1 - int(np.argmin(means)) >= _PATIENCE:
            break
    chosen = strongest_within_one_error(np.array(losses), weight)
    return float(alphas[chosen]), alphas[: len(losses)], means


def _folds(
    ranked: RankedItems,
) -> Iterator[tuple[list[RankingBlock], list[RankingBlock]]]:
    """Divide rankings, largest units first, back and forth over the folds."""
    units = ranked.units()
    sizes = np.bincount(units)
    n_folds = min(_N_FOLDS, len(sizes))
    turn = np.arange(len(sizes)) % (2 * n_folds)
    fold = np.empty(len(sizes), dtype=np.intp)
    fold[np.argsort(-sizes, kind="stable")] = np.minimum(turn, 2 * n_folds - 1 - turn)
    for k in range(n_folds):
        held = fold[units] == k
        if held.any() and not held.all():
            yield ranked.take(~held), ranked.take(held)


def _edges(block: RankingBlock) -> tuple[AnyArray, AnyArray, AnyArray]:
    """List the pairs whose Bradley-Terry loss curves as the rankings do at zero."""
    size = block.rows.shape[1]
    better, worse = np.triu_indices(size, 1)
    places = np.arange(size)
    staged = places < block.n_ranked[:, None]
    through = np.cumsum(np.where(staged, 4.0 / (size - places) ** 2, 0.0), axis=1)
    weight = block.weight[:, None] * through[:, better]
    return block.rows[:, better].ravel(), block.rows[:, worse].ravel(), weight.ravel()
