"""PlackettLuce: a linear reward, fitted on rankings of several items."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning

from embrm._typing import FloatArray, LearnsFrom
from embrm.heads.parameters import check_count, check_real
from embrm.heads.unpaired.linear_item_head import LinearItemHead
from embrm.heads.unpaired.plackett_luce_training import (
    fit_rankings,
    make_ranking_problem,
    search_ranking_alpha,
)
from embrm.heads.unpaired.rankings import make_ranked_items

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
        alpha = self._given_alpha()
        max_iter = check_count(self.max_iter, "max_iter", 1)
        tol = check_real(self.tol, "tol", 0.0, open_at_low=True)
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
            tol=tol,
            max_iter=max_iter,
        )
        if not found.converged:
            warnings.warn(
                f"the Plackett-Luce head did not converge in {max_iter} steps; raise "
                "max_iter or alpha",
                ConvergenceWarning,
                stacklevel=2,
            )
        w = found.parameters
        self.coef_ = w if problem.basis is None else problem.basis @ w
        self.offset_ = float(items.mean(axis=0, dtype=np.float64) @ self.coef_)
        self.alpha_, self.n_iter_ = alpha, found.n_iter
        self.alphas_, self.held_out_loss_ = alphas, losses
        self.n_features_in_ = n_features
        self.preprocessor_ = preprocessor
        return self
