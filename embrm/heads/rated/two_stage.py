"""TwoStageReward: ratings first, preferences next, extrapolation last."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils.metadata_routing import UNUSED

from embrm._typing import BoolArray, FloatArray
from embrm._validation import Constraints, Integer, Real, check_items, unless_auto
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import Comparisons, make_comparisons
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import LinearProblem, make_problem
from embrm.heads.rated._two_stage_training import (
    RatingStage,
    choose,
    make_rating_stage,
    win_deltas,
    with_start,
)
from embrm.heads.state import Stored, StoredArray, StoredNumbers, StoredValue
from embrm.heads.win_loss import warn_unless


class TwoStageReward(RewardHead):
    r"""Linear reward from ratings and from preferences, in nats.

    1. Ridge regression of the ratings gives a direction; a factor s > 0, fitted to
       the wins, converts it to nats: :math:`w_0`.
    2. Scaled Bradley-Terry is shrunk towards that: :math:`w_2` minimises

       .. math:: \sum_i c_i \, \mathrm{softplus}(-(w^\top d_i - m_i))
                 + \tfrac{\alpha}{2} \lVert w - w_0 \rVert^2

       with :math:`d_i` the winner's minus the loser's vector, and :math:`c_i` the
       weight of the win: pass the strength of a preference as `sample_weight` [1]_.
    3. The step is extrapolated [2]_: :math:`w = w_0 + a (w_2 - w_0)`.

    Parameters
    ----------
    alpha : float >= 0 or "auto", default="auto"
        Penalty of the second stage. "auto" is the strongest within one standard error
        of the least log loss on held-out prompts, in five folds. An infinite one is
        among those tried: then the second stage changes nothing. With fewer than 20
        held-out wins the step has a prior standard deviation of 1 nat.
    rating_alpha : float >= 0 or "auto", default="auto"
        Penalty of the ridge regression; "auto" as in `RegressionReward`.
    extrapolation : float >= 0 or "auto", default="auto"
        a. "auto" minimises the held-out log loss on the grid 1.0, 1.1, ..., 2.0, then
        on a grid of 0.01 around the best. Log loss rather than order consistency,
        because it is smooth in a and depends on every win.
    max_iter : int, default=100
        Largest number of Newton steps of the second stage.
    tol : float, default=1e-8
        Relative size of the gradient at which the second stage ends.
    preprocessor : scikit-learn transformer, optional
        Acts on items; fitted on the distinct items that are rated or compared.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        w, on preprocessed items.
    start_ : ndarray of shape (d,)
        :math:`w_0`; zero without ratings.
    second_ : ndarray of shape (d,)
        :math:`w_2`.
    offset_ : float
        By which rewards are centred over the compared items.
    alpha_ : float
        Infinite where the second stage changed nothing.
    rating_alpha_, scale_ : float
        Of the first stage; infinite and 1 without ratings.
    extrapolation_ : float
        a.
    alphas_, held_out_loss_ : ndarray of shape (n_tried,)
        Penalties tried, descending, with the held-out log loss of each.
    n_iter_ : int

    Notes
    -----
    Where a fold holds prompts out, the first stage of that fold leaves out their
    ratings too, or its loss would be optimistic. Without ratings the first stage is
    zero and the head a linear Bradley-Terry model. `ratings` belong to items, not to
    pairs, so `cross_val_score` passes the same ones to every fold: evaluate on
    prompts that are not rated.

    References
    ----------
    .. [1] Wang et al. (2024). HelpSteer2-Preference: complementing ratings with
       preferences. arXiv:2410.01257.
    .. [2] Zheng et al. (2024). Weak-to-strong extrapolation expedites alignment.
       arXiv:2404.16792.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads.rated.two_stage import TwoStageReward
    >>> items = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> pairs = Pairs(items, [[2, 0], [3, 1]])
    >>> head = TwoStageReward(rating_alpha=0.1)
    >>> reward = head.fit(pairs, ratings=[0.0, 2.0, 0.0, 2.0]).reward(items)
    >>> bool(reward[3] > reward[1] > reward[0])
    True
    """

    # Ratings belong to items: there is one per row of `pairs.items`.
    __metadata_request__fit: ClassVar = {"pairs": UNUSED, "ratings": UNUSED}

    _constraints: ClassVar[Constraints] = {
        "alpha": [Real(), "auto"],
        "rating_alpha": [Real(), "auto"],
        "extrapolation": [Real(), "auto"],
        "max_iter": [Integer(1)],
        "tol": [Real(closed="neither")],
    }
    _stored: ClassVar[Sequence[Stored]] = (
        StoredArray("coef_", "d"),
        StoredArray("start_", "d"),
        StoredArray("second_", "d"),
        StoredArray("alphas_", "tried"),
        StoredArray("held_out_loss_", "tried"),
        StoredNumbers(
            ("offset_", "alpha_", "rating_alpha_", "scale_", "extrapolation_")
        ),
        StoredValue("n_iter_", int),
    )

    def __init__(
        self,
        alpha: float | Literal["auto"] = "auto",
        *,
        rating_alpha: float | Literal["auto"] = "auto",
        extrapolation: float | Literal["auto"] = "auto",
        max_iter: int = 100,
        tol: float = 1e-8,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.alpha = alpha
        self.rating_alpha = rating_alpha
        self.extrapolation = extrapolation
        self.max_iter = max_iter
        self.tol = tol

    def fit(
        self,
        pairs: Any,
        y: ArrayLike | None = None,
        *,
        ratings: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        margin: ArrayLike | None = None,
        annotator: ArrayLike | None = None,
    ) -> Self:
        """Fit both stages.

        Parameters
        ----------
        pairs : Pairs or array-like of shape (n_pairs, 2, d)
        y : array-like of shape (n_pairs,) in [0, 1], optional
            Probability that first is preferred; None means always.
        ratings : array-like of shape (n_items,), optional
            One for each row of `pairs.items`, compared or not; NaN is not rated. Needs
            `Pairs`. None leaves the first stage at zero.
        sample_weight : array-like of shape (n_pairs,), >= 0, optional
            Strength of each preference.
        margin : array-like of shape (n_pairs,), >= 0, in nats, optional
        annotator : None
            Refused: the head estimates no flip rate.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            On a wrong shape, dtype, range or length, or on NaN or infinity in an item
            that is rated or compared.
        """
        self._check_parameters()
        self._number_annotators(annotator)
        comparisons = make_comparisons(pairs, y, sample_weight, margin)
        if ratings is None:
            return self.fit_comparisons(comparisons)
        first = make_rating_stage(pairs, comparisons, ratings)
        n_features = comparisons.items.shape[1]
        preprocessor = None
        if self.preprocessor is not None:
            preprocessor = clone(self.preprocessor).fit(first.items(comparisons))
            first = first.transformed(preprocessor)
            items = np.asarray(preprocessor.transform(comparisons.items))
            comparisons = replace(comparisons, items=check_items(items))
        self._fit_stages(comparisons, first)
        self.classes_ = np.array([0, 1])
        self.n_features_in_, self.preprocessor_ = n_features, preprocessor
        return self

    def _fit(self, comparisons: Comparisons) -> None:
        self._fit_stages(comparisons, None)

    def _fit_stages(self, comparisons: Comparisons, first: RatingStage | None) -> None:
        rating_alpha = unless_auto(self.rating_alpha)
        start: FloatArray = np.zeros(comparisons.items.shape[1])
        scale = 1.0
        if first is not None:
            start, scale, rating_alpha = first.fit(comparisons, rating_alpha)

        def start_of(train: BoolArray, held: BoolArray) -> FloatArray:
            if first is None:
                return np.zeros(len(comparisons))
            weights, _, _ = first.fit(comparisons, rating_alpha, train, held)
            return win_deltas(comparisons, weights)

        problem = make_problem(comparisons)
        choice = choose(
            comparisons,
            problem,
            start_of,
            alpha=unless_auto(self.alpha),
            extrapolation=unless_auto(self.extrapolation),
        )
        step: FloatArray = np.zeros(len(start))
        self.n_iter_ = 0
        if np.isfinite(choice.alpha):
            moved = with_start(problem, win_deltas(comparisons, start))
            step, self.n_iter_ = _solve(moved, choice.alpha, self.tol, self.max_iter)
        self.start_, self.second_ = start, start + step
        self.coef_: FloatArray = start + choice.extrapolation * step
        mean = comparisons.items.mean(axis=0, dtype=np.float64)
        self.offset_ = float(mean @ self.coef_)
        self.alpha_, self.extrapolation_ = choice.alpha, choice.extrapolation
        self.scale_ = scale
        self.rating_alpha_ = np.inf if first is None else float(rating_alpha or 0.0)
        self.alphas_, self.held_out_loss_ = choice.alphas, choice.held_out_loss

    def _reward(self, items: FloatArray) -> FloatArray:
        return items @ self.coef_ - self.offset_


def _solve(
    problem: LinearProblem, alpha: float, tol: float, max_iter: int
) -> tuple[FloatArray, int]:
    """Minimise, and warn if that was not achieved; returns the user's coordinates."""
    inner, n_iter, converged = minimise(
        problem, alpha, np.zeros(len(problem.curvature)), tol=tol, max_iter=max_iter
    )
    warn_unless(converged, "the second stage", max_iter)
    return inner if problem.basis is None else problem.basis @ inner, n_iter
