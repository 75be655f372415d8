r"""PlackettLuce: a linear reward, fitted on rankings of several items.

The convex problem of the Plackett-Luce head, its fit, and its penalty.

.. math:: F(w) = \sum_i c_i \sum_{j \le n_i} \Bigl( \log \sum_{l \ge j}
          e^{r_{i,l}} - r_{i,j} \Bigr) + \tfrac{\alpha}{2} \lVert w \rVert^2

with :math:`r_{i,l} = w^\top x_{i,l}` the reward of the item in place l of ranking i,
of which :math:`n_i` are in order. At w = 0 stage j, of m items, curves F as pairs of
these items of weight 4 / m^2 would curve the Bradley-Terry loss: so the coordinates and
the grid of penalties are those of the linear head, and equal to them for two items.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, FloatArray, LearnsFrom
from embrm._validation import Constraints, Integer, Real, unless_auto
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.problem import (
    LinearProblem,
    make_problem,
    mean_square_difference,
)
from embrm.heads.unpaired._linear_item_head import LinearItemHead
from embrm.heads.unpaired._rankings import RankedItems, RankingBlock, make_ranked_items
from embrm.heads.validation_split import balanced_folds, strongest_within_one_error
from embrm.heads.win_loss import Minimum, minimise_smooth, warn_unless

_NOT_TRIED: FloatArray = np.empty(0)


class PlackettLuce(LinearItemHead):
    r"""Linear reward :math:`r(x) = w^\top (x - \bar x)` from rankings, in nats.

    A ranking is a sequence of choices: the best of all, the best of the rest, and so
    on [1]_ [2]_. Minimises, over rankings i of items :math:`x_{i,1}, x_{i,2}, \ldots`,
    best first, of which the first :math:`n_i` are in order,

    .. math:: \sum_i c_i \sum_{j \le n_i} \Bigl( \log \sum_{l \ge j}
              e^{r(x_{i,l})} - r(x_{i,j}) \Bigr)
              + \tfrac{\alpha}{2} \lVert w \rVert^2

    For rankings of two this is `LinearBradleyTerry`, of which it has the penalty and
    the scale. Rewards have mean 0 over the distinct training items.

    Parameters
    ----------
    alpha : float > 0 or "auto", default="auto"
        Penalty, in the units of 1 / w^2. "auto" chooses by five-fold cross-validation
        over rankings (those that share items together, where they fall into several
        sets): the strongest penalty within one standard error of the least loss. With
        fewer than 10 rankings it takes the penalty under which deltas have a prior
        standard deviation of 1 nat.
    preprocessor : scikit-learn transformer, optional
        Acts on items.
    max_iter : int, default=1000
        Largest number of L-BFGS steps.
    tol : float, default=1e-10
        Relative size of the gradient at which the fit ends.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        w, on preprocessed items.
    offset_ : float
        :math:`w^\top \bar x`.
    alpha_ : float
    alphas_, held_out_loss_ : ndarray of shape (n_tried,)
        Penalties tried by "auto", with the held-out loss of a ranking in nats; may be
        empty.
    n_iter_ : int
    n_features_in_ : int
    preprocessor_ : fitted transformer or None

    References
    ----------
    .. [1] Luce (1959). Individual choice behavior: a theoretical analysis. Wiley.
    .. [2] Plackett (1975). The analysis of permutations. Journal of the Royal
       Statistical Society C 24.

    Examples
    --------
    >>> import numpy as np
    >>> items = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> head = PlackettLuce(alpha=1.0).fit(items, [[3, 1, 0], [2, 1, 0], [3, 2]])
    >>> head.reward(items).round(2)
    array([-1.85, -0.62,  0.62,  1.85])
    """

    learns_from: ClassVar[LearnsFrom] = "rankings"

    _constraints: ClassVar[Constraints] = {
        **LinearItemHead._constraints,
        "max_iter": [Integer(1)],
        "tol": [Real(closed="neither")],
    }

    def __init__(
        self,
        alpha: float | Literal["auto"] = "auto",
        *,
        preprocessor: Any = None,
        max_iter: int = 1000,
        tol: float = 1e-10,
    ) -> None:
        super().__init__(alpha, preprocessor=preprocessor)
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self,
        X: Any,
        rankings: Sequence[ArrayLike],
        *,
        n_ranked: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the reward to rankings.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
        rankings : sequence of array-like of int
            Rows of X, best first, two or more each; a matrix if all are as long. Ties
            are refused.
        n_ranked : int or array-like of int of shape (n_rankings,), optional
            For rankings of the top only: how many are in order. The rest of the
            ranking lost to these, in no order. None means all.
        sample_weight : array-like of shape (n_rankings,), >= 0, optional
            Weight k equals k copies of the ranking; weight 0 equals its removal.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            On a wrong shape, dtype or range, a tie, NaN or infinity.
        """
        self._check_parameters()
        alpha = unless_auto(self.alpha)
        ranked = make_ranked_items(X, rankings, n_ranked, sample_weight)
        n_features = ranked.items.shape[1]
        preprocessor, items = self._fit_preprocessor(ranked.items)
        ranked = replace(ranked, items=items)
        problem = make_ranking_problem(ranked)
        alphas = losses = _NOT_TRIED
        if alpha is None:
            alpha, alphas, losses = search_ranking_alpha(ranked, problem)
        found = fit_rankings(
            problem,
            ranked.blocks,
            alpha,
            np.zeros(len(problem.curvature)),
            tol=self.tol,
            max_iter=self.max_iter,
        )
        warn_unless(found.converged, "the Plackett-Luce head", self.max_iter)
        w = found.parameters
        self.coef_ = w if problem.basis is None else problem.basis @ w
        self.offset_ = float(items.mean(axis=0, dtype=np.float64) @ self.coef_)
        self.alpha_, self.n_iter_ = alpha, found.n_iter
        self.alphas_, self.held_out_loss_ = alphas, losses
        self.n_features_in_ = n_features
        self.preprocessor_ = preprocessor
        return self


STRONG_PRIOR = 1.0
"""Prior standard deviation of a delta, in nats, with too few rankings to choose."""

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
    fold = balanced_folds(sizes, n_folds)
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
