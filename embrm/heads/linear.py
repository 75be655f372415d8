"""LinearBradleyTerry: a linear reward, fitted by penalised maximum likelihood."""

import warnings
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from embrm._typing import FloatArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.alpha_search import AlphaSearch, search_alpha
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear_training import make_problem, minimise
from embrm.heads.parameters import check_count, check_real
from embrm.heads.state import HeadState


class LinearBradleyTerry(RewardHead):
    r"""Linear reward :math:`r(x) = w^\top (x - \bar x)`, in nats.

    Minimises, over wins i of a winner over a loser,

    .. math:: \sum_i c_i \, \mathrm{softplus}(-(r(\text{winner}_i)
              - r(\text{loser}_i) - m_i)) + \tfrac{\alpha}{2} \lVert w \rVert^2

    with :math:`c_i` the weight and :math:`m_i` the margin of the win. The sum is not
    divided by the number of wins, so a pair of weight k counts as k copies. There is
    no intercept: it cancels in every comparison. Rewards have mean 0 over the
    distinct training items.

    Parameters
    ----------
    alpha : float >= 0 or "auto", default="auto"
        Penalty, in the units of 1 / w^2. "auto" chooses by five-fold
        cross-validated log loss with whole prompt groups held out (connected
        components where prompts are unknown): the strongest penalty within one
        standard error of the best. With fewer than 20 held-out wins it takes the
        penalty under which deltas have a prior standard deviation of 1 nat.
    preprocessor : scikit-learn transformer, optional
        Acts on items.
    max_iter : int, default=100
        Largest number of Newton steps.
    tol : float, default=1e-8
        Relative size of the gradient at which the fit ends.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        w, on preprocessed items.
    offset_ : float
        :math:`w^\top \bar x`, which rewards are centred by.
    alpha_ : float
        The penalty used.
    alphas_, held_out_loss_ : ndarray of shape (n_tried,)
        Penalties tried by "auto", with the held-out log loss of each; may be empty.
    n_iter_ : int

    Notes
    -----
    Solved by Newton's method in the eigenbasis of the Hessian at zero; deterministic.
    Separable data have a finite solution for every alpha > 0; with alpha = 0 the fit
    ends when the gradient is small. The model is that of [1]_, with items described
    by vectors; in the absence of a penalty and for one-hot items it is [1]_ itself.

    References
    ----------
    .. [1] Bradley, Terry (1952). Rank analysis of incomplete block designs: I. The
       method of paired comparisons. Biometrika 39.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads import LinearBradleyTerry
    >>> items = np.array([[0.0], [1.0], [2.0]])
    >>> head = LinearBradleyTerry(alpha=0.1).fit(Pairs(items, [[1, 0], [2, 1]]))
    >>> head.reward(items).round(2)
    array([-2.13,  0.  ,  2.13])
    """

    def __init__(
        self,
        alpha: float | Literal["auto"] = "auto",
        *,
        preprocessor: Any = None,
        max_iter: int = 100,
        tol: float = 1e-8,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol

    def _fit(self, comparisons: Comparisons) -> None:
        alpha = _check_alpha(self.alpha)
        tol = check_real(self.tol, "tol", 0.0, open_at_low=True)
        max_iter = check_count(self.max_iter, "max_iter", 1)
        problem = make_problem(comparisons)
        search = (
            search_alpha(comparisons, problem)
            if alpha is None
            else AlphaSearch(alpha, np.empty(0), np.empty(0))
        )
        w, self.n_iter_, converged = minimise(
            problem,
            search.alpha,
            np.zeros(len(problem.curvature)),
            tol=tol,
            max_iter=max_iter,
        )
        if not converged:
            warnings.warn(
                f"the linear head did not converge in {max_iter} steps; raise "
                "max_iter or alpha",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.coef_: FloatArray = w if problem.basis is None else problem.basis @ w
        mean = comparisons.items.mean(axis=0, dtype=np.float64)
        self.offset_ = float(mean @ self.coef_)
        self.alpha_ = search.alpha
        self.alphas_, self.held_out_loss_ = search.alphas, search.held_out_loss

    def _reward(self, items: FloatArray) -> FloatArray:
        return items @ self.coef_ - self.offset_

    def _get_state(self) -> HeadState:
        return HeadState(
            {
                "coef": self.coef_,
                "alphas": self.alphas_,
                "held_out_loss": self.held_out_loss_,
            },
            {"offset": self.offset_, "alpha": self.alpha_, "n_iter": self.n_iter_},
        )

    def _set_state(self, state: HeadState) -> None:
        self.coef_ = state.array("coef", ndim=1)
        self.offset_ = state.value("offset", float)
        self.alpha_ = state.value("alpha", float)
        self.n_iter_ = state.value("n_iter", int)
        self.alphas_ = state.array("alphas", ndim=1)
        self.held_out_loss_ = state.array("held_out_loss", ndim=1)


def _check_alpha(alpha: Any) -> float | None:
    """Return alpha as a float, None for "auto"."""
    if not isinstance(alpha, str):
        return check_real(alpha, "alpha", 0.0, open_at_low=False)
    if alpha == "auto":
        return None
    raise InvalidInputError(
        three_parts(
            expected="alpha that is 'auto' or a finite number >= 0",
            got=repr(alpha)[:40],
            cure="use alpha='auto' unless you know better",
        )
    )
